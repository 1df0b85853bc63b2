"""``cajanegra demo``: what the product is for, in half a minute."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from cajanegra.cli import render
from cajanegra.cli.options import with_json
from cajanegra.cli.serve import serve
from cajanegra.errors import CajanegraError

DEFAULT_CALLS = 300


@click.command()
@click.option(
    "--calls", type=click.IntRange(20, 5000), default=DEFAULT_CALLS, show_default=True, help="How many."
)
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed asks the same things.")
@click.option("--no-serve", is_flag=True, help="Do not serve the dashboard afterwards, as in a terminal.")
@click.option(
    "--db",
    "database_url",
    metavar="URL",
    help="Where to record; default is a SQLite file of its own, made anew.",
)
@with_json
def demo(calls: int, seed: int, no_serve: bool, database_url: str | None, as_json: bool) -> None:
    """Simulate three providers that fail as real ones do, and show what was recorded and recovered."""
    try:
        from rich.console import Console

        from cajanegra.demo import display, report
        from cajanegra.demo.run import run
    except ModuleNotFoundError as error:
        raise CajanegraError(f"the demonstration needs {error.name}: pip install 'cajanegra[demo]'") from None
    from cajanegra.demo.summary import pattern_counts, summarise
    from cajanegra.storage.database import Database
    from cajanegra.storage.migrate import ensure_sqlite

    url = database_url or click.get_current_context().find_root().obj or _fresh_file()
    console = Console(highlight=False)
    with Database(url) as database:
        ensure_sqlite(database)
        before = pattern_counts(database)
        shown: Any = nullcontext(_say_nothing) if as_json else display.shown(console, calls)
        with shown as on_progress:
            made = run(url, count=calls, seed=seed, on_progress=on_progress)
        summary = summarise(database, made, before)
    if as_json:
        click.echo(render.to_json(summary.as_json()))
    else:
        report.show(console, summary, _commands(url, summary.examples))
    if summary.missing:
        raise CajanegraError(report.missing_line(summary))
    if not (no_serve or as_json) and sys.stdout.isatty() and find_spec("fastapi"):
        click.get_current_context().invoke(serve, port=0, workers=1, database_url=url)


def _say_nothing(_progress: Any) -> None:
    """JSON is for programs, which do not watch."""


def _fresh_file() -> str:
    """The demonstration's own database, without what an earlier one left in it."""
    import platformdirs

    path = Path(platformdirs.user_data_dir("cajanegra", appauthor=False)) / "demo.db"
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        name.unlink(missing_ok=True)
    return f"sqlite:///{path}"


def _commands(url: str, examples: Any) -> list[tuple[str, str]]:
    run = f"{_program()} --db {shlex.quote(url)}"
    found = [("the calls that were not answered", f"{run} logs list --status error")]
    words = {"simplify": "a prompt that was shortened", "fallback": "a call that another provider answered"}
    found += [(words[name], f"{run} logs show {examples[name]}") for name in words if name in examples]
    return [
        *found,
        ("all of it in a browser", f"{run} serve"),
        ("every pattern of failure, its cause and what to do", f"{run} errors list"),
        ("which recovery works for which failure", f"{run} recoveries stats"),
    ]


def _program() -> str:
    """How this command can be called again from here."""
    if shutil.which("cajanegra"):
        return "cajanegra"
    program = Path(sys.argv[0])
    if program.name != "cajanegra":
        return f"{shlex.quote(sys.executable)} -m cajanegra"
    return shlex.quote(min(os.path.relpath(program), str(program.absolute()), key=len))
