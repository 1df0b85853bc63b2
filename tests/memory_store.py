"""A ``CallStore`` in memory, and the other ports that recording needs, for tests without a database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.domain.record import Batch, CallRecord, FeedbackRecord
from cajanegra.errors import RejectedError, StorageError
from cajanegra.ports import Explanation


class MemoryStore:
    """Keeps what is written, once per request id.

    ``failures`` are raised first, one per write; a call with ``poison`` as its task is always refused.
    """

    def __init__(self, *failures: Exception, poison: str = "poison") -> None:
        self.calls: dict[str, CallRecord] = {}
        self.feedback: list[FeedbackRecord] = []
        self.batches: list[Batch] = []
        self.closed = False
        self._failures = list(failures)
        self._poison = poison

    def fail_with(self, *failures: Exception) -> None:
        self._failures += failures

    def write(self, batch: Batch) -> int:
        if self._failures:
            raise self._failures.pop(0)
        if any(call.task == self._poison for call in batch.calls):
            raise RejectedError("the row has a value that its column does not take")
        new = {call.request_id: call for call in batch.calls if call.request_id not in self.calls}
        self.calls |= new
        self.feedback += batch.feedback
        self.batches.append(batch)
        return len(new)

    def close(self) -> None:
        self.closed = True


class BlockedStore(MemoryStore):
    """Takes nothing until it is released, as a database that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = threading.Event()

    def write(self, batch: Batch) -> int:
        self.entered.set()
        self.released.wait(30)
        return super().write(batch)


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


class Knowledge:
    """A ``Knowledge`` that says what it was asked."""

    def explain(self, provider: str, kind: str) -> Explanation:
        return Explanation(f"{kind} at {provider}", f"look at {provider}")


def opening(*results: MemoryStore | Exception) -> Callable[[], MemoryStore]:
    """An ``open_store`` with these results, one after the other; the last stays."""
    left = list(results)

    def open_store() -> MemoryStore:
        result = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(result, Exception):
            raise result
        return result

    return open_store


AWAY = StorageError("postgresql://db/calls cannot be reached: connection refused")
