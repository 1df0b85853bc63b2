"""``cajanegra errors``: the error patterns."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any, Literal

import click

from cajanegra.cli import call_view, render
from cajanegra.cli.options import settings_for, with_database, with_json, with_tables
from cajanegra.cli.render import Column

SAMPLES = 5
BESIDE_CAUSE, LEAST_CAUSE = 47, 32
"""Columns of a list that all but pattern and cause take, and what a cause needs to say anything."""


@click.group()
def errors() -> None:
    """See what fails and why, and decide about it.

    \b
    Try:  cajanegra errors list --status open
          cajanegra errors show ollama_timeout
          cajanegra errors resolve ollama_timeout
          cajanegra errors classify --json < failures.ndjson
    """


@errors.command("list")
@click.option(
    "--status", type=click.Choice(["open", "resolved", "wontfix"]), help="Only patterns in this state."
)
@click.option(
    "--sort",
    type=click.Choice(["count", "last"]),
    default="count",
    show_default=True,
    help="Most frequent or latest first.",
)
@with_database
@with_json
def list_patterns(
    status: str | None, sort: Literal["count", "last"], database_url: str | None, as_json: bool
) -> None:
    """List the error patterns."""
    from cajanegra.storage.patterns import patterns

    with with_tables(database_url, to_read=True) as database:
        found = patterns(database, status=status, sort=sort)
    if as_json:
        click.echo(render.to_json(found))
    elif not found:
        click.echo("No error patterns here." if status else "Nothing has failed yet.")
    else:
        columns = [
            Column("failures", number=True),
            Column("pattern"),
            Column("state"),
            Column("last (UTC)", drop=1),
            Column("probable cause"),
        ]
        longest = max(len(row["error_pattern"] or "") for row in found)
        room = max(render.width() - longest - BESIDE_CAUSE, LEAST_CAUSE)
        rows = [
            [
                render.count(row["occurrence_count"]),
                row["error_pattern"],
                render.state(row["resolution_status"]),
                render.short_moment(row["last_occurred"]),
                render.cut(row["probable_cause"], room),
            ]
            for row in found
        ]
        click.echo(render.table(columns, rows))
        click.echo("\nOne of them in full: cajanegra errors show PATTERN", err=True)


@errors.command()
@click.argument("pattern")
@with_database
@with_json
def show(pattern: str, database_url: str | None, as_json: bool) -> None:
    """Show an error pattern: its cause, what to do, calls that met it."""
    from cajanegra.storage import patterns, reads, statistics
    from cajanegra.storage.filters import CallFilter

    with with_tables(database_url, to_read=True) as database:
        found = patterns.pattern(database, pattern)
        calls = reads.calls(database, CallFilter(pattern=pattern), limit=SAMPLES).items
        met = CallFilter(pattern=pattern)
        steps = [row for row in statistics.recoveries(database, met) if row.pattern == pattern]
    if as_json:
        click.echo(render.to_json({**found, "recoveries": steps, "calls": calls}))
        return
    click.echo(f"{render.heading(pattern)}  {render.state(found['resolution_status'])}")
    click.echo(render.facts(_known(found)))
    click.echo(f"{render.heading('Probable cause')}\n{render.wrap(found['probable_cause'])}")
    click.echo(f"{render.heading('What to do')}\n{render.wrap(found['suggested_action'])}")
    if steps:
        columns = [
            Column("strategy"),
            Column("steps", number=True),
            Column("worked", number=True),
            Column("p50 ms", number=True),
        ]
        rows = [
            [row.strategy_name, row.steps, render.share(row.successes, row.steps), render.count(row.p50_ms)]
            for row in steps
        ]
        click.echo(f"\n{render.heading('What recovered it')}\n{render.table(columns, rows)}")
    if calls:
        click.echo(f"\n{render.heading('Latest calls')}\n{call_view.table(calls)}")


@errors.command()
@click.argument("file", type=click.File("rb", lazy=True), default="-")
@with_json
def classify(file: IO[bytes], as_json: bool) -> None:
    """Tell kind, pattern and first move of failures that are logged elsewhere.

    Reads one JSON object a line from FILE or standard input: message, and where known provider,
    http_status and exception_type. With --json, writes one object a line: kind, pattern, template, recover.

    A line that cannot be read is named on standard error and left out; the others are still read, and
    the exit code is 1.
    """
    import msgspec

    from cajanegra.cli.triage import triaged

    unread = 0
    for number, found in triaged(file, settings_for(None)):
        if isinstance(found, str):
            unread += 1
            click.echo(f"line {number} {render.printable(found)}", err=True)
        elif as_json:
            sys.stdout.write(f"{msgspec.json.encode(found).decode()}\n")
        else:
            sys.stdout.write(f"{found.kind:20} {found.recover:9} {found.pattern}\n")
    if unread:
        click.echo(f"cajanegra: {unread} {'line' if unread == 1 else 'lines'} left out", err=True)
        click.get_current_context().exit(1)


@errors.command()
@click.argument("pattern")
@with_database
@with_json
def resolve(pattern: str, database_url: str | None, as_json: bool) -> None:
    """Say that the cause of a pattern is mended."""
    _decide(pattern, "resolved", database_url, as_json=as_json)


@errors.command()
@click.argument("pattern")
@with_database
@with_json
def reopen(pattern: str, database_url: str | None, as_json: bool) -> None:
    """Open a resolved pattern again."""
    _decide(pattern, "open", database_url, as_json=as_json)


@errors.command()
@click.argument("pattern")
@with_database
@with_json
def wontfix(pattern: str, database_url: str | None, as_json: bool) -> None:
    """Say that nothing will be done about a pattern."""
    _decide(pattern, "wontfix", database_url, as_json=as_json)


def _decide(pattern: str, status: str, database_url: str | None, *, as_json: bool) -> None:
    from cajanegra.storage.patterns import set_status

    with with_tables(database_url) as database:
        found = set_status(database, pattern, status, datetime.now(UTC))
    click.echo(render.to_json(found) if as_json else f"{pattern} is {render.state(status)}")


def _known(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("failures", render.count(found["occurrence_count"])),
        ("failure kind", found["error_code"]),
        ("message", found["error_message_pattern"]),
        ("first seen (UTC)", render.moment(found["created_at"])),
        ("last seen (UTC)", render.moment(found["last_occurred"])),
        ("resolved (UTC)", render.moment(found["resolved_at"])),
        ("correction", found["auto_correction_enabled"]),
    ]
