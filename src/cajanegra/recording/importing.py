"""Keeps a fork from happening while a thread of ours imports.

The child would inherit the locks of the modules that are being imported, without the thread that holds them,
and would wait for good as soon as it imports one of them itself.

Hooks of before a fork run in the reverse order of registration. ``logging`` takes its lock in one; it is
imported here so that its hook is older and runs after ours. The other way round, the import for which a fork
waits would itself wait for that lock, as soon as a module asks for its logger.
"""

from __future__ import annotations

import logging  # noqa: F401 - for the order of the hooks
import os
import threading

LONGEST = 5.0
"""Seconds that a fork waits for an import to end."""

lock = threading.Lock()
"""Held while a thread of ours imports."""
_held = False


def _wait() -> None:
    global _held  # noqa: PLW0603 - from one hook of a fork to the next
    _held = lock.acquire(timeout=LONGEST)


def _go_on() -> None:
    if _held:
        lock.release()


def _begin_anew() -> None:
    global lock  # noqa: PLW0603 - whoever held it is not there any more
    lock = threading.Lock()


os.register_at_fork(before=_wait, after_in_parent=_go_on, after_in_child=_begin_anew)
