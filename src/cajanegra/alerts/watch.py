"""Looks again and again, on a thread of its own, beside a process that records."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from cajanegra.alerts.evaluation import Evaluator
from cajanegra.errors import CajanegraError

LONGEST_PAUSE = 900.0
"""Seconds between two looks while the database is away; it begins with the interval and doubles."""

logger = logging.getLogger("cajanegra.alerts")


class Watch:
    """A thread that looks; nothing that happens on it reaches the application.

    Args:
        new_evaluator: makes what looks, on the thread.
        interval: seconds between two looks.
    """

    def __init__(self, new_evaluator: Callable[[], Evaluator], interval: float) -> None:
        self._new_evaluator = new_evaluator
        self._interval = interval
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._evaluator: Evaluator | None = None
        self._failures = 0

    def start(self) -> None:
        """Start the thread; called once."""
        thread = threading.Thread(target=self._run, name="cajanegra-alerts", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # too many threads, or the interpreter is about to end
            logger.warning("nobody in this process sees to alerts: no thread could be started")
        else:
            self._thread = thread

    def close(self, timeout: float = 2.0) -> None:
        """End the thread, and wait for it for at most so many seconds."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._ending.wait(min(self._interval * 2.0**self._failures, LONGEST_PAUSE)):
            self._guarded(self._look)
        self._guarded(self._resign)

    def _look(self) -> None:
        if self._evaluator is None:
            self._evaluator = self._new_evaluator()
        self._evaluator.look()
        self._failures = 0

    def _resign(self) -> None:
        if self._evaluator is not None:
            self._evaluator.resign()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - alerts never end the host's thread, or fill its log
            self._failures = min(self._failures + 1, 10)
            if self._failures == 1:
                reason = str(error) if isinstance(error, CajanegraError) else type(error).__name__
                logger.warning("alerts are not looked for at the moment: %s", reason)
