"""``cajanegra logs``: calls, one by one and all together."""

from __future__ import annotations

import csv
import itertools
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

import click

from cajanegra.cli import call_view, render
from cajanegra.cli.logs_import import import_calls
from cajanegra.cli.options import scope_of, with_database, with_filters, with_json, with_tables
from cajanegra.domain.spreadsheet import escaped
from cajanegra.errors import CajanegraError

if TYPE_CHECKING:
    from cajanegra.storage.database import Database
    from cajanegra.storage.filters import CallFilter

Row = Mapping[str, Any]


@click.group()
def logs() -> None:
    """List, show, follow, count, export and import calls.

    \b
    Try:  cajanegra logs list --status error --since 2h
          cajanegra logs show REQUEST_ID
          cajanegra logs export --format csv --since 7d > calls.csv
    """


logs.add_command(import_calls)


@logs.command("list")
@with_filters
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="At most so many.")
@click.option("--cursor", help="Go on where the list before ended.")
@with_database
@with_json
def list_calls(
    where: CallFilter, limit: int, cursor: str | None, database_url: str | None, as_json: bool
) -> None:
    """List calls, newest first."""
    from cajanegra.storage import reads

    with with_tables(database_url, to_read=True) as database:
        page = reads.calls(database, where, limit=limit, cursor=cursor)
    if as_json:
        click.echo(render.to_json({"items": page.items, "next_cursor": page.next_cursor}))
    elif not page.items:
        click.echo(_none(where))
    else:
        click.echo(call_view.table(page.items))
        if page.next_cursor:
            click.echo(f"\nMore: --cursor {page.next_cursor}", err=True)


@logs.command()
@click.argument("request_id")
@click.option(
    "--tenant", "tenant_id", metavar="ID", help="Whose call it is, where tenants share request ids."
)
@with_database
@with_json
def show(request_id: str, tenant_id: str | None, database_url: str | None, as_json: bool) -> None:
    """Show one call: what failed and why, and what recovered it."""
    from cajanegra.storage import reads

    with with_tables(database_url, to_read=True) as database:
        detail = reads.call(database, scope_of(tenant_id), request_id)
    if detail is None:
        raise CajanegraError(f"there is no call {request_id!r}; 'cajanegra logs list' shows the newest ones")
    if as_json:
        parts = {
            "steps": detail.steps,
            "patterns": detail.patterns,
            "prompt": detail.prompt,
            "answer": detail.answer,
        }
        click.echo(render.to_json({**detail.call, **parts}))
    else:
        click.echo(call_view.detail(detail))


@logs.command()
@with_filters
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 60),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@with_database
@with_json
def tail(where: CallFilter, interval: float, database_url: str | None, as_json: bool) -> None:
    """Follow calls as they are written; Ctrl-C ends it."""
    with with_tables(database_url) as database:
        if not as_json:
            click.echo(call_view.line_heading(), err=True)
        try:
            for row in _written(database, where, interval):
                click.echo(render.to_json(row, lines=True) if as_json else call_view.line(row))
                sys.stdout.flush()
        except KeyboardInterrupt:
            return


def _written(database: Database, where: CallFilter, interval: float) -> Iterator[Row]:
    """Each new call once, for ever."""
    from cajanegra.storage.tail import Horizon, written

    horizon = Horizon(database)
    shown: int | None = None
    while True:
        reached = horizon.advance()
        if shown is None:
            shown = reached
        while reached is not None and shown is not None and shown < reached:
            rows, shown = written(database, where, shown, reached)
            yield from rows
        time.sleep(interval)


@logs.command()
@with_filters
@with_database
@with_json
def stats(where: CallFilter, database_url: str | None, as_json: bool) -> None:
    """Count calls, and say how fast and how well they were answered."""
    from cajanegra.storage.statistics import statistics

    with with_tables(database_url, to_read=True) as database:
        found = statistics(database, where)
    if as_json:
        click.echo(render.to_json({**render.fields(found), "failed": found.failed}))
    elif not found.total:
        click.echo(_none(where))
    else:
        click.echo(call_view.statistics(found))
        for note in call_view.coverage(found.coverage):
            click.echo(f"\n{note}", err=True)


@logs.command()
@with_filters
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "ndjson"]),
    default="ndjson",
    show_default=True,
    help="What to write.",
)
@click.option(
    "--output", type=click.File("w", lazy=False), default="-", help="Where to; default is standard output."
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many; default is all.")
@with_database
def export(
    where: CallFilter, form: str, output: IO[str], limit: int | None, database_url: str | None
) -> None:
    """Write calls with their recovery steps, newest first, as CSV or one JSON object per line.

    'cajanegra logs import' reads it back. Captured content is not written.
    """
    from cajanegra.storage import reads

    with with_tables(database_url, to_read=True) as database:
        rows = itertools.islice(reads.iterate(database, where), limit)
        if form == "csv":
            _write_csv(rows, output)
        else:
            for row in rows:
                output.write(render.to_json(row, lines=True) + "\n")


def _none(where: CallFilter) -> str:
    if any(value is not None for name, value in render.fields(where).items() if name != "scope"):
        return "No calls match. Without filters: cajanegra logs list"
    return "No calls yet. Try: cajanegra demo"


def _write_csv(rows: Iterable[Row], output: IO[str]) -> None:
    from cajanegra.storage.rows import CALL_COLUMNS

    writer = csv.writer(output)
    names = ("id", *CALL_COLUMNS, "steps")
    writer.writerow(names)
    for row in rows:
        writer.writerow([csv_cell(row[name]) for name in names])


def csv_cell(value: Any) -> Any:
    """A value as a cell that no spreadsheet takes for a formula."""
    if isinstance(value, dict | list):
        return render.to_json(value, lines=True)
    return escaped(value) if isinstance(value, str) else value
