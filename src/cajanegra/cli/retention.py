"""``cajanegra retention``: holds, erasures, and the history of what was deleted."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cajanegra.cli import render
from cajanegra.cli.options import scope_of, whoever, with_database, with_json, with_tables
from cajanegra.cli.render import Column
from cajanegra.errors import UsageError


@click.group()
def retention() -> None:
    """Hold calls, erase a user or a tenant, see what was deleted.

    How long what is kept is in [retention] of the settings; 'cajanegra cleanup' deletes the rest.

    \b
    Try:  cajanegra retention runs
          cajanegra retention hold --tenant acme --reason "case 2026-17"
          cajanegra retention erase --tenant acme --user u1
    """


@retention.command(name="runs")
@click.option("--limit", type=click.IntRange(1, 100), default=20, help="At most so many.", show_default=True)
@with_database
@with_json
def show_runs(limit: int, database_url: str | None, as_json: bool) -> None:
    """Show the latest runs, and what they deleted."""
    from cajanegra.storage import runs

    with with_tables(database_url) as database:
        found = runs.history(database, limit)
    if as_json:
        click.echo(render.to_json([render.fields(run) for run in found]))
        return
    columns = [
        Column("began"), Column("by"), Column("state"), *(
            Column(name, number=True) for name in ("seconds", "calls", "partitions", "freed")
        ), Column("error", drop=1),
    ]  # fmt: skip
    rows = [
        [
            render.short_moment(run.began_at),
            run.started_by,
            run.state,
            round(((run.ended_at or run.updated_at) - run.began_at).total_seconds(), 1),
            render.count(run.counts["calls"]),
            render.count(run.counts["partitions"]),
            render.size(run.counts["freed_bytes"]),
            render.cut(run.error, 40),
        ]
        for run in found
    ]
    click.echo(render.table(columns, rows) if rows else "There has been none yet: cajanegra cleanup.")


@retention.command()
@click.argument("request_id", required=False)
@click.option("--tenant", metavar="ID", help="All calls of this tenant; beside a call, whose call is meant.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, such as the number of a case.")
@with_database
@with_json
def hold(
    request_id: str | None, tenant: str | None, reason: str, database_url: str | None, as_json: bool
) -> None:
    """Keep the call REQUEST_ID, or all of a tenant's, from being deleted or erased.

    It does not keep anybody from deleting rows in SQL.
    """
    from cajanegra.storage import holds

    with with_tables(database_url) as database:
        placed = holds.place(
            database,
            reason=reason,
            tenant_id=tenant,
            request_id=request_id,
            by=whoever(),
            now=datetime.now(UTC),
        )
    if as_json:
        click.echo(render.to_json(render.fields(placed)))
    else:
        what = placed.request_id or f"every call of {placed.tenant_id}"
        click.echo(f"Held {what}, until 'cajanegra retention lift {placed.id}'.")


@retention.command(name="holds")
@with_database
@with_json
def list_holds(database_url: str | None, as_json: bool) -> None:
    """List what is held."""
    from cajanegra.storage import holds

    with with_tables(database_url) as database:
        found = holds.listed(database)
    if as_json:
        click.echo(render.to_json([render.fields(one) for one in found]))
        return
    columns = [Column("id", number=True), *map(Column, ("tenant", "request", "reason", "by", "since"))]
    rows = [
        [one.id, one.tenant_id, one.request_id or "all", one.reason, one.placed_by,
         render.short_moment(one.placed_at)]
        for one in found
    ]  # fmt: skip
    click.echo(render.table(columns, rows) if rows else "Nothing is held.")


@retention.command()
@click.argument("hold_id", type=int)
@with_database
def lift(hold_id: int, database_url: str | None) -> None:
    """Lift the hold HOLD_ID, as 'holds' lists it."""
    from cajanegra.storage import holds

    with with_tables(database_url) as database:
        if not holds.lift(database, hold_id):
            raise UsageError(f"there is no hold {hold_id}; 'cajanegra retention holds' lists them")
    click.echo(f"Lifted hold {hold_id}.")


@retention.command()
@click.option("--tenant", metavar="ID", help="All of this tenant; beside a user, the user's calls for it.")
@click.option("--user", metavar="ID", help="The calls of this user.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_database
@with_json
def erase(tenant: str | None, user: str | None, yes: bool, database_url: str | None, as_json: bool) -> None:
    """Erase a user's or a tenant's calls for good, and print a receipt.

    What is held stays, and the receipt says how many calls that are. Programs that record may still have
    events in their spool: run it again once these are written.
    """
    from cajanegra.storage.erasure import erase as erase_all

    if not (tenant or user):
        raise UsageError("say whom: --user ID, --tenant ID, or both for one tenant's user")
    whom = f"user {user} of {tenant}" if user and tenant else f"user {user}" if user else f"tenant {tenant}"
    if not yes:
        click.confirm(f"Erase all calls of {whom}? They cannot be brought back.", abort=True, err=True)
    with with_tables(database_url) as database, render.progress("Erasing") as on_progress:
        receipt = erase_all(
            database,
            scope_of(tenant),
            user_id=user,
            by=whoever(),
            now=datetime.now(UTC),
            on_progress=on_progress,
        )
    if as_json:
        click.echo(render.to_json(render.fields(receipt)))
        return
    counts = receipt.counts
    facts = [
        ("receipt", receipt.id),
        ("whom", f"{receipt.subject}, SHA-256 {receipt.subject_hash}"),
        ("when", f"{render.moment(receipt.began_at)} to {render.moment(receipt.ended_at)}"),
        *((name, render.count(number)) for name, number in counts.items()),
    ]
    click.echo(render.facts(facts))
