"""Settings: argument, else ``CAJANEGRA_*`` in the environment, else ``cajanegra.toml``, else the default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from cajanegra.domain.own_patterns import OwnPatterns
from cajanegra.errors import SettingsError
from cajanegra.settings.conversion import convert, require_known
from cajanegra.settings.sections import (
    SECTIONS,
    Alerts,
    AlertTarget,
    Capture,
    Database,
    Knowledge,
    Provider,
    Recovery,
    Retention,
    Server,
    Spool,
)
from cajanegra.settings.sources import merge, providers_in_environment, read_environment, read_file

__all__ = ["AlertTarget", "Provider", "Server", "Settings", "default_database_url", "default_spool_dir"]


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
    server: Server
    knowledge: Knowledge
    alerts: Alerts

    def __init__(self, **sections: Any) -> None:
        self.file, values = read_file()
        merge(values, read_environment())
        merge(values, sections)
        for name in values:
            require_known(name, SECTIONS, "section")
        for name, kind in SECTIONS.items():
            setattr(self, name, convert(name, kind, values.get(name)))
        if "providers" not in values:
            self.providers = providers_in_environment()
        if not self.database.url:
            self.database = msgspec.structs.replace(self.database, url=default_database_url())
        if not self.spool.dir:
            self.spool = msgspec.structs.replace(self.spool, dir=default_spool_dir())
        self._check_references()
        _check_alerts(self.alerts)
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
            urls = [provider.base_url] if provider.base_url else [one.base_url for one in provider.endpoints]
            if not (urls and all(urls)) and provider.kind != "any-llm":
                raise SettingsError(
                    f"provider {provider.name!r} has no base_url, which says where it listens"
                )
            if provider.kind == "ollama" and provider.continues not in (None, "message"):
                raise SettingsError(
                    f"provider {provider.name!r}: Ollama knows no {provider.continues!r}; "
                    'continues can only be "message"'
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


def _check_alerts(alerts: Alerts) -> None:
    for what, named in (("targets", alerts.targets), ("rules", alerts.rules)):
        names = [one.name for one in named]
        for name in names:
            if names.count(name) > 1:
                raise SettingsError(f"two of alerts.{what} are named {name!r}; give each a name of its own")
    for target in alerts.targets:
        if target.kind != "log" and bool(target.url) == bool(target.url_env):
            raise SettingsError(f"alert target {target.name!r} needs either url or url_env, and not both")
    for rule in alerts.rules:
        if rule.failures is None and rule.rate is None:
            raise SettingsError(f"alert rule {rule.name!r} needs failures or rate")


def default_database_url() -> str:
    """The SQLite database that is used when nothing is set: an absolute path, the same for cron and shell."""
    import platformdirs

    path = Path(platformdirs.user_data_dir("cajanegra", appauthor=False)) / "cajanegra.db"
    return f"sqlite:///{path}"


def default_spool_dir() -> str:
    """Where events wait for their database when nothing is set: state that outlives the process."""
    import platformdirs

    return str(Path(platformdirs.user_state_dir("cajanegra", appauthor=False)) / "spool")
