"""What calls have learned of the providers, for all calls: who rests until when, how fast, what fits."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import msgspec

from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.recovery.budget import RetryBudget
from cajanegra.recovery.demands import Demands
from cajanegra.recovery.gate import (
    FIRST_DEAD_REST,
    FIRST_REST,
    LONGEST_DEAD_REST,
    LONGEST_REST,
    Gate,
)
from cajanegra.recovery.lines import Lines, Place
from cajanegra.recovery.memory import Memory
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


class Pass(msgspec.Struct, frozen=True, gc=False):
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
        self._gates = Memory[Key, Gate]()

    def start_afresh(self) -> None:
        """In a forked child: what was learned stays; the locks and the attempts are the parent's."""
        self.lines = Lines(self._room)
        self._lock = threading.RLock()
        self._under_way: dict[str, int] = {}

    def now(self) -> float:
        """Seconds of the clock that all of this goes by."""
        return self._clock()

    def wait(self, target: Target, *, urgent: bool, place: Place | None = None) -> float:
        """Seconds until a target may be asked; infinite where that depends on others, who ask or were first.

        Args:
            target: who would be asked.
            urgent: whether there is nobody else, so that a rest of our own choice may be cut short.
            place: of the call that would ask; a probe is left for a while to calls with more attempts left.
        """
        account, model = target.key
        if target.max_in_flight is not None and self._under_way.get(account, 0) >= target.max_in_flight:
            return math.inf
        if not self._gates and not self.lines:
            return 0.0
        now, hesitation = self._clock(), 0.0 if place is None else place.hesitation
        gates = (self._gates.get((account, "")), self._gates.get((account, model)))
        waits = [gate.wait(now, urgent=urgent, hesitation=hesitation) for gate in gates if gate is not None]
        wait = max(waits, default=0.0)
        if (
            wait <= 0
            and (place is None or not place.lines)
            and self._room(target)[0] <= self.lines.ahead(target)
        ):
            return math.inf
        return wait

    def under_way(self, target: Target) -> int:
        """Attempts that are under way at a target's account."""
        return self._under_way.get(target.key[0], 0)

    def why(self, target: Target) -> Failure | None:
        """The failure because of which a target is not asked."""
        account, model = target.key
        gates = [gate for key in ((account, ""), (account, model)) if (gate := self._gates.get(key))]
        closed = [gate for gate in gates if gate.trial is not None]
        return max(closed, key=lambda gate: gate.closed_until).failure if closed else None

    def enter(self, target: Target, *, urgent: bool, place: Place | None = None) -> Pass | None:
        """Leave to ask a target now, to be handed back with ``answered``, ``failed`` or ``left``."""
        account, model = target.key
        with self._lock:
            if self.wait(target, urgent=urgent, place=place) > 0:
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
        self.lines.look(leave.key[0])

    def failed(self, leave: Pass, failure: Failure) -> None:
        """The attempt failed, by no fault of the call's own impatience."""
        with self._lock:
            self._leave(leave)
            self._note(leave, failure)
        self.lines.look(leave.key[0])

    def left(self, leave: Pass) -> None:
        """The attempt ended and says nothing of the provider: it was cancelled, or had too little time."""
        with self._lock:
            self._leave(leave)
        self.lines.look(leave.key[0])

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
        self.lines.look(key[0])

    def _room(self, target: Target) -> tuple[float, bool]:
        """How many more may ask a target, and whether the next one of them probes."""
        account, model = target.key
        now, room, probes = self._clock(), math.inf, False
        for key in ((account, ""), (account, model)):
            if (gate := self._gates.get(key)) is not None:
                room, probes = min(room, gate.room(now)), probes or gate.probes(now)
        if target.max_in_flight is not None:
            room = min(room, target.max_in_flight - self._under_way.get(account, 0))
        return room, probes

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
        if gate is None:
            return
        awaited = self.lines.stand_for(key[0])
        if gate.answered(self._clock(), tried=tried, awaited=awaited) and tried:
            self._tell(key, "")

    def _gate(self, key: Key) -> Gate:
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = Gate()
        return gate

    def _tell(self, key: Key, kind: str) -> None:
        if self.on_change is not None:
            self.on_change(key, kind, self._gates[key])
