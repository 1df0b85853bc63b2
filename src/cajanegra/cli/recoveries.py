"""``cajanegra recoveries``: what recovery achieves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cajanegra.cli import render
from cajanegra.cli.options import with_database, with_filters, with_json, with_tables
from cajanegra.cli.render import Column
from cajanegra.domain.outcome import wilson

if TYPE_CHECKING:
    from cajanegra.storage.filters import CallFilter


@click.group()
def recoveries() -> None:
    """See which recovery works for which failure."""


@recoveries.command()
@with_filters
@with_database
@with_json
def stats(where: CallFilter, database_url: str | None, as_json: bool) -> None:
    """Show how often each strategy worked, and how fast."""
    from cajanegra.storage.recoveries import remedies

    with with_tables(database_url, to_read=True) as database:
        told = remedies(database, where)
    found = told.remedies
    if as_json:
        click.echo(
            render.to_json([{**render.fields(row), "success_rate": row.success_rate} for row in found])
        )
    elif not found:
        click.echo("No recovery steps match: nothing had to be recovered.")
    else:
        columns = [
            Column("strategy"),
            Column("after"),
            Column("steps", number=True),
            Column("worked", number=True),
            Column("share", number=True),
            Column("95 % sure", number=True, drop=1),
            Column("p50 ms", number=True),
            Column("p95 ms", number=True),
        ]
        rows = [
            [
                row.strategy_name,
                row.pattern,
                render.count(row.steps),
                render.count(row.successes),
                f"{row.success_rate:.0%}",
                "{:.0%} to {:.0%}".format(*wilson(row.successes, row.steps)),
                render.count(row.p50_ms),
                render.count(row.p95_ms),
            ]
            for row in found
        ]
        click.echo(render.table(columns, rows))
        if told.others:
            click.echo(f"Less often tried are not listed: {render.counted(told.others, 'step')}.")
