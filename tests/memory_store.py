"""Stores, readers and knowledge in memory, for tests of what stands before the database."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.domain.pattern import Pattern
from cajanegra.domain.record import Batch, CallRecord, ContentRecord, FeedbackRecord
from cajanegra.errors import RejectedError, StorageError
from cajanegra.ports import GiveWay, Prepared
from cajanegra.recording.assembler import Assembler
from cajanegra.recording.spool import Spool
from cajanegra.recording.writer import Writer


class MemoryStore:
    """A ``CallStore`` that keeps what is written, once per request id and position of a track.

    ``failures`` are raised first, one per write; a call with ``poison`` as its task is always refused.
    """

    def __init__(self, *failures: Exception, poison: str = "poison") -> None:
        self.calls: dict[str, CallRecord] = {}
        self.feedback: list[FeedbackRecord] = []
        self.contents: list[ContentRecord] = []
        self.batches: list[Batch] = []
        self.positions: dict[str, int] = {}
        self.closed = False
        self._failures = list(failures)
        self._poison = poison

    def fail_with(self, *failures: Exception) -> None:
        self._failures += failures

    def prepare(self, batch: Batch) -> Prepared:
        return Prepared(batch, None)

    def write(self, parts: Iterable[Prepared], track: str = "") -> int:
        if self._failures:
            raise self._failures.pop(0)
        done = self.positions.get(track, -1)
        records = [record for part in parts for record in part.batch if record.position > done or not track]
        batch = Batch.of(records)
        if any(call.task == self._poison for call in batch.calls):
            raise RejectedError("the row has a value that its column does not take")
        new = {call.request_id: call for call in batch.calls if call.request_id not in self.calls}
        self.calls |= new
        self.feedback += batch.feedback
        self.contents += batch.contents
        self.batches.append(batch)
        if track and records:
            self.positions[track] = batch.position
        return len(new)

    def catch_up(self, give_way: GiveWay) -> None:
        give_way()

    def forget(self, track: str) -> None:
        self.positions.pop(track, None)

    def close(self) -> None:
        self.closed = True


class BlockedStore(MemoryStore):
    """Takes nothing until it is released, as a database that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = threading.Event()

    def write(self, parts: Iterable[Prepared], track: str = "") -> int:
        self.entered.set()
        self.released.wait(30)
        return super().write(parts, track)


class Reader:
    """A ``FailureReader`` that knows timeouts and ``ProviderError``."""

    def from_response(
        self, *, provider: str, model: str | None, status: int, headers: Mapping[str, str], body: str
    ) -> Failure:
        return Failure(FailureKind.SERVER_ERROR, body, provider, model, http_status=status)

    def from_exception(self, error: BaseException, *, provider: str, model: str | None) -> Failure:
        if isinstance(error, ProviderError):
            return error.failure
        kind = FailureKind.TIMEOUT if isinstance(error, TimeoutError) else FailureKind.UNKNOWN
        return Failure(kind, str(error), provider, model, exception_type=type(error).__name__)


class PatternsByKind:
    """A ``Patterns`` that tells failures apart by provider and kind."""

    def explain(
        self,
        *,
        provider: str,
        kind: str,
        message: str,
        http_status: int | None = None,
        code: str | None = None,
        exception_type: str | None = None,
    ) -> Pattern:
        return Pattern(
            f"{provider}_{kind}",
            f"{provider} {kind}: <*>",
            f"{kind} at {provider}",
            f"look at {provider}",
            "none",
        )


def opening(*results: MemoryStore | Exception) -> Callable[[], MemoryStore]:
    """An ``open_store`` with these results, one after the other; the last stays."""
    left = list(results)

    def open_store() -> MemoryStore:
        result = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(result, Exception):
            raise result
        return result

    return open_store


def new_assembler() -> Assembler:
    """An assembler that knows nothing and masks no content."""
    return Assembler(PatternsByKind(), redacted_content=False)


def new_writer(
    open_store: Callable[[], Any],
    *,
    directory: Path | None = None,
    wait: Callable[[float], object] | None = None,
    **limits: Any,
) -> Writer:
    """A writer with a spool in a directory, by default a new one."""
    spool = Spool(directory or Path(tempfile.mkdtemp(prefix="cajanegra-test-spool-")), **limits)
    return Writer(spool, open_store, new_assembler, wait=wait)


AWAY = StorageError("postgresql://db/calls cannot be reached: connection refused")
