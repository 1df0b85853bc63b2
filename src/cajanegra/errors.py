"""Every error that cajanegra raises on purpose.

    CajanegraError
    ├── SettingsError       a setting is unknown, malformed or missing
    ├── UsageError          an argument that cannot mean anything: an unknown filter, a negative limit
    ├── StorageError        the database could not be reached or refused
    │   ├── SchemaError     its tables are missing or not as they must be
    │   └── RejectedError   it refuses these data, and would again
    ├── AlertError          an alert was not taken by the one who should be told
    ├── ProviderError       one attempt failed (carries its ``failure``); defined in ``domain.failure``
    └── CallError           a call could not be answered by any provider in time

Their messages are one sentence that says what was wrong and what to do, fit to be shown to a user.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class CajanegraError(Exception):
    """Base of all errors raised by cajanegra."""


class SettingsError(CajanegraError):
    """A setting is unknown, malformed or missing."""


class UsageError(CajanegraError):
    """An argument that cannot mean anything."""


class StorageError(CajanegraError):
    """The database could not be reached, or refused."""


class SchemaError(StorageError):
    """The tables are missing, or not as they must be."""


class RejectedError(StorageError):
    """The database refuses these data; trying the same again cannot help."""


class AlertError(CajanegraError):
    """An alert was not taken by the one who should be told."""


class CallError(CajanegraError):
    """A call that no provider answered in time; the last failure is its ``__cause__``.

    Attributes:
        kind: the failure kind of the last failure (``domain.failure.FailureKind``).
        status: the call's status as recorded, ``"error"`` or ``"timeout"``.
        request_id: finds the call in the record.
        steps: the recovery steps that were tried, in order.
        partial_text: what a stream had delivered before it failed; empty otherwise.
        failure: the last failure (``domain.failure.Failure``).
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        status: str,
        request_id: str,
        failure: Any = None,
        steps: Sequence[Any] = (),
        partial_text: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.request_id = request_id
        self.failure = failure
        self.steps = tuple(steps)
        self.partial_text = partial_text
