"""The recorder: notes what happens to a call, on the caller's thread, in microseconds."""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from cajanegra.domain.call import Message, prompt_hash, prompt_text
from cajanegra.domain.events import Begin, Feedback, Recorded
from cajanegra.domain.ids import uuid7
from cajanegra.domain.record import CallRecord
from cajanegra.ports import FailureReader
from cajanegra.recording import plain
from cajanegra.recording.desk import Desk
from cajanegra.recording.recorded_call import RecordedCall
from cajanegra.recording.redacting import Redacting
from cajanegra.recording.writer import Writer, WriterStats

_AT_EXIT = 5.0
"""Seconds that the end of the interpreter may be held up."""
_NOT_GIVEN = "unknown"
"""Stands for a task or provider that is ``None`` or empty."""


class Recorder:
    """Writes down AI calls that any client makes. One per process and database; safe for all threads.

    No method waits for the database or raises into the caller's code, but for ``flush`` and ``close``,
    which wait for at most their timeout. What was noted is in the operating system's hands: it will be in the
    database even if this process is killed the next moment.

    Args:
        new_writer: makes the writer; called again in a forked child, which writes for itself into a spool and
            over connections of its own.
        reader: reads the failure in an exception.
        capture: whether the text of prompts and answers is kept.
        redact: masks a text or messages; needed for ``capture = redacted``.
        clock: seconds since the Unix epoch.
        timer: seconds of a monotonic clock.
    """

    def __init__(
        self,
        new_writer: Callable[[], Writer],
        reader: FailureReader,
        *,
        capture: Literal["none", "redacted", "full"] = "none",
        redact: Callable[[Any], Any] | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._writer = new_writer()
        self.desk = Desk(self._writer.spool, reader, clock, timer, capture)
        self._new_writer = new_writer
        self._redact = redact
        self._start_redacting()
        self._closed = False
        _recorders.add(self)
        atexit.register(self._close_at_exit)

    def call(
        self,
        *,
        task: str,
        provider: str,
        model: str | None = None,
        prompt: str | Sequence[Message] | None = None,
        tenant_id: str | None = None,
        module: str | None = None,
        user_id: str | None = None,
        request_id: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> RecordedCall:
        """Write down that a call begins.

        Args:
            task: what the call is for: ``classification``, ``analysis``, ``chat``.
            provider: who is asked first.
            model: the model that the application asks for.
            prompt: a string or messages; only its length and hash are kept unless content is captured.
            tenant_id: on whose behalf.
            module: the part of the application that asks.
            user_id: the person who asked.
            request_id: the application's own id of the call; default is a new UUIDv7.
            temperature: as asked for.
            max_tokens: as asked for.
            metadata: anything else worth keeping, as JSON.

        Returns:
            The open call, to be used as a context manager.
        """
        key = uuid7()
        length, digest = _measured(prompt)
        begin = Begin(
            key,
            self.desk.clock(),
            plain.text(request_id) or key,
            plain.text(task) or _NOT_GIVEN,
            plain.text(provider) or _NOT_GIVEN,
            plain.text(model),
            plain.text(tenant_id),
            plain.text(module),
            plain.text(user_id),
            length,
            digest,
            plain.number(temperature),
            plain.whole(max_tokens),
            _request_metadata(metadata, temperature, max_tokens),
            self.desk.content(prompt),
        )
        kept = self._append(begin)
        return RecordedCall(self.desk, begin, kept=kept, prompt=self.desk.content(prompt, masked=True))

    def feedback(
        self,
        request_id: str,
        feedback: str,
        *,
        tenant_id: str | None = None,
        correction: str | None = None,
    ) -> bool:
        """Write down what a person thought of an answer: ``thumbs_up``, ``thumbs_down``, another word.

        Returns:
            Whether it is kept.
        """
        return self._append(
            Feedback(
                self.desk.clock(),
                plain.text(request_id) or "",
                plain.text(feedback) or "",
                plain.text(tenant_id),
                plain.text(correction),
            )
        )

    def take(self, record: CallRecord) -> bool:
        """Write down a whole call that somebody else recorded; whether it is kept."""
        return self._append(Recorded(record))

    @property
    def is_durable(self) -> bool:
        """Whether what is kept outlives this process; else only ``flush`` brings it into safety."""
        return self._writer.spool.durable

    @property
    def stats(self) -> WriterStats:
        """How much is waiting, written and lost."""
        return self._writer.stats

    @property
    def dropped(self) -> int:
        """Events and texts that will not be in the database: they had no room, or made no sense."""
        stats = self._writer.stats
        texts = self.desk.redacting.lost if self.desk.redacting is not None else 0
        return stats.dropped + stats.lost + self.desk.lost + texts

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait for at most ``timeout`` seconds; whether every finished call is in the database."""
        until = time.monotonic() + timeout
        masked = self.desk.redacting is None or self.desk.redacting.settle(timeout)
        return self._writer.flush(max(0.0, until - time.monotonic())) and masked

    def close(self, timeout: float = 5.0) -> None:
        """Write what is waiting, for at most ``timeout`` seconds, and stop recording.

        Calls that have not ended are written as ``interrupted``. What could not be written in time stays in
        the spool, for the next process or ``cajanegra spool drain``.
        """
        self._closed = True
        atexit.unregister(self._close_at_exit)
        self._settle_and_close(self._writer, timeout)

    def _settle_and_close(self, writer: Writer, timeout: float) -> None:
        until = time.monotonic() + timeout
        if self.desk.redacting is not None:
            self.desk.redacting.settle(timeout / 2)
        writer.close(max(0.0, until - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, event: Begin | Feedback | Recorded) -> bool:
        try:
            return self.desk.sink.append(event)
        except Exception as error:  # noqa: BLE001 - the promise of the recorder
            self.desk.lost += 1
            self.desk.report(error)
            return False

    def start_afresh(self) -> None:
        """In a forked child: the inherited events are the parent's to write, its connections to close."""
        self._writer.forget()
        if self._closed:
            return
        _inherited.append(self._writer)
        self._writer = self._new_writer()
        self.desk.sink = self._writer.spool
        self._start_redacting()
        _close_with_multiprocessing(self)

    def _close_at_exit(self) -> None:
        """Threads that nobody waits for may go on: what they record stays in a spool of its own."""
        writer = self._writer
        late = self._new_writer().spool
        late.on_append = None
        self.desk.sink = late
        self._settle_and_close(writer, _AT_EXIT)

    def _start_redacting(self) -> None:
        if self._redact is not None and self.desk.capture == "redacted":
            self.desk.redacting = Redacting(
                self._writer.spool, self._redact, self._writer.note_pending_contents
            )


_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()
_inherited: list[Writer] = []
"""Kept for good, since ending a connection that the parent uses would end it for the parent."""


def _start_afresh() -> None:
    for recorder in list(_recorders):
        recorder.start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def _close_with_multiprocessing(recorder: Recorder) -> None:
    """A child of ``multiprocessing`` ends without ``atexit``, but runs finalizers of its own."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(recorder, recorder._close_at_exit, exitpriority=0)  # noqa: SLF001 - of this module


def _measured(prompt: Any) -> tuple[int | None, str | None]:
    """Length and hash of a prompt; ``None`` where it is not text or messages."""
    if not isinstance(prompt, str | Sequence):  # an iterator would be used up
        return None, None
    try:
        text = prompt_text(prompt)
        return len(text), prompt_hash(text)
    except Exception:  # noqa: BLE001 - a sequence of anything
        return None, None


def _request_metadata(metadata: Any, temperature: Any, max_tokens: Any) -> dict[str, Any] | None:
    """The application's metadata, and what it gave as a number that is none."""
    kept = plain.mapping(metadata) if metadata is not None else {}
    changed = {}
    for name, value in (("temperature", temperature), ("max_tokens", max_tokens)):
        if value is not None and plain.number(value) is None:
            changed[name] = plain.text(value)
    if changed:
        kept["changed"] = changed
    return kept or None
