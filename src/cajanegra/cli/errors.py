"""``cajanegra errors``: the inbox of error patterns."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from cajanegra.cli import render
from cajanegra.cli.correct import correct, remedies
from cajanegra.cli.options import scope_of, settings_for, whoever, with_database, with_json, with_tables
from cajanegra.domain.principal import ALL_TENANTS

if TYPE_CHECKING:
    from cajanegra.analysis.knowledge import Language
    from cajanegra.storage.patterns import Sort

F = TypeVar("F", bound=Callable[..., Any])

SAMPLES = 5
MAX_LISTED = 500


@click.group()
def errors() -> None:
    """See what fails and why, and decide about it.

    \b
    Try:  cajanegra errors list --status open --sort trend
          cajanegra errors show ollama_timeout --lang es
          cajanegra errors resolve ollama_timeout
          cajanegra errors merge openai_timeout_1f0c2a openai_timeout
          cajanegra errors classify --json < failures.ndjson
    """


errors.add_command(correct)


def _with_language(function: F) -> F:
    """``--lang``."""
    return click.option(
        "--lang",
        "language",
        type=click.Choice(["en", "es"]),
        help="The language of cause and action; default is the one in which they were stored.",
    )(function)


@errors.command("list")
@click.option(
    "--status", type=click.Choice(["open", "resolved", "wontfix"]), help="Only patterns in this state."
)
@click.option(
    "--mark",
    type=click.Choice(["regressed", "new", "escalating", "quiet"]),
    help="Only patterns that came back after they were resolved, are new since yesterday, fail more than "
    "usual, or have not failed for a week.",
)
@click.option("--tenant", "tenant_id", metavar="ID", help="Met by this tenant; its own counts are shown.")
@click.option("--provider", metavar="NAME", help="Failures of this provider.")
@click.option("--kind", metavar="KIND", help="Of this failure kind.")
@click.option("--q", "text", metavar="WORDS", help="With these words in name, message, cause or action.")
@click.option(
    "--sort",
    type=click.Choice(["count", "last", "first", "trend"]),
    default="count",
    show_default=True,
    help="Most frequent, latest, newest, or most above what is usual first.",
)
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=50, show_default=True, help="How many at most."
)
@_with_language
@with_database
@with_json
def list_patterns(
    sort: Sort,
    limit: int,
    language: Language | None,
    database_url: str | None,
    as_json: bool,
    tenant_id: str | None,
    **where: Any,
) -> None:
    """List the error patterns, with what happened to them in the last 24 hours."""
    from cajanegra.cli import pattern_view
    from cajanegra.storage.patterns import PatternFilter, page

    with with_tables(database_url, to_read=True) as database:
        meant = PatternFilter(scope_of(tenant_id), **where)
        found = page(database, meant, now=datetime.now(UTC), sort=sort, limit=limit)
    rows = [pattern_view.in_language(row, language) for row in found.items]
    if as_json:
        click.echo(render.to_json(rows))
    elif not rows:
        filtered = any(value is not None for value in (tenant_id, *where.values()))
        click.echo("No error patterns here." if filtered else "Nothing has failed yet.")
    else:
        click.echo(pattern_view.table(rows, by_trend=sort == "trend"))
        if found.next_cursor:
            click.echo(f"\nThere are more than these {limit}; --limit shows more.", err=True)
        click.echo("\nOne of them in full: cajanegra errors show PATTERN", err=True)


@errors.command()
@click.argument("pattern")
@click.option("--tenant", "tenant_id", metavar="ID", help="As this tenant sees it.")
@_with_language
@with_database
@with_json
def show(
    pattern: str,
    tenant_id: str | None,
    language: Language | None,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Show an error pattern: why it is, what to do, whom it hits, what recovered it, calls that met it."""
    from cajanegra.cli import call_view, pattern_view
    from cajanegra.storage.pattern_detail import detail

    with with_tables(database_url, to_read=True) as database:
        scope = scope_of(tenant_id)
        found = detail(database, scope, pattern, now=datetime.now(UTC), samples=SAMPLES)
        row = pattern_view.in_language(found.pattern, language)
        helped = remedies(database, scope, row.error_pattern, found.merged, database_url)
    if as_json:
        rest = {name: value for name, value in render.fields(found).items() if name != "pattern"}
        click.echo(render.to_json({**render.fields(row), **rest, **helped.fields}))
        return
    click.echo(f"{pattern_view.heading(row)}\n{pattern_view.facts(found)}")
    click.echo(f"{render.heading('Probable cause')}\n{render.wrap(row.probable_cause)}")
    click.echo(f"{render.heading('What to do')}\n{render.wrap(row.suggested_action)}")
    if helped.text:
        click.echo(helped.text)
    if found.samples:
        click.echo(f"\n{render.heading('Latest calls')}\n{call_view.table(found.samples)}")
    if found.changes:
        click.echo(f"\n{render.heading('History')}\n{pattern_view.history(found.changes)}")


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
    """Say that the cause of a pattern is mended.

    It is opened again, and marked as regressed, by the first call that begins from now on and meets it.
    """
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
    """Say that nothing will be done about a pattern; failures do not open it again."""
    _decide(pattern, "wontfix", database_url, as_json=as_json)


@errors.command()
@click.argument("pattern")
@click.argument("into")
@with_database
@with_json
def merge(pattern: str, into: str, database_url: str | None, as_json: bool) -> None:
    """Count the failures of PATTERN under INTO, those of the past and those to come.

    For failures that have one cause and two names. It holds for all processes that record into this
    database; 'errors split' undoes it.
    """
    from cajanegra.storage.pattern_changes import merge as merge_patterns

    with with_tables(database_url) as database:
        target = merge_patterns(database, pattern, into, datetime.now(UTC), by=whoever())
    _tell(target, f"{pattern} counts under {target} from now on", database_url, as_json=as_json)


@errors.command()
@click.argument("pattern")
@with_database
@with_json
def split(pattern: str, database_url: str | None, as_json: bool) -> None:
    """Count the failures of a merged PATTERN under its own name again, those of the past included.

    To count some failures of a pattern that was never merged apart from the others, give them a name in the
    settings: [[knowledge.entries]] with provider, contains and name.
    """
    from cajanegra.storage.pattern_changes import split as split_patterns

    with with_tables(database_url) as database:
        target = split_patterns(database, pattern, datetime.now(UTC), by=whoever())
    _tell(
        pattern,
        f"{pattern} is a pattern of its own again, apart from {target}",
        database_url,
        as_json=as_json,
    )


def _decide(pattern: str, status: str, database_url: str | None, *, as_json: bool) -> None:
    from cajanegra.storage.pattern_changes import set_status

    with with_tables(database_url) as database:
        name = set_status(database, pattern, status, datetime.now(UTC), by=whoever())
    _tell(name, f"{name} is {render.state(status)}", database_url, as_json=as_json)


def _tell(name: str, words: str, database_url: str | None, *, as_json: bool) -> None:
    """What was done: in words, or the pattern as it is now."""
    from cajanegra.storage.pattern_detail import detail

    if not as_json:
        click.echo(words)
        return
    with with_tables(database_url) as database:
        click.echo(
            render.to_json(detail(database, ALL_TENANTS, name, now=datetime.now(UTC), samples=0).pattern)
        )
