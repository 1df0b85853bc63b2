from __future__ import annotations

import pytest

from cajanegra.domain.call import Operation
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


def test_what_is_no_chat_is_asked_only_of_those_that_are_named() -> None:
    asked = {
        model: resolve(ROUTES, ALIASES, model, Operation.EMBEDDINGS) for model in ("qwen3", "fast", "new")
    }
    assert [target.provider.name for target in asked["qwen3"]] == ["ollama", "ovhcloud"]
    assert [target.model for target in asked["fast"]] == ["llama3.2", "gpt-nano"]
    assert [target.provider.name for target in asked["new"]] == ["ollama"]
    assert asked["fast"][0].key != resolve(ROUTES, ALIASES, "fast")[0].key


def test_a_provider_that_does_not_speak_it_is_not_asked() -> None:
    chats = ScriptedProvider("chats")
    chats.operations = frozenset({Operation.CHAT})
    with pytest.raises(UsageError, match="speaks embeddings"):
        resolve([Route(chats, ("m",), 30)], {}, "m", Operation.EMBEDDINGS)
    with pytest.raises(UsageError, match="chats does not speak responses"):
        resolve([Route(chats, ("m",), 30), *ROUTES], {}, "chats/m", Operation.RESPONSES)


def test_every_endpoint_of_a_provider_is_a_target() -> None:
    two = [Route(ScriptedProvider("openai"), ("m",), 30, account=account) for account in ("a", "b")]
    for model in ("m", "openai/m", "unheard-of"):
        assert [target.account for target in resolve(two, {}, model)] == ["a", "b"]
