"""Makes the partitions of the days to come, and deletes what is too old where the settings say so."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta

from cajanegra import bootstrap
from cajanegra.errors import CajanegraError
from cajanegra.recording.throttle import Throttle
from cajanegra.settings import Settings
from cajanegra.storage import partitions, runs
from cajanegra.storage.database import Database

logger = logging.getLogger("cajanegra.server")

LOOK = 60.0
"""Seconds between two looks whether a run is due: whichever process looks first does it for all."""


def retain_until(stopping: threading.Event, settings: Settings) -> None:
    """Start a thread that looks now and then, until told to stop.

    It is a daemon: what a run has deleted when the process ends is deleted, and the next goes on.
    """
    threading.Thread(
        target=_retain, args=(stopping, settings), name="cajanegra-retention", daemon=True
    ).start()


def _retain(stopping: threading.Event, settings: Settings) -> None:
    said = Throttle()
    with Database(settings.database.url) as database:
        while not stopping.wait(LOOK):
            try:
                look(database, settings, stopping)
            except CajanegraError as error:
                if said.due():
                    logger.warning("nothing can be deleted now: %s", error)


def look(database: Database, settings: Settings, stopping: threading.Event) -> runs.Run | None:
    """Do what is due.

    Raises:
        StorageError: the database cannot be reached or refuses.
    """
    now, given = datetime.now(UTC), settings.retention
    partitions.make_ahead(database, now)
    if not given.serve or not runs.is_due(database, timedelta(seconds=given.every), now):
        return None
    done = runs.run(
        database,
        bootstrap.new_policy(settings),
        started_by="server",
        budget=timedelta(seconds=given.budget),
        goes_on=lambda: not stopping.is_set(),
    )
    if done is not None and done.counts["calls"]:
        counts = done.counts
        logger.info(
            "deleted %d calls and %d partitions (%s)", counts["calls"], counts["partitions"], done.state
        )
    return done
