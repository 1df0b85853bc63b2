"""Builds providers by kind. A new kind is a new file beside this one and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cajanegra.errors import SettingsError
from cajanegra.ports import FailureReader, Provider
from cajanegra.providers.ollama import Ollama
from cajanegra.providers.openai_compatible import OpenAICompatible


@dataclass(frozen=True, slots=True)
class _Spec:
    name: str
    base_url: str
    api_key: str | None = field(repr=False)
    context_window: int | Mapping[str, int] | None
    reader: FailureReader
    service: str | None


def _any_llm(spec: _Spec) -> Provider:
    from cajanegra.providers.any_llm import AnyLLM

    return AnyLLM(spec.name, spec.service or spec.name, spec.base_url, spec.api_key, spec.reader)


_BUILDERS: Mapping[str, Callable[[_Spec], Provider]] = {
    "openai": lambda spec: OpenAICompatible(spec.name, spec.base_url, spec.api_key, spec.reader),
    "ollama": lambda spec: Ollama(
        spec.name, spec.base_url, spec.context_window, spec.reader, api_key=spec.api_key
    ),
    "any-llm": _any_llm,
}


def build(
    *,
    kind: str,
    name: str,
    base_url: str,
    api_key: str | None,
    context_window: int | Mapping[str, int] | None,
    reader: FailureReader,
    service: str | None = None,
) -> Provider:
    """The provider that speaks the wire format ``kind``.

    Raises:
        SettingsError: there is no such kind, or the URL or the key cannot be used.
    """
    builder = _BUILDERS.get(kind)
    if builder is None:
        known = ", ".join(_BUILDERS)
        raise SettingsError(f"provider {name!r} has the unknown kind {kind!r} (there is: {known})")
    return builder(_Spec(name, base_url, api_key, context_window, reader, service))
