"""What calls have learned of the providers, for all calls: who rests until when, how fast, what fits."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.bell import Bell
from cajanegra.recovery.budget import RetryBudget
from cajanegra.recovery.demands import Demands
from cajanegra.recovery.gate import (
    FIRST_DEAD_REST,
    FIRST_REST,
    LONGEST_DEAD_REST,
    LONGEST_REST,
    Gate,
)
from cajanegra.recovery.pace import Paces
from cajanegra.recovery.target import Target
from cajanegra.recovery.windows import Windows

Key = tuple[str, str]
"""Account and model; an empty model stands for the whole account."""

CLOCK_MARGIN = 0.05
"""Seconds on top of a Retry-After: the provider began to count before we read it."""

_DEAD_ACCOUNT = frozenset(
    {FailureKind.AUTH, FailureKind.QUOTA_EXHAUSTED, FailureKind.REGION_BLOCKED, FailureKind.TLS}
)
"""They concern every model of the account."""
_DEAD_MODEL = frozenset({FailureKind.PERMISSION, FailureKind.MODEL_NOT_FOUND, FailureKind.DEPRECATED})
"""They may concern one model alone."""
_PASSING = frozenset(
    {
        FailureKind.CONNECTION,
        FailureKind.DNS,
        FailureKind.OVERLOADED,
        FailureKind.SERVER_ERROR,
        FailureKind.BAD_GATEWAY,
        FailureKind.OUT_OF_MEMORY,
        FailureKind.MODEL_LOADING,
        FailureKind.INVALID_RESPONSE,
        FailureKind.STREAM_INTERRUPTED,
        FailureKind.UNKNOWN,
    }
)
"""They say that the provider is not well, whatever it is asked. All others are about the request."""
_SILENT = (FailureKind.TIMEOUT, FailureKind.CONNECTION, FailureKind.DNS, FailureKind.TLS)
"""Nothing was heard of the provider: they say nothing of its limits and keys."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to make one attempt; whether it is on trial, for the account and for the model."""

    key: Key
    account_tried: bool
    model_tried: bool

    @property
    def probing(self) -> bool:
        """Whether the attempt finds out if the target is well again."""
        return self.account_tried or self.model_tried


class Health:
    """Shared by all calls of a client. Safe for all threads; nothing in it waits.

    Args:
        clock: seconds, monotonic.
        retry_budget: size of the token bucket per account and tenant; 0 is no limit.

    Attributes:
        on_change: told of an account or model that was closed, with the kind of failure, or that answers
            again, with an empty kind; called on the thread of whoever learned it.
    """

    def __init__(self, clock: Callable[[], float], retry_budget: int = 0) -> None:
        self.on_change: Callable[[Key, str, Gate], None] | None = None
        self.start_afresh()
        self.paces = Paces()
        self.windows = Windows()
        self.demands = Demands(clock)
        self.budget = RetryBudget(retry_budget, clock)
        self._clock = clock
        self._gates: dict[Key, Gate] = {}

    def start_afresh(self) -> None:
        """In a forked child: what was learned stays; the locks and the attempts are the parent's."""
        self.bell = Bell()
        self._lock = threading.RLock()
        self._under_way: dict[str, int] = {}

    def now(self) -> float:
        """Seconds of the clock that all of this goes by."""
        return self._clock()

    def wait(self, target: Target, *, urgent: bool, hesitation: float = 0.0) -> float:
        """Seconds until a target may be asked; infinite where that depends on attempts that are under way.

        Args:
            target: who would be asked.
            urgent: whether there is nobody else, so that a rest of our own choice may be cut short.
            hesitation: seconds for which a probe is left to other calls that may come.
        """
        account, model = target.key
        if target.max_in_flight is not None and self._under_way.get(account, 0) >= target.max_in_flight:
            return math.inf
        if not self._gates:
            return 0.0
        now = self._clock()
        gates = (self._gates.get((account, "")), self._gates.get((account, model)))
        waits = [gate.wait(now, urgent=urgent, hesitation=hesitation) for gate in gates if gate is not None]
        return max(waits, default=0.0)

    def why(self, target: Target) -> Failure | None:
        """The failure because of which a target is not asked."""
        account, model = target.key
        gates = [gate for key in ((account, ""), (account, model)) if (gate := self._gates.get(key))]
        closed = [gate for gate in gates if gate.trial is not None]
        return max(closed, key=lambda gate: gate.closed_until).failure if closed else None

    def enter(self, target: Target, *, urgent: bool, hesitation: float = 0.0) -> Pass | None:
        """Leave to ask a target now, to be handed back with ``answered``, ``failed`` or ``left``."""
        account, model = target.key
        with self._lock:
            if self.wait(target, urgent=urgent, hesitation=hesitation) > 0:
                return None
            self._under_way[account] = self._under_way.get(account, 0) + 1
            whole, one = self._gates.get((account, "")), self._gates.get((account, model))
            return Pass(target.key, whole is not None and whole.enter(), one is not None and one.enter())

    def answered(self, leave: Pass) -> None:
        """The attempt was answered."""
        with self._lock:
            self._leave(leave)
            if self._gates:
                self._well((leave.key[0], ""), tried=leave.account_tried)
                self._well(leave.key, tried=leave.model_tried)
        self.bell.ring()

    def failed(self, leave: Pass, failure: Failure) -> None:
        """The attempt failed, by no fault of the call's own impatience."""
        with self._lock:
            self._leave(leave)
            self._note(leave, failure)
        self.bell.ring()

    def left(self, leave: Pass) -> None:
        """The attempt ended and says nothing of the provider: it was cancelled, or had too little time."""
        with self._lock:
            self._leave(leave)
        self.bell.ring()

    def adopt(self, key: Key, until: float, failure: Failure | None, *, asked: bool) -> None:
        """What another process has learned.

        Args:
            key: account and model.
            until: clock time until which it is closed.
            failure: why; ``None`` when it is well again.
            asked: whether the provider asked for it.
        """
        with self._lock:
            if failure is not None:
                self._gate(key).adopt(until, failure, self._clock(), asked=asked)
            elif (gate := self._gates.get(key)) is not None and gate.not_before <= self._clock():
                gate.reopen()
        self.bell.ring()

    def _leave(self, leave: Pass) -> None:
        account = leave.key[0]
        self._under_way[account] = max(self._under_way.get(account, 0) - 1, 0)
        if not self._gates:
            return
        for key, tried in (((account, ""), leave.account_tried), (leave.key, leave.model_tried)):
            if (gate := self._gates.get(key)) is not None:
                gate.leave(tried=tried)

    def _note(self, leave: Pass, failure: Failure) -> None:
        now, kind = self._clock(), failure.kind
        account: Key = (leave.key[0], "")
        tried = leave.account_tried
        if failure.retry_after is not None:
            gate = self._gate(account)
            gate.hold(now + failure.retry_after + CLOCK_MARGIN, failure)
            self._tell(account, kind)
        elif kind is FailureKind.RATE_LIMIT:
            self._rest(account, failure, tried=tried, first=FIRST_REST, longest=LONGEST_REST)
        elif kind in _DEAD_ACCOUNT:
            self._rest(account, failure, tried=tried, first=FIRST_DEAD_REST, longest=LONGEST_DEAD_REST)
        elif kind not in _SILENT:
            self._well(account, tried=tried)
        tried = leave.model_tried
        if kind in _DEAD_MODEL:
            self._rest(leave.key, failure, tried=tried, first=FIRST_DEAD_REST, longest=LONGEST_DEAD_REST)
        elif kind is FailureKind.TIMEOUT:  # whoever waits for it next would wait as long
            self._rest(leave.key, failure, tried=tried, first=FIRST_REST, longest=LONGEST_REST)
        elif kind in _PASSING and failure.retry_after is None:
            gate = self._gate(leave.key)
            gate.trouble(failure, now, tried=tried)
            if gate.trial is not None:
                self._tell(leave.key, kind)
        elif kind not in _DEAD_ACCOUNT and kind is not FailureKind.RATE_LIMIT:
            self._well(leave.key, tried=tried)

    def _rest(self, key: Key, failure: Failure, *, tried: bool, first: float, longest: float) -> None:
        self._gate(key).rest(failure, self._clock(), first=first, longest=longest, tried=tried)
        self._tell(key, failure.kind)

    def _well(self, key: Key, *, tried: bool) -> None:
        gate = self._gates.get(key)
        if gate is not None and gate.answered(self._clock(), tried=tried) and tried:
            self._tell(key, "")

    def _gate(self, key: Key) -> Gate:
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = Gate()
        return gate

    def _tell(self, key: Key, kind: str) -> None:
        if self.on_change is not None:
            self.on_change(key, kind, self._gates[key])
