"""What fields other than the message tell: class names of exceptions, and HTTP statuses."""

from __future__ import annotations

from cajanegra.domain.failure import FailureKind as Kind
from cajanegra.domain.pattern import FirstMove

FIRST_MOVES: dict[Kind, FirstMove] = {
    Kind.RATE_LIMIT: "retry",
    Kind.QUOTA_EXHAUSTED: "fallback",
    Kind.AUTH: "fallback",
    Kind.PERMISSION: "fallback",
    Kind.MODEL_NOT_FOUND: "fallback",
    Kind.CONTEXT_LENGTH: "simplify",
    Kind.MAX_TOKENS_INVALID: "simplify",
    Kind.CONTENT_FILTER: "fallback",
    Kind.INVALID_REQUEST: "none",
    Kind.TIMEOUT: "retry",
    Kind.CONNECTION: "retry",
    Kind.DNS: "retry",
    Kind.TLS: "retry",
    Kind.OVERLOADED: "retry",
    Kind.SERVER_ERROR: "retry",
    Kind.BAD_GATEWAY: "retry",
    Kind.OUT_OF_MEMORY: "fallback",
    Kind.MODEL_LOADING: "retry",
    Kind.INVALID_RESPONSE: "retry",
    Kind.SCHEMA_VALIDATION: "retry",
    Kind.REFUSAL: "fallback",
    Kind.TOOL_CALL: "none",
    Kind.STREAM_INTERRUPTED: "retry",
    Kind.PAYLOAD_TOO_LARGE: "simplify",
    Kind.REGION_BLOCKED: "fallback",
    Kind.DEPRECATED: "fallback",
    Kind.CANCELLED: "none",
    Kind.INTERRUPTED: "none",
    Kind.UNKNOWN: "fallback",
}
"""What is usual for a kind. ``retry``: it may work later. ``fallback``: another may serve it. ``simplify``: ask for
less. ``none``: a person has to act, or nobody wants it repeated."""

STATUSES: dict[int, Kind] = {
    400: Kind.INVALID_REQUEST,
    401: Kind.AUTH,
    402: Kind.QUOTA_EXHAUSTED,
    403: Kind.PERMISSION,
    404: Kind.MODEL_NOT_FOUND,
    405: Kind.INVALID_REQUEST,
    408: Kind.TIMEOUT,
    409: Kind.SERVER_ERROR,
    410: Kind.DEPRECATED,
    413: Kind.PAYLOAD_TOO_LARGE,
    415: Kind.INVALID_REQUEST,
    422: Kind.INVALID_REQUEST,
    424: Kind.SERVER_ERROR,
    425: Kind.MODEL_LOADING,
    429: Kind.RATE_LIMIT,
    451: Kind.REGION_BLOCKED,
    498: Kind.CONTENT_FILTER,
    499: Kind.CANCELLED,
    500: Kind.SERVER_ERROR,
    502: Kind.BAD_GATEWAY,
    503: Kind.OVERLOADED,
    504: Kind.BAD_GATEWAY,
    520: Kind.BAD_GATEWAY,
    521: Kind.BAD_GATEWAY,
    522: Kind.BAD_GATEWAY,
    523: Kind.BAD_GATEWAY,
    524: Kind.TIMEOUT,
    525: Kind.TLS,
    526: Kind.TLS,
    529: Kind.OVERLOADED,
}
"""RFC 9110; 498 is Cohere's, 499 nginx's, 520 to 526 Cloudflare's, 529 Anthropic's own."""

PRECISE_STATUSES = frozenset({401, 402, 405, 408, 410, 415, 425, 451, 498, 499, 504, *range(520, 530)})
"""Statuses that say more than the words beside them; any other only says whose fault it is."""

DECISIVE_EXCEPTIONS: dict[str, Kind] = {
    "CancelledError": Kind.CANCELLED,
    "KeyboardInterrupt": Kind.CANCELLED,
    "GeneratorExit": Kind.CANCELLED,
    "gaierror": Kind.DNS,
    "ClientConnectorDNSError": Kind.DNS,
    "NameResolutionError": Kind.DNS,
    "SSLError": Kind.TLS,
    "SSLCertVerificationError": Kind.TLS,
    "ClientConnectorCertificateError": Kind.TLS,
    "ClientSSLError": Kind.TLS,
}
"""Classes that mean one thing only, whatever their message says."""

EXCEPTIONS: dict[str, Kind] = {
    # Of the exception itself or of a base class: the SDKs and HTTP clients name them alike.
    "RateLimitError": Kind.RATE_LIMIT,
    "AuthenticationError": Kind.AUTH,
    "PermissionDeniedError": Kind.PERMISSION,
    "NotFoundError": Kind.MODEL_NOT_FOUND,
    "OverloadedError": Kind.OVERLOADED,
    "ServiceUnavailableError": Kind.OVERLOADED,
    "InternalServerError": Kind.SERVER_ERROR,
    "UnprocessableEntityError": Kind.INVALID_REQUEST,
    "BadRequestError": Kind.INVALID_REQUEST,
    "InvalidRequestError": Kind.INVALID_REQUEST,
    "ContextWindowExceededError": Kind.CONTEXT_LENGTH,
    "ContentPolicyViolationError": Kind.CONTENT_FILTER,
    "LengthFinishReasonError": Kind.INVALID_RESPONSE,
    "ContentFilterFinishReasonError": Kind.CONTENT_FILTER,
    "APITimeoutError": Kind.TIMEOUT,
    "Timeout": Kind.TIMEOUT,
    "TimeoutException": Kind.TIMEOUT,
    "TimeoutError": Kind.TIMEOUT,
    "ServerTimeoutError": Kind.TIMEOUT,
    "JSONDecodeError": Kind.INVALID_RESPONSE,
    "DecodeError": Kind.INVALID_RESPONSE,
    "ContentTypeError": Kind.INVALID_RESPONSE,
    "OutputParserException": Kind.INVALID_RESPONSE,
    "ValidationError": Kind.SCHEMA_VALIDATION,
    "IncompleteRead": Kind.STREAM_INTERRUPTED,
    "IncompleteReadError": Kind.STREAM_INTERRUPTED,
    "ClientPayloadError": Kind.STREAM_INTERRUPTED,
    "ChunkedEncodingError": Kind.STREAM_INTERRUPTED,
    "RemoteProtocolError": Kind.STREAM_INTERRUPTED,
    "ServerDisconnectedError": Kind.CONNECTION,
    "APIConnectionError": Kind.CONNECTION,
    "ConnectError": Kind.CONNECTION,
    "ConnectionError": Kind.CONNECTION,
    "ClientConnectionError": Kind.CONNECTION,
    "NetworkError": Kind.CONNECTION,
    "URLError": Kind.CONNECTION,
    "MemoryError": Kind.OUT_OF_MEMORY,
    "APIError": Kind.SERVER_ERROR,
}
