"""``cajanegra cleanup``: the guide's periodic clean-up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from cajanegra import bootstrap
from cajanegra.cli import render
from cajanegra.cli.options import settings_for, with_database, with_json, with_tables
from cajanegra.domain.principal import ALL_TENANTS

if TYPE_CHECKING:
    from cajanegra.settings import Settings
    from cajanegra.storage.keeping import Policy

MAX_DAYS = 36_500
"""As for ``retention.default_days``."""


@click.command()
@click.option(
    "--days",
    type=click.IntRange(max=MAX_DAYS),
    help="Age from which calls go, whatever they are; default is what [retention] of the settings says.",
)
@click.option("--dry-run", is_flag=True, help="Count, and delete nothing.")
@click.option(
    "--budget", type=click.FloatRange(min=1), metavar="SECONDS", help="Stop then; the next run goes on."
)
@with_database
@with_json
def cleanup(
    days: int | None, dry_run: bool, budget: float | None, database_url: str | None, as_json: bool
) -> None:
    """Delete the calls that are older than they are to be kept, with their recovery steps and contents.

    Error patterns and their totals stay; in which hour they failed is known for 30 days. What is held stays
    (cajanegra retention hold). Partitions in which nothing stays are dropped, and those for the days to come
    are made.

    \b
    From cron:  0 2 * * * cajanegra cleanup --days 7
    """
    from cajanegra.storage import runs
    from cajanegra.storage.retention import cleanup as delete_old

    settings = settings_for(database_url)
    policy = _policy(settings, days)
    state = "done"
    with with_tables(database_url) as database, render.progress("Deleting") as on_progress:
        if dry_run:
            report = delete_old(database, ALL_TENANTS, policy=policy, now=datetime.now(UTC), dry_run=True)
            counts: Mapping[str, Any] = render.fields(report)
        else:
            limit = None if budget is None else timedelta(seconds=budget)
            run = runs.run(database, policy, started_by="command", budget=limit, on_progress=on_progress)
            state, counts = (run.state, run.counts) if run else ("under_way", {})
    kept = settings.retention.default_days if days is None else days
    if as_json:
        click.echo(render.to_json({**counts, "state": state, "dry_run": dry_run, "days": kept}))
    elif state == "under_way":
        click.echo("Another run is under way; 'cajanegra retention runs' shows how far it is.")
    else:
        _show(counts, "Would delete" if dry_run else "Deleted", kept)
        if state == "cut_short":
            click.echo("Its time was up; the next run goes on.")


def _policy(settings: Settings, days: int | None) -> Policy:
    from cajanegra.storage.keeping import Policy

    return bootstrap.new_policy(settings) if days is None else Policy(timedelta(days=days))


def _show(counts: Mapping[str, Any], verb: str, kept: int) -> None:
    calls, age = render.counted(counts["calls"], "call"), render.counted(kept, "day")
    steps, contents = (
        render.counted(counts["steps"], "recovery step"),
        render.counted(counts["contents"], "content"),
    )
    click.echo(f"{verb} {calls} older than {age}, with {steps} and {contents}.")
    if counts["partitions"]:
        click.echo(
            f"Dropped {render.counted(counts['partitions'], 'partition')}, which gave back "
            f"{render.size(counts['freed_bytes'])}."
        )
    if counts["links"] or counts["counts"]:
        links, details = (
            render.counted(counts["links"], "sample"),
            render.counted(counts["counts"], "old count"),
        )
        click.echo(f"{verb} {links} and {details} of error patterns.")
