"""The rules by which a failure gets its kind: data, first match wins, each with the reason it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cajanegra.domain.failure import FailureKind as Kind


@dataclass(frozen=True, slots=True)
class MessageRule:
    """Failures whose text matches are of this kind.

    Attributes:
        kind: the kind.
        pattern: what the text says, whatever the case.
        reason: why that holds for messages nobody has seen yet.
    """

    kind: Kind
    pattern: re.Pattern[str]
    reason: str


CODES: dict[str, Kind] = {
    # Error codes and types that providers document; the same word means the same everywhere.
    "insufficient_quota": Kind.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": Kind.QUOTA_EXHAUSTED,
    "billing_not_active": Kind.QUOTA_EXHAUSTED,
    "billing_error": Kind.QUOTA_EXHAUSTED,
    "rate_limit_exceeded": Kind.RATE_LIMIT,
    "rate_limit_error": Kind.RATE_LIMIT,
    "too_many_requests": Kind.RATE_LIMIT,
    "throttlingexception": Kind.RATE_LIMIT,
    "invalid_api_key": Kind.AUTH,
    "authentication_error": Kind.AUTH,
    "unauthenticated": Kind.AUTH,
    "expiredtokenexception": Kind.AUTH,
    "unrecognizedclientexception": Kind.AUTH,
    "permission_error": Kind.PERMISSION,
    "permission_denied": Kind.PERMISSION,
    "accessdeniedexception": Kind.PERMISSION,
    "model_not_found": Kind.MODEL_NOT_FOUND,
    "deploymentnotfound": Kind.MODEL_NOT_FOUND,
    "not_found_error": Kind.MODEL_NOT_FOUND,
    "model_decommissioned": Kind.DEPRECATED,
    "model_deprecated": Kind.DEPRECATED,
    "unsupported_country_region_territory": Kind.REGION_BLOCKED,
    "context_length_exceeded": Kind.CONTEXT_LENGTH,
    "string_above_max_length": Kind.PAYLOAD_TOO_LARGE,
    "request_too_large": Kind.PAYLOAD_TOO_LARGE,
    "content_filter": Kind.CONTENT_FILTER,
    "content_policy_violation": Kind.CONTENT_FILTER,
    "responsibleaipolicyviolation": Kind.CONTENT_FILTER,
    "tool_use_failed": Kind.TOOL_CALL,
    "overloaded_error": Kind.OVERLOADED,
    "engine_overloaded": Kind.OVERLOADED,
    "modelnotreadyexception": Kind.MODEL_LOADING,
    "json_validate_failed": Kind.INVALID_RESPONSE,
    "timeout_error": Kind.TIMEOUT,
    "deadline_exceeded": Kind.TIMEOUT,
    "modeltimeoutexception": Kind.TIMEOUT,
}

VAGUE_CODES: dict[str, Kind] = {
    # Words that providers also use for something more precise, which the message then says.
    "resource_exhausted": Kind.RATE_LIMIT,
    "invalid_request_error": Kind.INVALID_REQUEST,
    "invalid_argument": Kind.INVALID_REQUEST,
    "validationexception": Kind.INVALID_REQUEST,
    "unsupported_parameter": Kind.INVALID_REQUEST,
    "unsupported_value": Kind.INVALID_REQUEST,
    "api_error": Kind.SERVER_ERROR,
    "server_error": Kind.SERVER_ERROR,
    "internal": Kind.SERVER_ERROR,
    "unavailable": Kind.OVERLOADED,
    "serviceunavailableexception": Kind.OVERLOADED,
}

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
"""RFC 9110 and, from 520 on, Cloudflare's and Anthropic's own codes."""

EXCEPTIONS: dict[str, Kind] = {
    # Class names, of the exception itself or of a base class: the SDKs and HTTP clients name them alike.
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
    "RateLimitError": Kind.RATE_LIMIT,
    "AuthenticationError": Kind.AUTH,
    "PermissionDeniedError": Kind.PERMISSION,
    "NotFoundError": Kind.MODEL_NOT_FOUND,
    "OverloadedError": Kind.OVERLOADED,
    "ServiceUnavailableError": Kind.OVERLOADED,
    "InternalServerError": Kind.SERVER_ERROR,
    "UnprocessableEntityError": Kind.INVALID_REQUEST,
    "BadRequestError": Kind.INVALID_REQUEST,
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
}


def _rule(kind: Kind, pattern: str, reason: str) -> MessageRule:
    """A rule; in its pattern ``[^.]`` is what stays within a sentence, points in names and numbers included."""
    within = pattern.replace("[^.]", r"(?:[^.\n]|\.(?=\S))")
    return MessageRule(kind, re.compile(within, re.IGNORECASE), reason)


# Gaps between words are bounded, so that no text takes more than linear time.
MESSAGES: tuple[MessageRule, ...] = (
    _rule(
        Kind.DNS,
        r"name or service not known|nodename nor servname|getaddrinfo|temporary failure in name resolution"
        r"|no such host|could not resolve|failed to resolve|name resolution|ENOTFOUND|EAI_AGAIN|dns error",
        "what resolvers of every platform say",
    ),
    _rule(
        Kind.TLS,
        r"certificate (?:verify|has expired|is not)|CERTIFICATE_VERIFY_FAILED|self.signed certificate|ssl ?error"
        r"|ssl: |_ssl\.c|tls handshake|handshake failure|wrong version number|x509:|unable to get (?:local )?issuer",
        "what TLS libraries say",
    ),
    _rule(
        Kind.OUT_OF_MEMORY,
        r"out of memory|\boom\b|requires more system memory|insufficient (?:system |gpu )?memory|cannot allocate memory"
        r"|failed to allocate|unable to allocate|memory allocation",
        "what CUDA, llama.cpp and the operating system say",
    ),
    _rule(
        Kind.REGION_BLOCKED,
        r"(?:country|region|territory|location)[^.]{0,40}(?:not supported|unsupported|not available|restricted)"
        r"|not (?:available|supported) in your (?:country|region|location)|unsupported_country",
        "a place is named as the obstacle",
    ),
    _rule(
        Kind.QUOTA_EXHAUSTED,
        r"insufficient_quota|exceeded your (?:current )?(?:quota|monthly|plan)|credit balance is too low"
        r"|(?:insufficient|not enough|out of|more|no remaining) (?:\w+ )?(?:credits?|balance|funds)|payment required"
        r"|billing (?:details|hard limit|not active)|(?:spend|spending|usage|budget) limit|budget has been exceeded"
        r"|(?:daily|monthly|weekly|per day|free tier)[^.]{0,60}(?:limit|quota)|(?:limit|quota)[^.]{0,60}per.?day"
        r"|requests per day|tokens per day|\bTPD\b|\bRPD\b",
        "money, a plan, or a window of a day or longer is used up",
    ),
    _rule(
        Kind.PAYLOAD_TOO_LARGE,
        r"(?:payload|request|body|entity|image|file|content) (?:is )?(?:size )?too large|request_too_large"
        r"|string too long|exceeds? the (?:maximum|max)(?: allowed)? (?:size|length of \d+ bytes)"
        r"|request too large for|too many images|content.length exceeded",
        "one request is too big as such, whatever the context window",
    ),
    _rule(
        Kind.MAX_TOKENS_INVALID,
        r"max(?:imum)?_?(?:completion_|output_|new_)?tokens[`'\" ]{0,3}(?:is too large|must be|cannot|should be|exceeds?"
        r"|value|: \d{1,9} >|range)|maxOutputTokens|max_new_tokens|(?:invalid|unsupported) (?:value|max)[^.]{0,20}max_tokens",
        "the requested length of the answer is out of range",
    ),
    _rule(
        Kind.CONTEXT_LENGTH,
        r"context.?(?:length|window|size|limit)|maximum (?:context|prompt|input|number of) [^.]{0,30}(?:length|tokens)"
        r"|(?:prompt|input|request|messages?)(?: \w+){0,4} (?:is |are )?too (?:long|many tokens)|too many (?:input )?tokens"
        r"|(?:input|prompt) (?:token|length)[^.]{0,40}exceed|exceed(?:s|ed|ing)?[^.]{0,40}(?:context|token limit|max(?:imum)? tokens)"
        r"|reduce the length|n_ctx|exceeds the available context|longer than the model",
        "prompt, or prompt and answer, are more than the model can hold",
    ),
    _rule(
        Kind.CONTENT_FILTER,
        r"content.?(?:filter|policy|management policy|moderation)|safety (?:system|settings|filter|reasons)|responsible.?ai"
        r"|flagged (?:as|by|for)|blocked by (?:\w+ )?(?:safety|policy|filter)|usage polic|data_inspection_failed"
        r"|inappropriate content|blocked due to|finish_?reason_?:? ?safety|prohibited (?:content|use)|blockreason|finish_?reason: (?:safety|recitation)",
        "a policy on content is named",
    ),
    _rule(
        Kind.DEPRECATED,
        r"(?:model|version|endpoint)[^.]{0,80}(?:deprecated|decommissioned|retired|discontinued|no longer (?:supported|available))"
        r"|has been (?:deprecated|decommissioned|retired|shut ?down|sunset)",
        "something that existed is said to be gone",
    ),
    _rule(
        Kind.TOOL_CALL,
        r"(?:does|do) not support (?:tools?|function)|tool_calls?(?: must|[^.]{0,40}followed by)|tool_use[`'\" ]{0,3}(?:ids?|blocks?)"
        r"|tool_result|tool_call_id|tool (?:schema|choice|call|name)|(?:invalid|unknown|malformed|valid) (?:tool|function)"
        r"|tool (?:\w+ ){0,4}not found|failed to call a function"
        r"|function (?:call|declaration|arguments|name)|tools?\.\d+|tools\[\d+\]|tool_use_failed|no endpoints found that support tool",
        "tools or their results are what was rejected",
    ),
    _rule(
        Kind.RATE_LIMIT,
        r"rate.?limit|too many requests|requests? per (?:minute|min|second)|tokens? per (?:minute|min)|\b[TR]PM\b|throttl"
        r"|quota exceeded for (?:quota )?metric|resource (?:has been )?exhausted|try again in|concurren(?:t|cy)[^.]{0,30}limit",
        "a short window is named, or none",
    ),
    _rule(
        Kind.MODEL_LOADING,
        r"model[^.]{0,60}(?:is |currently |still |being )(?:loading|starting|warming)|loading (?:the )?model"
        r"|model (?:failed to load|not loaded|is (?:not ready|unloaded)|unloaded|has unloaded)|failed to load model|error loading model"
        r"|llama runner (?:process )?(?:has )?(?:not|failed)|unable to load model|no models? loaded",
        "the model is not in memory yet, or could not be brought there",
    ),
    _rule(
        Kind.AUTH,
        r"\b(?:invalid|incorrect|missing|no|bad|wrong|expired|unrecognized)\b[^.]{0,30}\b(?:api.?key|token|credential|authentication)\b"
        r"|api.?key[^.]{0,40}(?:invalid|missing|not valid|not provided|required|expired|not found|incorrect)|unauthorized|unauthenticated"
        r"|authenticat(?:ion|e)[^.]{0,20}(?:fail|required|error|invalid)|could not resolve authentication|user not found"
        r"|must (?:provide|set|be set)[^.]{0,60}(?:api.?key|credentials)|didn't provide an api key|token (?:has |is )?expired",
        "a key or token is missing, wrong or expired",
    ),
    _rule(
        Kind.MODEL_NOT_FOUND,
        r"model[^.]{0,120}(?:not found|does not exist|doesn't exist|is not (?:a valid|available|recognized)|cannot be found|unknown)"
        r"|model[^.]{0,20}[`'\"][^`'\"]{1,100}[`'\"][^.]{0,20}not found|unable to access[^.]{0,20}model"
        r"|(?:unknown|invalid|no such|unsupported) model|not a valid model|deployment[^.]{0,60}(?:not exist|not found)"
        r"|try pulling it|is not found for api version|no endpoints found|model identifier is invalid",
        "the model or deployment is said not to be there",
    ),
    _rule(
        Kind.PERMISSION,
        r"permission|forbidden|(?:organization|account|project|user)[^.]{0,20}(?:disabled|suspended|deactivated)|access denied|not authorized|not allowed to|no access to|do(?:es)? not have access|must be verified"
        r"|data policy|not (?:enabled|entitled) for (?:your|this)",
        "the caller is known and not allowed",
    ),
    _rule(
        Kind.OVERLOADED,
        r"overloaded|over capacity|at capacity|no capacity|high demand|service.?unavailable|temporarily unavailable"
        r"|server (?:is )?busy|queue is full|maximum pending|currently unavailable|capacity",
        "the provider says that it has no room",
    ),
    _rule(
        Kind.BAD_GATEWAY,
        r"bad gateway|gateway time-?out|upstream (?:connect|request|error|server)|error code 52[0-3]|web server is down|proxy error",
        "a proxy speaks of what is behind it",
    ),
    _rule(
        Kind.STREAM_INTERRUPTED,
        r"stream (?:was |has |is )?(?:ended|closed|interrupted|error|cut|disconnected|aborted|terminated)|incomplete (?:chunked )?read"
        r"|incompletely read|unexpected (?:eof|end of (?:json|file|stream|data))|peer closed connection|premature(?:ly)? close"
        r"|response ended prematurely|transfer.?encoding|content.length mismatch|before (?:message|response) complet",
        "a body that had begun was cut short",
    ),
    _rule(
        Kind.SCHEMA_VALIDATION,
        r"validation errors? for|does not match (?:the )?(?:\w+ )?schema|schema validation|failed to (?:validate|conform)"
        r"|output validation|field required|input should be",
        "an answer was parsed and had another shape",
    ),
    _rule(
        Kind.INVALID_RESPONSE,
        r"(?:empty|no|null|malformed|invalid|unparseable|unexpected) (?:\w+ )?(?:response|content|output|completion|answer|json)"
        r"|(?:response|content|output|answer) (?:is |was |text )?empty|length limit was reached"
        r"|jsondecodeerror|expecting value|unterminated string|unexpected token|invalid control character|not valid json"
        r"|failed to parse|could not parse|error parsing|extra data: line|expected (?:a )?json",
        "an answer came and cannot be read",
    ),
    _rule(
        Kind.TIMEOUT,
        r"time(?:d)?.?out|deadline.?exceeded|took too long|ETIMEDOUT|not respond(?:ing)? in time",
        "time ran out",
    ),
    _rule(
        Kind.CONNECTION,
        r"connection (?:was )?(?:forcibly|refused|reset|aborted|error|closed|failed|attempt)|ECONNREFUSED|ECONNRESET|EPIPE|broken pipe|socket hang up"
        r"|no route to host|network (?:is )?(?:unreachable|error)|could not connect|cannot connect|failed to connect|fetch failed"
        r"|server disconnected|remote end closed|all connection attempts failed|actively refused|dial tcp|connect call failed",
        "no connection, or one that broke before an answer began",
    ),
    _rule(Kind.CANCELLED, r"cancell?ed|aborted by|AbortError|interrupted by", "somebody gave up on purpose"),
    _rule(
        Kind.SERVER_ERROR,
        r"internal (?:server )?error|server.?error|unexpected error|something went wrong|error (?:occurred )?while processing|error processing"
        r"|runner (?:process )?(?:has )?(?:terminated|crashed|stopped)|exit status|segmentation|panic|status code:? 500|\b500\b",
        "the provider failed inside, a crash of its runner included",
    ),
    _rule(
        Kind.INVALID_REQUEST,
        r"invalid[_ ]request|bad request|unsupported|not supported|unrecognized|unknown (?:field|parameter|name)|invalid (?:value|type|argument)"
        r"|missing required|must (?:be|have|contain|alternate|not)|extra (?:fields|inputs)|is required|unexpected (?:role|keyword)"
        r"|not permitted|expected (?:a|an) |cannot be (?:empty|null)|non-empty|method not allowed",
        "the request itself is said to be wrong",
    ),
)
