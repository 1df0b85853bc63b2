"""Settings: argument, else ``CAJANEGRA_*`` in the environment, else ``cajanegra.toml``, else the default."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec

from cajanegra.domain.failure import FailureKind
from cajanegra.domain.own_patterns import OwnPatterns
from cajanegra.errors import SettingsError

DEFAULT_FILE = "cajanegra.toml"
_ENVIRONMENT_PREFIX = "CAJANEGRA_"
_NOT_SETTINGS = frozenset({"CAJANEGRA_CONFIG", "CAJANEGRA_TEST_POSTGRES_URL"})

Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9_-]{1,20}$")]
PatternName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9_-]{1,40}$")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Window = Annotated[int, msgspec.Meta(ge=256)]
Days = Annotated[int, msgspec.Meta(ge=0, le=36_500)]


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[database]``: where calls are written and read."""

    url: str = ""
    """SQLAlchemy URL; default is a SQLite file in the user's data directory."""
    read_url: str = ""
    """A replica to read from; default is ``url``."""


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[providers]]``: one AI provider."""

    name: Name
    base_url: Annotated[str, msgspec.Meta(pattern="^(https?://[^/]|$)")] = ""
    """Where it listens; only of kind ``any-llm`` it may be left out."""
    kind: Literal["openai", "ollama", "any-llm"] = "openai"
    """The wire format that it speaks; ``any-llm`` is whatever that library knows for ``service``."""
    service: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,39}$")] | None = None
    """The library's name of the provider, for kind ``any-llm``; default is ``name``."""
    api_key_env: str | None = None
    """The environment variable that holds its key; keys never stand in settings."""
    models: tuple[str, ...] = ()
    """What it serves; the first is its default."""
    context_window: Window | dict[str, Window] | None = None
    """Tokens that prompt and answer may have together: of every model, or by the model's name."""
    timeout: Seconds = 30.0
    """Seconds that one attempt may take."""
    first_token_timeout: Seconds | None = None
    """Seconds that a stream may take to its first content; default is half of ``timeout``."""
    idle_timeout: Seconds | None = None
    """Seconds that a stream may pause after its first content; default is a third of ``timeout``."""
    max_in_flight: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1_000
    """Attempts, and so connections, that may be under way at once; further calls ask others, or wait."""


class Recovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[recovery]``: how far to go to get an answer."""

    chain: tuple[Name, ...] = ()
    """Providers in the order in which they are asked; default is the order of ``[[providers]]``."""
    attempts: Annotated[int, msgspec.Meta(ge=1, le=20)] = 6
    """Requests on the wire that one call may cost, all providers and strategies together."""
    timeout: Seconds = 60.0
    """Deadline of a call in seconds, waits and steps included."""
    retry_budget: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 100
    """Size of the token bucket of repetitions per provider and tenant; 0 is no limit."""


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[capture]``: whether the text of prompts and answers is kept, and what is masked."""

    content: Literal["none", "redacted", "full"] = "none"
    patterns: Annotated[dict[PatternName, str], msgspec.Meta(max_length=50)] = {}
    """Regular expressions of RE2, by name, of what else is to be masked: ``{"employee": "EMP-[0-9]{6}"}``."""


class Spool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[spool]``: where events are kept until the database has them."""

    dir: str = ""
    """Default is a directory in the user's state directory; each database has one of its own in it."""
    max_bytes: Annotated[int, msgspec.Meta(ge=2**20)] = 2**30
    """What the spool of a database may take on the disk, all processes together."""
    fsync: Literal["never", "interval", "always"] = "never"
    """When events are brought to the disk itself, for the case that the machine dies."""


class KnowledgeEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[knowledge.entries]]``: what you know of failures yourself; holds where all that is given fits."""

    cause: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
    """Why they happen."""
    action: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
    """What to do about them."""
    provider: Name | None = None
    """Only failures of this provider."""
    kind: FailureKind | None = None
    """Only failures of this kind."""
    code: str | None = None
    """Only failures with this code of the provider's own, whatever the case."""
    contains: Annotated[str, msgspec.Meta(min_length=3, max_length=500)] | None = None
    """Only failures with these words in the message, whatever the case."""
    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9_]{1,60}$")] | None = None
    """Gives them a pattern of their own, ``{provider}_{name}``."""
    recover: Literal["retry", "fallback", "simplify", "none"] | None = None
    """What to do first about them."""


class Knowledge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[knowledge]``: what is said about why calls fail."""

    language: Literal["en", "es"] = "en"
    """The language in which causes and actions are written down."""
    entries: tuple[KnowledgeEntry, ...] = ()
    """What you know yourself; the first that fits goes before everything else."""


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[retention]``: how long calls are kept."""

    default_days: Days = 7


_HINTS = {
    "[a-z0-9_-]{1,20}": "a provider's name is 1 to 20 of a-z, 0-9, _ and -",
    "[a-z0-9_-]{1,40}": "a pattern's name is 1 to 40 of a-z, 0-9, _ and -",
    "^[a-z][a-z0-9_]{0,39}$": "a service is named as any-llm names it, such as 'anthropic'",
    "^(https?://": "must be a URL that begins with http:// or https://",
    "[a-z0-9_]{1,60}": "the name of a pattern is 1 to 60 of a-z, 0-9 and _",
}
"""What a value must look like, in words where the rule is a regular expression."""

_SECTIONS: dict[str, Any] = {
    "database": Database,
    "providers": tuple[Provider, ...],
    "models": dict[str, dict[str, str]],
    "recovery": Recovery,
    "capture": Capture,
    "spool": Spool,
    "retention": Retention,
    "knowledge": Knowledge,
}


class Settings:
    """Everything that can be set, read once and then fixed.

    Args:
        sections: values that win over environment and file, as the file has them:
            ``Settings(database={"url": "sqlite:///calls.db"}, recovery={"timeout": 20})``.

    Raises:
        SettingsError: a name is unknown (the nearest one is suggested), a value malformed, the file
            unreadable, a pattern unusable, or the chain names a provider that is not configured.
    """

    file: Path | None
    """The file that was read, if there was one."""
    database: Database
    providers: tuple[Provider, ...]
    models: Mapping[str, Mapping[str, str]]
    recovery: Recovery
    capture: Capture
    spool: Spool
    retention: Retention
    knowledge: Knowledge

    def __init__(self, **sections: Any) -> None:
        self.file, values = _read_file()
        _merge(values, _read_environment())
        _merge(values, sections)
        for name in values:
            _require_known(name, _SECTIONS, "section")
        for name, kind in _SECTIONS.items():
            setattr(self, name, _convert(name, kind, values.get(name)))
        if "providers" not in values:
            self.providers = _providers_in_environment()
        if not self.database.url:
            self.database = msgspec.structs.replace(self.database, url=default_database_url())
        if not self.spool.dir:
            self.spool = msgspec.structs.replace(self.spool, dir=default_spool_dir())
        self._check_references()
        if self.capture.patterns:
            OwnPatterns(self.capture.patterns)

    @property
    def chain(self) -> tuple[Provider, ...]:
        """The providers in the order in which a call asks them."""
        if not self.recovery.chain:
            return self.providers
        by_name = {provider.name: provider for provider in self.providers}
        return tuple(by_name[name] for name in self.recovery.chain)

    def _check_references(self) -> None:
        names = [provider.name for provider in self.providers]
        for provider in self.providers:
            if not provider.base_url and provider.kind != "any-llm":
                raise SettingsError(
                    f"provider {provider.name!r} has no base_url, which says where it listens"
                )
        for name in names:
            if names.count(name) > 1:
                raise SettingsError(f"two providers are named {name!r}; give each a name of its own")
        for number, entry in enumerate(self.knowledge.entries):
            if not (entry.provider or entry.kind or entry.code or entry.contains):
                raise SettingsError(
                    f"knowledge.entries[{number}] would hold for every failure; "
                    "give it a provider, kind, code or contains"
                )
        where = [("recovery.chain", name) for name in self.recovery.chain]
        where += [(f"models.{alias}", name) for alias, models in self.models.items() for name in models]
        for setting, name in where:
            if name not in names:
                known = ", ".join(names) or "none"
                raise SettingsError(
                    f"{setting} names provider {name!r}, which is not configured (there is: {known})"
                )


def default_database_url() -> str:
    """The SQLite database that is used when nothing is set: an absolute path, the same for cron and shell."""
    import platformdirs

    path = Path(platformdirs.user_data_dir("cajanegra", appauthor=False)) / "cajanegra.db"
    return f"sqlite:///{path}"


def default_spool_dir() -> str:
    """Where events wait for their database when nothing is set: state that outlives the process."""
    import platformdirs

    return str(Path(platformdirs.user_state_dir("cajanegra", appauthor=False)) / "spool")


def _read_file() -> tuple[Path | None, dict[str, Any]]:
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


def _read_environment() -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in os.environ.items():
        if not variable.startswith(_ENVIRONMENT_PREFIX) or variable in _NOT_SETTINGS:
            continue
        path = variable.removeprefix(_ENVIRONMENT_PREFIX).lower().split("__")
        if path[0] not in _SECTIONS:
            raise SettingsError(f"{variable} is not a setting{_suggestion(path[0], _SECTIONS)}")
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


def _merge(base: dict[str, Any], override: Mapping[str, Any]) -> None:
    for name, raw in override.items():
        value = msgspec.to_builtins(raw)
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            _merge(base[name], value)
        else:
            base[name] = value


def _convert(name: str, kind: Any, value: Any) -> Any:
    if value is None:
        value = [] if name == "providers" else {}
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(name, kind, str(error))) from None


def _explain(name: str, kind: Any, message: str) -> str:
    reason, _, path = message.partition(" - at `$")
    setting = name + path.rstrip("`")
    if "invalid enum value" in reason.lower():
        return f"{setting}: {reason.lower()}; choose one of {_choices(name, kind, setting)}"
    unknown = re.search(r"unknown field `(.+)`", reason)
    if unknown:
        struct = _struct(name, kind, setting)
        return f"{setting}.{unknown[1]} is not a setting{_suggestion(unknown[1], struct.__struct_fields__)}"
    for pattern, hint in _HINTS.items():
        if pattern in reason:
            return f"{setting}: {hint}"
    return f"{setting}: {reason[:1].lower()}{reason[1:]}"


def _choices(name: str, kind: Any, setting: str) -> str:
    field = get_type_hints(_struct(name, kind, setting))[setting.rpartition(".")[2]]
    return ", ".join(_values(field))


def _struct(name: str, kind: Any, setting: str) -> Any:
    """The struct in which a setting stands."""
    in_list = {"providers": Provider, "knowledge": KnowledgeEntry}
    return in_list[name] if "[" in setting else kind


def _values(kind: Any) -> Iterator[str]:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        yield from kind
    for part in get_args(kind):
        if isinstance(part, str):
            yield part
        else:
            yield from _values(part)


def _require_known(name: str, known: Mapping[str, Any], what: str) -> None:
    if name not in known:
        raise SettingsError(f"{name!r} is not a {what} of the settings{_suggestion(name, known)}")


def _suggestion(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there is: {', '.join(known)}"


def _providers_in_environment() -> tuple[Provider, ...]:
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
