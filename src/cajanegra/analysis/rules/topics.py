"""What a message is about, where no phrase says what went wrong with it: one telling word decides."""

from __future__ import annotations

from cajanegra.analysis.phrases import Rule
from cajanegra.analysis.rules.fields import FIRST_MOVES
from cajanegra.domain.failure import FailureKind as Kind


def _about(kind: Kind, says: tuple[str, ...], because: str) -> Rule:
    """A guess: another provider is the move that is least often wrong, unless nobody wants it repeated."""
    unsure = FIRST_MOVES[kind] != "fallback" and kind is not Kind.CANCELLED
    return Rule(f"about_{kind}", kind, says, because, recover="fallback" if unsure else None, broad=True)


TOPICS: tuple[Rule, ...] = (
    _about(
        Kind.DNS,
        (
            "dns",
            "hostname",
            "host name",
            "name resolution",
            "resolver",
            "(resolve|lookup) .. (host|address|domain)",
        ),
        "only name resolution speaks of names of hosts",
    ),
    _about(
        Kind.TLS,
        ("ssl", "tls", "certificate(s|)", "handshake"),
        "only encryption speaks of certificates and handshakes",
    ),
    _about(
        Kind.TIMEOUT,
        (
            "deadline",
            "(in|on) time",
            "too slow",
            "idle",
            "(waited|waiting) (for|too)",
            "time limit",
            "stalled",
            "unresponsive",
        ),
        "somebody waited, and says so",
    ),
    _about(
        Kind.CANCELLED,
        (
            "cancel(l|)ation",
            "cancel(s|ling|ing|)",
            "abort(s|ed|ing|)",
            "interrupt(ed|ion|)",
            "(event loop|session|client) is closed",
        ),
        "somebody ended it before it was done",
    ),
    _about(
        Kind.CONTENT_FILTER,
        (
            "(unsafe|harmful|sensitive|inappropriate|offensive|violence|sexual|toxic|nsfw|moderated|guidelines|safety)",
            "content polic(y|ies)",
        ),
        "words by which policies on content are known",
    ),
    _about(
        Kind.QUOTA_EXHAUSTED,
        (
            "(billing|credits|balance|payment|paid|invoice|purchase|prepaid|budget|spend|spending|subscribe|overdue|wallet|licenses|licences)",
            "quota",
            "allowance",
            "free (tier|trial|plan)",
        ),
        "money or an allowance is spoken of",
    ),
    _about(
        Kind.RATE_LIMIT,
        (
            "concurren(cy|t)",
            "throttle(s|d|)",
            "rate",
            "rps",
            "too (many|fast|often)",
            "frequency",
            "limit(s|) .. (reached|exceeded|hit)",
            "limiter",
            "cooldown",
            "cool down",
            "back off",
        ),
        "how often one may ask is spoken of",
    ),
    _about(
        Kind.OUT_OF_MEMORY,
        ("(memory|ram|vram|resources|malloc|swap)", "allocat(e|ed|ion|or)"),
        "memory of a machine is spoken of",
    ),
    _about(
        Kind.TOOL_CALL,
        ("tool(s|)", "function (name|names|call|calls|arguments)", "tool (name|call)"),
        "tools of a model are spoken of",
    ),
    _about(
        Kind.CONTEXT_LENGTH,
        (
            "(context|prompt|input|inputs) .. (tokens|length|long|longer|large|larger|size)",
            "(tokens|token) .. (exceed|exceeds|exceeded|maximum|limit|max)",
            "context window",
        ),
        "how long the prompt is is spoken of",
    ),
    _about(
        Kind.AUTH,
        (
            "(credential|credentials|login|logon|authentication|authenticate|authenticated|authorization|oauth|sso|password|bearer|signin)",
            "(api|secret|access) key(s|)",
            "(token|tokens) .. (invalid|rejected|denied|required|missing)",
            "sign in",
        ),
        "who the caller is is spoken of",
    ),
    _about(
        Kind.PERMISSION,
        (
            "(permission|permissions|privilege|privileges|entitled|entitlement|administrator|admin|whitelist|allowlist|allowed|denied|restricted|restriction|eligible|approval)",
            "access to",
            "polic(y|ies)",
        ),
        "what the caller may is spoken of",
    ),
    _about(
        Kind.MODEL_LOADING,
        (
            "(load|loading|loaded|unload|unloaded|warmup|warming)",
            "(start|starting|started) .. (model|runner|server|instance)",
        ),
        "bringing a model into memory is spoken of",
    ),
    _about(
        Kind.MODEL_NOT_FOUND,
        (
            "(unknown|no|not|cannot|invalid|find|exist|available|supported) .. (model|models|deployment|endpoint)",
            "(model|models|deployment|endpoint) .. (not|unknown|invalid|found|exist|available|supported)",
            "not found",
        ),
        "a model is spoken of, and that something is not so",
    ),
    _about(
        Kind.OVERLOADED,
        (
            "(busy|capacity|demand|traffic|overload|overloading|congested|congestion|queue|queued|unavailable|maintenance|outage|saturated)",
            "try again (later|soon|shortly)",
            "no .. available",
            "not available",
        ),
        "how busy the provider is is spoken of",
    ),
    _about(
        Kind.SERVER_ERROR,
        (
            "(crash|crashed|crashes|cuda|gpu|kernel|segfault|panicked|assertion|traceback|stacktrace|died|worker|runner|core)",
        ),
        "what runs the model is spoken of",
    ),
    _about(
        Kind.SCHEMA_VALIDATION,
        (
            "(schema|validation|validate|validator|pydantic|zod)",
            "(expected|required) .. (field|type|property)",
        ),
        "the shape of an answer is spoken of",
    ),
    _about(
        Kind.INVALID_RESPONSE,
        (
            "(parse|parsed|parser|parsing|json|xml|yaml|regex|decode|decoding|unmarshal|deserialize|unparsable|format|codec|markdown)",
        ),
        "reading an answer is spoken of",
    ),
    _about(
        Kind.STREAM_INTERRUPTED,
        (
            "(stream|streaming|sse|chunk|chunks|chunked|truncated|incomplete|unfinished|prematurely|terminated)",
        ),
        "a stream or the end of one is spoken of",
    ),
    _about(
        Kind.BAD_GATEWAY,
        ("(gateway|upstream|backend|origin|cloudflare|nginx|proxy)", "(failed|fails) to respond"),
        "something behind a proxy is spoken of",
    ),
    _about(
        Kind.CONNECTION,
        (
            "(connection|connections|connect|connecting|connected|disconnect|disconnected|socket|network|offline|reachable|refused|internet|tcp|reset|closed)",
        ),
        "a connection is spoken of",
    ),
    _about(
        Kind.INVALID_REQUEST,
        (
            "(parameter|parameters|argument|arguments|payload|header|headers|template|url|specify|specified|syntax|encoding|configuration|misconfigured|keyword|fields|role|roles|image|images)",
        ),
        "a part of the request is spoken of",
    ),
)
"""Asked last of all, of messages that would else be of no kind: words in the order of how much they tell."""
