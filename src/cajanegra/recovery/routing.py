"""Which targets a call may ask, from the model that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cajanegra.domain.call import Operation
from cajanegra.errors import SettingsError, UsageError
from cajanegra.ports import Provider
from cajanegra.recovery.target import Target


@dataclass(frozen=True, slots=True)
class Route:
    """A provider as the settings describe it; see ``Target`` for what is not said here.

    Attributes:
        provider: who serves.
        models: what it serves, its default first.
        context_window: tokens that its models can hold: of all of them, or by name.
    """

    provider: Provider
    models: Sequence[str]
    timeout: float
    context_window: int | Mapping[str, int] | None = None
    account: str = ""
    first_token_timeout: float | None = None
    idle_timeout: float | None = None
    max_in_flight: int | None = None
    continues: str | None = None
    weight: float = 1.0

    def to(self, model: str, operation: Operation = Operation.CHAT) -> Target:
        """The target for one of its models."""
        window = self.context_window
        return Target(
            self.provider,
            model,
            self.timeout,
            window.get(model) if isinstance(window, Mapping) else window,
            self.account,
            self.first_token_timeout,
            self.idle_timeout,
            self.max_in_flight,
            self.continues,
            operation,
            self.weight,
        )


def resolve(
    routes: Sequence[Route],
    aliases: Mapping[str, Mapping[str, str]],
    model: str | None,
    operation: Operation = Operation.CHAT,
) -> list[Target]:
    """The targets for a model, in the order in which they are asked.

    * no model: each provider's default;
    * an alias: its model at each provider that it names;
    * ``provider/model``: that one, then the other providers' defaults;
    * a model's own name: the providers that list it, then the others' defaults; listed nowhere, it is asked
      of the first provider as it is.

    For anything but a chat only those that are named are asked: no other model's vectors fit those of the
    model that was meant.

    Raises:
        SettingsError: no provider is configured, or none of them has a model.
        UsageError: the alias names no provider of the chain, or nobody there speaks what is asked.
    """
    if not routes:
        raise SettingsError(
            "no provider is configured: add [[providers]] to cajanegra.toml, "
            "or set OLLAMA_HOST, OVH_AI_ENDPOINTS_ACCESS_TOKEN or OPENAI_API_KEY"
        )
    speaking = [route for route in routes if operation in route.provider.operations]
    if not speaking:
        raise UsageError(f"no provider of the chain speaks {operation}")
    if model is not None and model in aliases:
        models = aliases[model]
        targets = [
            route.to(models[route.provider.name], operation)
            for route in speaking
            if route.provider.name in models
        ]
        if not targets:
            raise UsageError(f"models.{model} names no provider of the chain that speaks {operation}")
        return targets
    targets = _named(routes, model, operation) if model is not None else []
    if operation is not Operation.CHAT:
        return targets
    named = {target.provider.name for target in targets}
    targets += [
        route.to(route.models[0]) for route in routes if route.models and route.provider.name not in named
    ]
    if not targets:
        names = ", ".join(route.provider.name for route in routes)
        raise SettingsError(f"no model is given and none is configured: set models for {names}")
    return targets


def _named(routes: Sequence[Route], model: str, operation: Operation) -> list[Target]:
    prefix, _, rest = model.partition("/")
    own = [route for route in routes if route.provider.name == prefix and rest]
    if own:
        if operation not in own[0].provider.operations:
            raise UsageError(f"provider {prefix} does not speak {operation}")
        return [route.to(rest, operation) for route in own]
    speaking = [route for route in routes if operation in route.provider.operations]
    serving = [route.to(model, operation) for route in speaking if model in route.models]
    first = speaking[0].provider.name
    return serving or [route.to(model, operation) for route in speaking if route.provider.name == first]
