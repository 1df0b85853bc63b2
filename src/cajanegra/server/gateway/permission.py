"""Which models a key may ask for."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from cajanegra.domain.call import Operation
from cajanegra.errors import SettingsError, UsageError
from cajanegra.recovery.target import Target
from cajanegra.server.gateway.refusals import RefusalError
from cajanegra.server.gateway.upstream import Upstream
from cajanegra.storage.keys import Key


def permitted(upstream: Upstream, model: str, operation: Operation, key: Key | None) -> Sequence[Target]:
    """Whom a request for a model may ask: never a model, by fallback either, that the key is not for.

    A key that is for an alias may ask whatever the alias stands for.

    Raises:
        RefusalError: nobody.
    """
    try:
        targets = upstream.targets(model, operation)
    except UsageError as error:
        raise RefusalError(400, str(error), code="unsupported_operation", param="model") from None
    except SettingsError as error:
        raise RefusalError(503, str(error), code="no_provider") from None
    allowed = key.limits.models if key is not None and key.limits is not None else ()
    is_alias = model in upstream.settings.models
    if not allowed or (is_alias and _matches(model, allowed)):
        return targets
    left = [
        one
        for one in targets
        if _matches(f"{one.provider.name}/{one.model}", allowed) or _matches(one.model, allowed)
    ]
    if not left or (not is_alias and left[0] is not targets[0]):
        text = f"this key is not for the model {model!r}; GET /v1/models lists what it is for"
        raise RefusalError(403, text, code="model_not_allowed", param="model")
    return left


def is_listed(upstream: Upstream, name: str, key: Key | None) -> bool:
    """Whether a key is shown a name."""
    for operation in Operation:
        try:
            permitted(upstream, name, operation, key)
        except RefusalError:
            continue
        return True
    return False


def _matches(name: str, allowed: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in allowed)
