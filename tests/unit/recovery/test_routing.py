from __future__ import annotations

import pytest

from cajanegra.errors import SettingsError, UsageError
from cajanegra.recovery.routing import Route, resolve
from scripted import ScriptedProvider

ROUTES = [
    Route(ScriptedProvider("ollama"), ("llama3.2", "qwen3"), 30),
    Route(ScriptedProvider("ovhcloud"), ("llama-70b", "qwen3"), 30),
    Route(ScriptedProvider("openai"), ("gpt-4o-mini",), 30),
]
ALIASES = {"fast": {"openai": "gpt-nano", "ollama": "llama3.2"}, "nowhere": {"elsewhere": "x"}}


@pytest.mark.parametrize(
    ("model", "targets"),
    [
        (None, ["ollama:llama3.2", "ovhcloud:llama-70b", "openai:gpt-4o-mini"]),
        ("fast", ["ollama:llama3.2", "openai:gpt-nano"]),
        ("qwen3", ["ollama:qwen3", "ovhcloud:qwen3", "openai:gpt-4o-mini"]),
        ("openai/gpt-5", ["openai:gpt-5", "ollama:llama3.2", "ovhcloud:llama-70b"]),
        ("meta/llama", ["ollama:meta/llama", "ovhcloud:llama-70b", "openai:gpt-4o-mini"]),
        ("unheard-of", ["ollama:unheard-of", "ovhcloud:llama-70b", "openai:gpt-4o-mini"]),
    ],
)
def test_a_model_leads_to_targets_in_order(model: str | None, targets: list[str]) -> None:
    found = resolve(ROUTES, ALIASES, model)
    assert [f"{target.provider.name}:{target.model}" for target in found] == targets


def test_without_providers_the_settings_are_to_be_mended() -> None:
    with pytest.raises(SettingsError, match=r"add \[\[providers\]\]"):
        resolve([], {}, None)


def test_without_models_the_settings_are_to_be_mended() -> None:
    with pytest.raises(SettingsError, match="set models for ollama"):
        resolve([Route(ScriptedProvider("ollama"), (), 30)], {}, None)


def test_an_alias_outside_the_chain_is_refused() -> None:
    with pytest.raises(UsageError, match="names no provider of the chain"):
        resolve(ROUTES, ALIASES, "nowhere")
