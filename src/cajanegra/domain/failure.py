"""What can go wrong with an attempt, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cajanegra.errors import CajanegraError


class FailureKind(StrEnum):
    """Why an attempt failed: a closed set, stored as ``error_code``."""

    RATE_LIMIT = "rate_limit"
    QUOTA_EXHAUSTED = "quota_exhausted"
    AUTH = "auth"
    PERMISSION = "permission"
    MODEL_NOT_FOUND = "model_not_found"
    CONTEXT_LENGTH = "context_length"
    MAX_TOKENS_INVALID = "max_tokens_invalid"
    CONTENT_FILTER = "content_filter"
    INVALID_REQUEST = "invalid_request"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    DNS = "dns"
    TLS = "tls"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    OUT_OF_MEMORY = "out_of_memory"
    MODEL_LOADING = "model_loading"
    INVALID_RESPONSE = "invalid_response"
    SCHEMA_VALIDATION = "schema_validation"
    REFUSAL = "refusal"
    TOOL_CALL = "tool_call"
    STREAM_INTERRUPTED = "stream_interrupted"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    REGION_BLOCKED = "region_blocked"
    DEPRECATED = "deprecated"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that went wrong.

    Attributes:
        kind: why.
        message: the provider's or client's own words; secrets are masked when it is stored.
        provider: who was asked.
        model: the model that was asked, when known.
        http_status: status of the response, when there was one.
        code: the provider's own error code or type, such as ``insufficient_quota``.
        exception_type: qualified name of the exception, when there was one.
        retry_after: seconds that the provider asked to wait.
    """

    kind: FailureKind
    message: str
    provider: str
    model: str | None = None
    http_status: int | None = None
    code: str | None = None
    exception_type: str | None = None
    retry_after: float | None = None


class ProviderError(CajanegraError):
    """One attempt failed; ``failure`` says how, ``partial_text`` what a stream had delivered before."""

    def __init__(self, failure: Failure, partial_text: str = "") -> None:
        super().__init__(f"{failure.provider}: {failure.kind}: {failure.message}")
        self.failure = failure
        self.partial_text = partial_text
