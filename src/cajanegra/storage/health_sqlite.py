"""Checks that only a SQLite file needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Connection

from cajanegra.storage.check import Check
from cajanegra.storage.verify import Finding

LITTLE_ROOM = 100 * 1024 * 1024
"""Bytes below which a warning is due."""


def sqlite_checks(
    connection: Connection, _findings: Sequence[Finding], _clock: Callable[[], float]
) -> list[Check]:
    """Whether the file and its directory can be written, and whether the disk has room."""
    path = Path(connection.engine.url.database or "")
    if not path.is_file():
        return []
    # SQLite writes its journal beside the file.
    closed = [str(place) for place in (path, path.parent) if not os.access(place, os.W_OK)]
    if closed:
        mend = f"chown or chmod u+w {' '.join(closed)}"
        return [Check("privileges", "failed", f"{' and '.join(closed)} cannot be written", mend)]
    free = shutil.disk_usage(path.parent).free
    room = f"{free // 2**20:,} MiB free"
    disk = Check("disk", "ok", room)
    if free < LITTLE_ROOM:
        disk = Check("disk", "warning", room, f"make room beside {path}, or cajanegra cleanup --days 7")
    return [Check("privileges", "ok", "the file and its directory can be written"), disk]
