"""What reads a failure: this project, Drain3 and LiteLLM's exception mapping."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cajanegra.analysis.classify import Classifier
from cajanegra.analysis.knowledge import KnowledgeBase
from cajanegra.analysis.patterns import PatternBook
from cajanegra.analysis.reading import read


@dataclass(frozen=True, slots=True)
class Read:
    """What a reader found; ``None`` is what it does not tell."""

    kind: str | None = None
    recover: str | None = None
    pattern: str | None = None


Row = Mapping[str, Any]
Reader = Callable[[Row], Read]


def ours() -> Reader:
    """The library, from the logged fields to kind, first move and pattern; nothing is remembered."""
    classifier, book = Classifier(), PatternBook(KnowledgeBase())

    def find(row: Row) -> Read:
        read.cache_clear()
        failure = classifier.from_log(
            row["message"],
            provider=row["provider"] or "unknown",
            http_status=row["http_status"],
            exception_type=row["exception_type"],
        )
        pattern = book.explain(
            provider=failure.provider,
            kind=failure.kind,
            message=failure.message,
            http_status=failure.http_status,
            exception_type=failure.exception_type,
        )
        return Read(failure.kind, pattern.recover, pattern.name)

    return find


def drain3() -> Reader | None:
    """Drain3 with the masks of its own examples; its patterns depend on the order of arrival."""
    if importlib.util.find_spec("drain3") is None:
        return None
    masking = importlib.import_module("drain3.masking")
    config = importlib.import_module("drain3.template_miner_config").TemplateMinerConfig()
    config.masking_instructions = [
        masking.MaskingInstruction(pattern, name)
        for pattern, name in (
            (r"((?<=[^A-Za-z0-9])|^)(([0-9a-f]{2,}:){3,}([0-9a-f]{2,}))((?=[^A-Za-z0-9])|$)", "ID"),
            (r"((?<=[^A-Za-z0-9])|^)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})((?=[^A-Za-z0-9])|$)", "IP"),
            (r"((?<=[^A-Za-z0-9])|^)([0-9a-f]{6,} ?){3,}((?=[^A-Za-z0-9])|$)", "SEQ"),
            (r"((?<=[^A-Za-z0-9])|^)(0x[a-f0-9A-F]+)((?=[^A-Za-z0-9])|$)", "HEX"),
            (r"((?<=[^A-Za-z0-9])|^)([\-\+]?\d+)((?=[^A-Za-z0-9])|$)", "NUM"),
        )
    ]
    miner = importlib.import_module("drain3").TemplateMiner(config=config)

    def find(row: Row) -> Read:
        found = miner.add_log_message(row["message"].replace("\n", " "))
        return Read(pattern=f"{row['provider']}_{found['cluster_id']}")

    return find


_KINDS_OF_LITELLM = {
    "RateLimitError": "rate_limit",
    "AuthenticationError": "auth",
    "PermissionDeniedError": "permission",
    "NotFoundError": "model_not_found",
    "ContextWindowExceededError": "context_length",
    "ContentPolicyViolationError": "content_filter",
    "BadRequestError": "invalid_request",
    "UnsupportedParamsError": "invalid_request",
    "UnprocessableEntityError": "invalid_request",
    "Timeout": "timeout",
    "APIConnectionError": "connection",
    "ServiceUnavailableError": "overloaded",
    "BadGatewayError": "bad_gateway",
    "InternalServerError": "server_error",
    "JSONSchemaValidationError": "schema_validation",
    "APIResponseValidationError": "invalid_response",
}
_PROVIDERS_OF_LITELLM = {"vertex": "vertex_ai", "huggingface": "huggingface", "together": "together_ai"}


def litellm() -> Reader | None:
    """LiteLLM's mapping of an SDK's exception to its own classes, read as the kinds nearest to them."""
    if importlib.util.find_spec("litellm") is None:
        return None
    logging.disable(logging.CRITICAL)
    library: Any = importlib.import_module("litellm")
    library.suppress_debug_info = True
    exception_type = importlib.import_module(
        "litellm.litellm_core_utils.exception_mapping_utils"
    ).exception_type
    httpx = importlib.import_module("httpx")

    class Raised(Exception):  # noqa: N818 - stands for any SDK's error
        pass

    def find(row: Row) -> Read:
        error = Raised(row["message"])
        error.message = row["message"]  # type: ignore[attr-defined]
        if row["http_status"]:
            request = httpx.Request("POST", "https://provider.example/v1")
            error.status_code = row["http_status"]  # type: ignore[attr-defined]
            error.response = httpx.Response(row["http_status"], request=request)  # type: ignore[attr-defined]
        provider = row["provider"] or "openai"
        try:
            exception_type(
                model="m",
                original_exception=error,
                custom_llm_provider=_PROVIDERS_OF_LITELLM.get(provider, provider),
                completion_kwargs={},
                extra_kwargs={},
            )
        except Exception as mapped:  # noqa: BLE001 - its answer is what it raises
            return Read(_KINDS_OF_LITELLM.get(type(mapped).__name__, "unknown"))
        return Read("unknown")

    return find


READERS: dict[str, Callable[[], Reader | None]] = {
    "cajanegra": ours,
    "Drain3": drain3,
    "LiteLLM": litellm,
}
