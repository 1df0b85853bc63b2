"""``cajanegra rollups``: the counts that statistics are answered from."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cajanegra.cli import render
from cajanegra.cli.options import Moment, with_database, with_json, with_tables
from cajanegra.cli.render import Column

_SHOWN = 100


@click.group()
def rollups() -> None:
    """Count calls anew that others have written, and compare counts with calls.

    \b
    Try:  cajanegra rollups rebuild
          cajanegra rollups verify --since 7d
    """


@rollups.command()
@click.option(
    "--since", type=Moment(), metavar="TIME", help="From this time on; default is from the first call on."
)
@with_database
@with_json
def rebuild(since: datetime | None, database_url: str | None, as_json: bool) -> None:
    """Count all calls anew, day by day, while programs go on writing.

    Needed once for calls that are older than the tables of the counts, and when somebody else has written,
    changed or deleted calls. What 'cajanegra cleanup' has deleted stays counted.
    """
    from cajanegra.storage.rollups.rebuilding import rebuild as count_anew

    with with_tables(database_url) as database, render.progress("Counting days") as on_progress:
        done = count_anew(database, datetime.now(UTC), since=since, on_progress=on_progress)
    if as_json:
        click.echo(render.to_json(render.fields(done)))
    elif done.since is None:
        click.echo("There are no calls.")
    else:
        click.echo(f"Counted {render.count(done.calls)} calls since {done.since:%Y-%m-%d %H:%M} UTC.")


@rollups.command()
@click.option(
    "--since", type=Moment(), metavar="TIME", help="From this time on; default is since calls are counted."
)
@with_database
@with_json
def verify(since: datetime | None, database_url: str | None, as_json: bool) -> None:
    """Compare the counts with the calls; looks at every call."""
    from cajanegra.storage.rollups.rebuilding import differences

    with with_tables(database_url, to_read=True) as database:
        found = differences(database, since=since, most=_SHOWN)
    if as_json:
        click.echo(render.to_json([render.fields(difference) for difference in found]))
    elif found:
        columns = [
            Column("hour (UTC)"),
            Column("tenant"),
            Column("counted by"),
            Column("counted", number=True),
            Column("calls", number=True),
        ]
        rows = [
            [f"{one.hour:%Y-%m-%d %H:%M}", one.tenant_id, one.cube, one.counted, one.rows] for one in found
        ]
        click.echo(render.table(columns, rows))
        more = f"The first {_SHOWN} are shown. " if len(found) == _SHOWN else ""
        click.echo(f"{more}'cajanegra rollups rebuild' counts anew.")
    else:
        click.echo("The counts are those of the calls.")
    if found:
        click.get_current_context().exit(1)
