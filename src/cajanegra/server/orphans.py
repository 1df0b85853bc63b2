"""Brings to the database what dead processes have left in the spool, while the server runs."""

from __future__ import annotations

import logging
import threading

from cajanegra import bootstrap
from cajanegra.errors import CajanegraError
from cajanegra.recording.throttle import Throttle
from cajanegra.settings import Settings

logger = logging.getLogger("cajanegra.server")

EVERY = 10.0
"""Seconds between two looks. A recorder looks more often, and may not be in use here."""
PATIENCE = 1.0
"""Seconds to go on trying a database that is away; the next look tries again."""


def drain_until(stopping: threading.Event, settings: Settings) -> None:
    """Start a thread that looks now and then, until told to stop.

    It is a daemon: what it is at when the process ends stays in the spool, and is written once all the same.
    """
    arguments = (stopping, settings)
    threading.Thread(target=_drain, args=arguments, name="cajanegra-orphans", daemon=True).start()


def _drain(stopping: threading.Event, settings: Settings) -> None:
    drainer, said = bootstrap.new_drainer(settings), Throttle()
    while not stopping.is_set():
        try:
            done = drainer.drain(timeout=PATIENCE)
        except (CajanegraError, OSError) as error:
            if said.due():
                logger.warning("what dead processes have left cannot be written now: %s", error)
        else:
            if done.calls:
                logger.info("wrote %d calls of processes that are dead", done.calls)
        stopping.wait(EVERY)
