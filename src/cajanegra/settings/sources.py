"""Where settings come from: the file and the environment, as values that nobody has looked at yet."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cajanegra.errors import SettingsError
from cajanegra.settings.conversion import suggestion
from cajanegra.settings.sections import SECTIONS, Provider

DEFAULT_FILE = "cajanegra.toml"
_ENVIRONMENT_PREFIX = "CAJANEGRA_"
_NOT_SETTINGS = frozenset({"CAJANEGRA_CONFIG", "CAJANEGRA_TEST_POSTGRES_URL"})


def read_file() -> tuple[Path | None, dict[str, Any]]:
    """The settings' file, if there is one, and what stands in it.

    Raises:
        SettingsError: it cannot be read, or is named and not there.
    """
    named = os.environ.get("CAJANEGRA_CONFIG")
    path = Path(named or DEFAULT_FILE)
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named:
            raise SettingsError(f"CAJANEGRA_CONFIG names {named}, which does not exist") from None
        return None, {}
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None


def read_environment() -> dict[str, Any]:
    """What the environment sets, by section.

    Raises:
        SettingsError: a variable begins with ``CAJANEGRA_`` and names no section.
    """
    values: dict[str, Any] = {}
    for variable, text in os.environ.items():
        if not variable.startswith(_ENVIRONMENT_PREFIX) or variable in _NOT_SETTINGS:
            continue
        path = variable.removeprefix(_ENVIRONMENT_PREFIX).lower().split("__")
        if path[0] not in SECTIONS:
            raise SettingsError(f"{variable} is not a setting{suggestion(path[0], SECTIONS)}")
        target = values
        for part in path[:-1]:
            target = target.setdefault(part, {})
        target[path[-1]] = _parse_text(text)
    return values


def _parse_text(text: str) -> Any:
    """Lists and tables are written as JSON; everything else is a string that the target type reads."""
    if text.lstrip().startswith(("[", "{")):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text
    return text


def merge(base: dict[str, Any], override: Mapping[str, Any]) -> None:
    """Put values over others, name by name."""
    for name, raw in override.items():
        value = msgspec.to_builtins(raw)
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            merge(base[name], value)
        else:
            base[name] = value


def providers_in_environment() -> tuple[Provider, ...]:
    """The providers that the environment gives access to, the local one first."""
    found = []
    if host := os.environ.get("OLLAMA_HOST"):
        found.append(Provider(name="ollama", kind="ollama", base_url=_ollama_url(host), models=("llama3.2",)))
    if os.environ.get("OVH_AI_ENDPOINTS_ACCESS_TOKEN"):
        found.append(
            Provider(
                name="ovhcloud",
                base_url="https://oai.endpoints.kepler.ai.cloud.ovh.net/v1",
                api_key_env="OVH_AI_ENDPOINTS_ACCESS_TOKEN",
                models=("Meta-Llama-3_3-70B-Instruct",),
            )
        )
    if os.environ.get("OPENAI_API_KEY"):
        found.append(
            Provider(
                name="openai",
                base_url=os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1"),
                api_key_env="OPENAI_API_KEY",
                models=("gpt-4o-mini",),
            )
        )
    return tuple(found)


def _ollama_url(host: str) -> str:
    """``OLLAMA_HOST`` as Ollama reads it: scheme and port may be left out."""
    url = urlsplit(host if "://" in host else f"http://{host}")
    name = "127.0.0.1" if url.hostname in (None, "0.0.0.0") else url.hostname  # noqa: S104 - a client's side
    default = {"http": 11434, "https": 443}.get(url.scheme, 11434)
    port = default if url.port is None else url.port
    return f"{url.scheme}://{name}:{port}{url.path.rstrip('/')}"
