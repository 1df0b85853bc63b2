"""``cajanegra logs import``: calls that somebody else wrote down."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import click

from cajanegra.cli import render
from cajanegra.cli.formats import FORMATS
from cajanegra.cli.options import settings_for, with_database, with_json, with_tables
from cajanegra.cli.render import Column
from cajanegra.errors import UsageError

if TYPE_CHECKING:
    from cajanegra.cli.importing import Imported

SHOWN = 20
"""Patterns that people are shown."""


@click.command("import")
@click.argument("file", type=click.File("rb", lazy=False))
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", *FORMATS]),
    default="auto",
    show_default=True,
    help="Who wrote the file: logs export, LiteLLM's spend logs, or a log of errors in OpenAI's form.",
)
@click.option(
    "--tenant",
    "tenant_id",
    metavar="ID",
    help="Whose calls these are; a line that names another tenant is refused. LiteLLM's teams give way.",
)
@click.option("--provider", metavar="NAME", help="Who was asked, where a line does not say.")
@click.option("--dry-run", is_flag=True, help="Read and analyse, and write nothing.")
@with_database
@with_json
def import_calls(
    file: IO[bytes],
    form: str,
    tenant_id: str | None,
    provider: str | None,
    dry_run: bool,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Import calls from FILE, or from standard input (-), and analyse their failures.

    The file is NDJSON or CSV, compressed with gzip or not, of any size. Calls are known by their request id,
    or by their content where they have none, so importing a file again changes nothing. A line that cannot
    be read is named on standard error; the rest is imported, and the exit code is 1.

    \b
    Try:  cajanegra logs export > calls.ndjson && cajanegra --db URL logs import calls.ndjson
          psql -c 'COPY "LiteLLM_SpendLogs" TO STDOUT CSV HEADER' | cajanegra logs import -
    """
    from cajanegra import bootstrap
    from cajanegra.cli.importing import Import, Options
    from cajanegra.storage import reads

    if tenant_id == "":
        raise UsageError("--tenant is empty; leave it out where the lines say whose they are")
    settings = settings_for(database_url)
    options = Options(FORMATS.get(form), tenant_id, provider)
    work = Import(bootstrap.new_ingest(settings), options, _tell)
    if not dry_run:
        with with_tables(database_url) as database:
            reads.newest_id(database)  # what is wrong with it is told now, and not after tries
    store = None if dry_run else bootstrap.store_opener(settings)()
    try:
        with _progress(file) as on_batch:
            work.run(file, store, on_batch)
    finally:
        if store is not None:
            store.close()
    done = work.done
    if as_json:
        click.echo(render.to_json(_summary(done, dry_run=dry_run)))
    else:
        _say(done, dry_run=dry_run)
    if done.refused:
        click.get_current_context().exit(1)


def _tell(number: int, why: str) -> None:
    click.echo(f"line {number} {render.printable(why)}", err=True)


def _summary(done: Imported, *, dry_run: bool) -> dict[str, object]:
    return {
        "calls": done.calls,
        "new": None if dry_run else done.new,
        "known": None if dry_run else done.calls - done.new,
        "refused": done.refused,
        "dry_run": dry_run,
        "patterns": [
            {"pattern": pattern, "failures": count, "probable_cause": done.causes[pattern]}
            for pattern, count in done.failures.most_common()
        ],
    }


def _say(done: Imported, *, dry_run: bool) -> None:
    if dry_run:
        click.echo(
            f"Would import {render.counted(done.calls, 'call')}, but for those that are known already."
        )
    else:
        known = f"; {done.calls - done.new:,} known already" if done.calls > done.new else ""
        click.echo(f"Imported {render.counted(done.new, 'new call')}{known}.")
    if done.refused:
        click.echo(f"Refused {render.counted(done.refused, 'line')}; each is named above.")
    if not done.failures:
        return
    columns = [Column("failures", number=True), Column("pattern"), Column("probable cause")]
    shown = done.failures.most_common(SHOWN)
    room = max(render.width() - max(len(pattern) for pattern, _count in shown) - 12, 20)
    rows = [
        [render.count(count), pattern, render.cut(done.causes[pattern], room)] for pattern, count in shown
    ]
    click.echo(f"\n{render.table(columns, rows)}")
    if len(done.failures) > len(shown):
        click.echo(f"\n... and {len(done.failures) - len(shown):,} more patterns; --json has all of them.")


@contextmanager
def _progress(file: IO[bytes]) -> Iterator[Callable[[], object]]:
    """A progress bar by the bytes read, where the file's size is known."""
    try:
        state = os.fstat(file.fileno())
    except (OSError, ValueError):
        state = None
    if state is None or not stat.S_ISREG(state.st_mode) or not sys.stderr.isatty():
        yield lambda: None
        return
    with render.progress("Importing") as on_progress:
        yield lambda: on_progress(file.tell(), state.st_size)
