"""The interfaces between the parts. Parts never import each other: they meet here and in ``bootstrap``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from cajanegra.domain.alert import Alert, Delivery, Explained, PatternState, Traffic
from cajanegra.domain.call import Answer, ChatRequest, Chunk, Cost, Message, Operation, Usage
from cajanegra.domain.events import Event
from cajanegra.domain.failure import Failure
from cajanegra.domain.outcome import Outcome
from cajanegra.domain.pattern import Pattern
from cajanegra.domain.record import Batch


class EventSink(Protocol):
    """Where the recorder puts events. Shared by all threads."""

    def append(self, event: Event) -> bool:
        """Keep an event without waiting and without raising; what cannot be kept is counted.

        Returns:
            Whether it is kept.
        """


@dataclass(frozen=True, slots=True)
class Prepared:
    """Records, and what the store that is to write them has made of them."""

    batch: Batch
    rows: Any = field(repr=False)
    position: int = field(init=False)
    """Of the record that stands last in its track."""

    def __post_init__(self) -> None:
        """Look for it once."""
        object.__setattr__(self, "position", self.batch.position)


class GiveWay(Protocol):
    """To be called between small pieces of work: others get their turn, if it is time to."""

    def __call__(self) -> None:
        """Give way, and rest while others are busy."""

    def briefly(self) -> None:
        """Give way without a rest: somebody may wait for what is being done."""


class CallStore(Protocol):
    """Where finished calls end up. ``prepare`` may run beside the other methods, which one thread uses."""

    def prepare(self, batch: Batch) -> Prepared:
        """Do what can be done without the database."""

    def write(self, parts: Iterable[Prepared], track: str = "") -> int:
        """Write the parts, as they come, in one transaction and return how many calls were new.

        Of a track, what stands at or before the position that the database has of it is passed over, and the
        position moves on: writing the same again changes nothing, whatever it is.

        Raises:
            SchemaError: the tables are missing.
            RejectedError: the database refuses these data, and would again.
            StorageError: the database cannot be reached or refused the batch; nothing of it was written.
        """

    def catch_up(self, give_way: GiveWay) -> None:
        """Do what can be done after a batch, if it is time to; never raises."""

    def forget(self, track: str) -> None:
        """The track is gone: nothing of it will be written again.

        Raises:
            StorageError: the database cannot be reached.
        """

    def close(self) -> None:
        """Give back every connection."""


class FailureReader(Protocol):
    """Makes a ``Failure`` of whatever an attempt ended with. Never raises."""

    def from_response(
        self, *, provider: str, model: str | None, status: int, headers: Mapping[str, str], body: str
    ) -> Failure:
        """Read a response with an error status; header names are lower case."""

    def from_exception(self, error: BaseException, *, provider: str, model: str | None) -> Failure:
        """Read an exception of any client library; a ``ProviderError`` gives its own failure."""


class LogReader(Protocol):
    """Makes a ``Failure`` of what somebody else wrote down of one. Never raises."""

    def from_log(
        self,
        message: str,
        *,
        provider: str = "unknown",
        http_status: int | None = None,
        exception_type: str | None = None,
        code: str | None = None,
    ) -> Failure:
        """Read a failure of which only the message need be known.

        Args:
            message: as it was logged, wrapped in whatever the logger put around it.
            provider: who failed.
            http_status: status of the response.
            exception_type: name of the exception's class, qualified or not.
            code: the provider's own error code.
        """


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known about an error pattern."""

    probable_cause: str
    suggested_action: str


class Patterns(Protocol):
    """Knows which failures have one root cause. Used by several threads at once."""

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
        """The error pattern of a failure. Never raises.

        Args:
            provider: who failed.
            kind: the failure kind.
            message: what the provider or client said, wrapped in whatever a client put around it.
            http_status: status of the response, when there was one.
            code: the provider's own error code.
            exception_type: qualified name of the exception, when there was one.
        """


class Provider(Protocol):
    """One AI provider. Safe to use from many tasks of many event loops at once."""

    name: str
    operations: frozenset[Operation]
    """What it can be asked. ``chat`` and ``stream`` do what the request says."""

    async def chat(self, request: ChatRequest, model: str, *, timeout: float) -> Answer:
        """Make one attempt.

        Args:
            request: what to ask.
            model: the provider's own name of the model.
            timeout: seconds for the whole attempt.

        Raises:
            ProviderError: the attempt failed, silent failures (an empty answer, a cut body) included.
        """

    def stream(self, request: ChatRequest, model: str, *, timeout: float) -> AsyncGenerator[Chunk]:
        """Make one streamed attempt; closing the generator closes the connection.

        The generator raises ``ProviderError`` as ``chat`` does; a stream that ends without a finish reason
        is a failure (``stream_interrupted``).
        """

    async def aclose(self) -> None:
        """Close every connection."""


class Prices(Protocol):
    """Knows what answers cost. Safe for all threads."""

    def cost(self, provider: str, model: str, usage: Usage) -> Cost | None:
        """What an answer with these tokens costs; ``None`` where nobody knows.

        Args:
            provider: who answered, by its name in the settings.
            model: the exact model.
            usage: tokens of the answer, or of a part of it.
        """


class OpenCall(Protocol):
    """A call that has begun and is being written down. None of its methods waits or raises."""

    request_id: str

    def ask_instead(self, provider: str, model: str | None) -> None:
        """The first attempt goes to another provider than the call began with, which is passed over."""

    def step(
        self,
        strategy: str,
        *,
        action: str,
        error: BaseException | None = None,
        successful: bool,
        time_ms: int | None = None,
        provider: str | None = None,
        model: str | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down a recovery step that has ended.

        Args:
            strategy: ``retry``, ``fallback`` or ``simplify``.
            action: the step in words, such as ``"ollama -> openai"``.
            error: the failure that made the step necessary.
            successful: whether the step got an answer.
            time_ms: wait and attempt together.
            provider: who was asked in this step; default is the one asked before.
            model: which model was asked in this step.
            result: why this step, the wait asked and taken, what was changed, the outcome.
        """

    def finish(
        self,
        response: Any = None,
        *,
        text: str | None = None,
        tokens_used: int | None = None,
        confidence: float | None = None,
        model: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down that the call was answered.

        Args:
            response: an ``Answer``, an SDK's response object or a dict in OpenAI's form.
            text: the answer's text, where there is no such response.
            tokens_used: total tokens, where there is no such response.
            confidence: the application's own score, 0 to 1.
            model: the exact model that answered.
            metadata: documented keys of ``response_metadata``.
        """

    def fail(
        self,
        error: BaseException,
        *,
        status: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        partial_text: str = "",
    ) -> None:
        """Write down that the call was given up; ``error`` is its last failure.

        ``status`` is ``timeout`` or ``error``; by default it follows from the failure's kind.
        """


class CallLog(Protocol):
    """Opens calls in the record."""

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
    ) -> OpenCall:
        """Write down that a call has begun; ``provider`` is the first that will be asked."""


@dataclass(frozen=True, slots=True)
class ProviderState:
    """What a process has learned of a provider's account, or of one model of it.

    Attributes:
        account: names address and key without telling the key.
        model: the model; empty for the whole account.
        provider: its name in the settings of who learned it.
        kind: the failure kind because of which it is not asked; empty when it answers again.
        until: when it may be asked again, in seconds since the Unix epoch.
        asked: whether the provider itself asked to be left alone until then.
        observed_at: when that was learned, in seconds since the Unix epoch.
    """

    account: str
    model: str
    provider: str
    kind: str
    until: float
    asked: bool
    observed_at: float


class SharedState(Protocol):
    """What the processes of an application tell one another. Used by one thread at a time, and may wait."""

    def publish(self, states: Sequence[ProviderState]) -> None:
        """Tell all other processes; what was learned later wins.

        Raises:
            StorageError: they cannot be told now.
        """

    def read(self, since: float) -> Sequence[ProviderState]:
        """What was learned since then (seconds since the Unix epoch), by this process too.

        Raises:
            StorageError: it cannot be read now.
        """

    def close(self) -> None:
        """Give back every connection."""


class AlertStore(Protocol):
    """What is worth an alert, and what was told of it, for all processes. Used by one thread at a time.

    Every method raises ``StorageError`` when the database cannot be reached or refuses. Times are aware.
    """

    def lead(self, holder: str, now: datetime, until: datetime) -> bool:
        """Be the one that sees to alerts until then; whether nobody else is."""

    def resign(self, holder: str) -> None:
        """Let another process see to them at once."""

    def patterns(self, now: datetime) -> Sequence[PatternState]:
        """The error patterns that may be worth an alert."""

    def traffic(self, since: datetime) -> Sequence[Traffic]:
        """The attempts of calls that began since then."""

    def explained(self, names: Collection[str]) -> Mapping[str, Explained]:
        """What is known of error patterns, by name."""

    def file(
        self, alerts: Sequence[Alert], targets: Collection[str], now: datetime, cooldown: timedelta, most: int
    ) -> list[Alert]:
        """Note what is to be told to each target, and return what is new to any.

        Left out is what a target was told already (the same kind, subject and episode), and of what another
        alert of the same kind was found within the cooldown. Beyond ``most`` at once, the last one of them
        says how many more there are.
        """

    def due(self, targets: Collection[str], now: datetime) -> Sequence[Delivery]:
        """What these targets are to be told now, oldest first."""

    def take(self, delivery: Delivery, next_try_at: datetime) -> bool:
        """Take on telling it; whether nobody else did. Unless it is settled it is due again then."""

    def settle(self, delivery: Delivery, now: datetime, error: str | None, *, give_up: bool = False) -> None:
        """It was told, or not for a reason; ``give_up`` says that it will not be tried again."""

    def close(self) -> None:
        """Give back every connection."""


class StoredCorrection(msgspec.Struct, frozen=True, gc=False):
    """A correction as it stands in the table, whoever wrote it there.

    Attributes:
        pattern: the error pattern that it is enabled for.
        kind: the failure kind of the pattern, as far as it is known.
        strategy: the strategy's name, or whatever stands there.
        settings: its settings as they were decoded; a text where they are no JSON.
    """

    pattern: str
    kind: str | None
    strategy: str
    settings: Any


class Lessons(Protocol):
    """What people and the record say about recovering from failures. Used by one thread, and may wait."""

    def corrections(self) -> Sequence[StoredCorrection]:
        """The corrections that are enabled now.

        Raises:
            StorageError: they cannot be read now.
        """

    def outcomes(self, after: int, limit: int) -> Sequence[Outcome]:
        """What the latest recovery steps came to, at most so many, of rows with greater ids.

        Raises:
            StorageError: they cannot be read now.
        """
