"""``cajanegra cleanup``: the guide's periodic clean-up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from cajanegra.cli import render
from cajanegra.cli.options import settings_for, with_database, with_json, with_tables

MAX_DAYS = 36_500
"""As for ``retention.default_days``."""


@click.command()
@click.option(
    "--days",
    type=click.IntRange(max=MAX_DAYS),
    help="Age from which calls go; default is retention.default_days of the settings (7).",
)
@click.option("--dry-run", is_flag=True, help="Count, and delete nothing.")
@with_database
@with_json
def cleanup(days: int | None, dry_run: bool, database_url: str | None, as_json: bool) -> None:
    """Delete the calls that are older than some days, with their recovery steps and contents; patterns stay.

    \b
    From cron:  0 2 * * * cajanegra cleanup --days 7
    """
    from cajanegra.storage.retention import cleanup as delete_old

    kept = settings_for(database_url).retention.default_days if days is None else days
    with with_tables(database_url) as database, render.progress("Deleting") as on_progress:
        report = delete_old(
            database,
            older_than=timedelta(days=kept),
            now=datetime.now(UTC),
            dry_run=dry_run,
            on_progress=on_progress,
        )
    if as_json:
        click.echo(render.to_json({**render.fields(report), "dry_run": dry_run, "days": kept}))
        return
    verb = "Would delete" if dry_run else "Deleted"
    calls, age = render.counted(report.calls, "call"), render.counted(kept, "day")
    parts = (
        f"{render.counted(report.steps, 'recovery step')} and {render.counted(report.contents, 'content')}"
    )
    click.echo(f"{verb} {calls} older than {age}, with {parts}.")
