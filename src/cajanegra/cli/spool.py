"""``cajanegra spool``: what waits for the database, and bringing it there."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cajanegra.cli import render
from cajanegra.cli.options import settings_for, with_database, with_json
from cajanegra.cli.render import Column
from cajanegra.errors import CajanegraError

if TYPE_CHECKING:
    from cajanegra.recording.drainer import Drained, Drainer, SpoolReport

COLLECT_AFTER = 50_000
"""Objects between two looks of the garbage collector."""
SWITCH = 0.000_5
"""Seconds for which one thread may keep the interpreter from another: the one that reads events always has
work, and the one that writes mostly waits for the database and should not wait for the former too."""


@click.group()
def spool() -> None:
    """See what waits for the database, and bring it there.

    Events are kept in files until the database has them. A living process brings its own there, and those of
    dead processes that it finds; 'drain' does it by hand, from cron, or after the last process has died.
    """


@spool.command()
@with_database
@with_json
def status(database_url: str | None, as_json: bool) -> None:
    """Show what waits, of which process, and what could not be kept. Needs no database."""
    with _drainer(database_url) as drainer:
        report = drainer.report()
    if as_json:
        totals = {
            "events": report.events,
            "dropped_calls": report.dropped_calls,
            "dropped_events": report.dropped_events,
        }
        click.echo(render.to_json({**render.fields(report), **totals}))
        return
    waiting = render.counted(report.events, "event")
    click.echo(f"{report.directory}: {render.size(report.bytes)}, {waiting} waiting")
    if report.tracks:
        click.echo()
        click.echo(_tracks(report))
    for line in _troubles(report):
        click.echo(line)


@spool.command()
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to go on trying a database that is away.",
)
@click.option("--quarantined", is_flag=True, help="Try again what the database refused earlier.")
@with_database
@with_json
def drain(timeout: float, quarantined: bool, database_url: str | None, as_json: bool) -> None:
    """Write what dead processes have left to the database.

    Calls that were in flight when their process died are written with status error, code interrupted. It may
    run at any time, several times at once, and beside living processes.
    """
    with _drainer(database_url) as drainer:
        # What is imported by now stays, and what is read makes no cycles: little is there to be collected.
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        sys.setswitchinterval(SWITCH)
        done = drainer.drain(timeout=timeout, quarantined=quarantined)
    if as_json:
        click.echo(render.to_json(render.fields(done)))
    else:
        for line in _said(done):
            click.echo(line)
    if done.left or done.lost:
        click.get_current_context().exit(1)


@contextmanager
def _drainer(database_url: str | None) -> Iterator[Drainer]:
    from cajanegra import bootstrap

    settings = settings_for(database_url)
    try:
        yield bootstrap.new_drainer(settings)
    except OSError as error:
        raise CajanegraError(
            f"the spool {bootstrap.spool_directory(settings)} cannot be used: {error.strerror or error}; "
            "[spool] dir says where it is"
        ) from None


def _tracks(report: SpoolReport) -> str:
    columns = [
        Column("process", number=True),
        Column("since"),
        Column("state"),
        Column("events waiting", number=True),
        Column("size", number=True, drop=1),
        Column("calls dropped", number=True),
        Column("track", drop=2),
    ]
    rows = [
        [
            track.pid or None,
            render.short_moment(datetime.fromtimestamp(track.started_at, UTC)) if track.started_at else None,
            "alive" if track.alive else "dead",
            render.count(track.events),
            render.size(track.bytes),
            render.count(track.dropped_calls),
            track.name,
        ]
        for track in report.tracks
    ]
    return render.table(columns, rows)


def _troubles(report: SpoolReport) -> Iterator[str]:
    if report.dropped_calls or report.dropped_events:
        yield (
            f"\nNot kept for want of room: {render.counted(report.dropped_calls, 'call')} and "
            f"{render.counted(report.dropped_events, 'other event')}; "
            "the disk or [spool] max_bytes is too small."
        )
    if report.lost.contents:
        yield f"\nTexts that were not masked yet when their process died: {report.lost.contents:,}."
    if report.quarantined_records:
        yield (
            f"\nRefused by the database: {render.counted(report.quarantined_records, 'record')} in "
            f"{report.directory}/quarantine/refused.ndjson, with the reason; when it is mended: "
            "cajanegra spool drain --quarantined"
        )
    if report.quarantined_segments:
        damaged = render.counted(report.quarantined_segments, "segment")
        yield f"\nDamaged: {damaged} in {report.directory}/quarantine."
    if any(not track.alive for track in report.tracks):
        yield "\nDead processes' events are written by the next process, or now: cajanegra spool drain"


def _said(done: Drained) -> Iterator[str]:
    if done.tracks or done.calls or not done.left:
        dead = render.counted(done.tracks, "dead process")
        wrote = f"Wrote {render.counted(done.calls, 'call')} of {dead}."
        yield wrote if done.tracks or done.calls else "Nothing waits of dead processes."
    if done.refused:
        yield f"The database refused {render.counted(done.refused, 'record')}: see cajanegra spool status."
    if done.lost:
        yield f"Lost {render.counted(done.lost, 'record')}: refused, and the quarantine has no room."
    if done.unreadable:
        yield f"{render.counted(done.unreadable, 'event')} could not be read; the segments are in quarantine."
    if done.alive:
        living = render.counted(done.alive, "living process")
        yield f"The events of {living} are left to them."
    if done.left:
        left = render.counted(done.left, "dead process")
        yield f"The events of {left} are still in the spool: the database could not be reached."
