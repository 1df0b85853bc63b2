"""Masks captured content on a thread of its own, before any of it touches the disk."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from cajanegra.domain.events import Content
from cajanegra.ports import EventSink
from cajanegra.recording.throttle import Throttle

logger = logging.getLogger("cajanegra")

MAX_WAITING = 1_000
"""Texts that may wait to be masked; more are left out and counted."""


class Redacting:
    """Takes the text of calls that have ended, masks it, and appends it to the spool behind their events.

    The text of a call may be lost when the process is killed in between; the call is not.

    Args:
        sink: the spool.
        redact: masks a text or messages.
        on_pending: told how many texts are not kept: those that wait and those that are lost.
    """

    def __init__(
        self,
        sink: EventSink,
        redact: Callable[[Any], Any],
        on_pending: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self.lost = 0
        """Texts that were left out."""
        self._sink = sink
        self._redact = redact
        self._on_pending = on_pending
        self._waiting: queue.Queue[Content | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._full = Throttle()

    def put(self, content: Content) -> None:
        """Take a text without waiting."""
        if self._thread is None:
            self._start()
        try:
            self._waiting.put_nowait(content)
        except queue.Full:
            self.lost += 1
            if self._full.due():
                logger.error("texts of prompts and answers are left out: %d wait to be masked", MAX_WAITING)  # noqa: TRY400 - the trace says nothing more
        self._note()

    def settle(self, timeout: float) -> bool:
        """Wait until everything that was taken is in the spool; whether it is."""
        with self._waiting.all_tasks_done:
            return self._waiting.all_tasks_done.wait_for(lambda: not self._waiting.unfinished_tasks, timeout)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="cajanegra-redacting", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while (content := self._waiting.get()) is not None:
            try:
                prompt, answer = self._redact(content.prompt), self._redact(content.answer)
                masked = Content(content.at, content.request_id, content.tenant_id, prompt, answer)
                if not self._sink.append(masked):
                    self.lost += 1
            except Exception as error:  # noqa: BLE001 - a text that cannot be masked is not kept
                self.lost += 1
                logger.error("a text could not be masked and is left out: %s", type(error).__name__)  # noqa: TRY400
            finally:
                self._waiting.task_done()
                self._note()

    def _note(self) -> None:
        self._on_pending(self._waiting.unfinished_tasks + self.lost)
