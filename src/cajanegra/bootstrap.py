"""Builds the parts from settings: the one place where they meet."""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cajanegra.analysis.classify import Classifier
from cajanegra.analysis.knowledge import KnowledgeBase
from cajanegra.domain.redactor import Redactor
from cajanegra.errors import SettingsError
from cajanegra.ports import CallLog, CallStore, Patterns, SharedState
from cajanegra.recording import location
from cajanegra.recording.assembler import Assembler
from cajanegra.recording.drainer import Drainer
from cajanegra.recording.spool import Spool
from cajanegra.recording.writer import Writer
from cajanegra.settings import Provider, Settings

if TYPE_CHECKING:
    from cajanegra.recovery.engine import Engine
    from cajanegra.recovery.routing import Route
    from cajanegra.recovery.sharing import Sharing


def store_opener(settings: Settings) -> Callable[[], CallStore]:
    """A function that opens the store; all that it needs is imported when it is called, and not later."""

    def open_store() -> CallStore:
        import_storage(settings)
        from cajanegra.storage.database import Database
        from cajanegra.storage.writes import Store

        return Store(Database(settings.database.url))

    return open_store


def spool_directory(settings: Settings) -> Path:
    """Where events wait for the settings' database."""
    return location.spool_directory(Path(settings.spool.dir), settings.database.url)


def new_assembler(settings: Settings, patterns: Patterns) -> Assembler:
    """Makes records of the events of one track."""
    redacted = settings.capture.content != "full"
    return Assembler(patterns, new_redactor(settings), redacted_content=redacted)


def new_redactor(settings: Settings) -> Redactor:
    """Masks secrets, personal data and what the settings' patterns match."""
    return Redactor(settings.capture.patterns)


def new_writer(settings: Settings) -> Writer:
    """A writer with a spool of its own, into the settings' database."""
    limits = settings.spool
    spool = Spool(spool_directory(settings), max_bytes=limits.max_bytes, fsync=limits.fsync)
    return Writer(
        spool,
        store_opener(settings),
        functools.partial(new_assembler, settings, new_patterns(settings)),
        sync=limits.fsync == "interval",
    )


def new_drainer(settings: Settings) -> Drainer:
    """Brings what dead processes have left to the settings' database."""
    return Drainer(
        spool_directory(settings),
        store_opener(settings),
        functools.partial(new_assembler, settings, new_patterns(settings)),
    )


def new_knowledge(settings: Settings) -> KnowledgeBase:
    """What is known about failures, the user's own entries first."""
    from cajanegra.analysis.knowledge import OwnEntry

    own = [OwnEntry(**msgspec.structs.asdict(entry)) for entry in settings.knowledge.entries]
    return KnowledgeBase(settings.knowledge.language, own)


def new_patterns(settings: Settings) -> Patterns:
    """What failures have in common, and what is known about it."""
    from cajanegra.analysis.patterns import PatternBook

    return PatternBook(new_knowledge(settings))


def new_engine(settings: Settings, log: CallLog, routes: Sequence[Route]) -> tuple[Engine, Sharing]:
    """The recovery engine with the settings' limits, and what carries its knowledge to other processes."""
    from cajanegra.recovery.decision import Policy
    from cajanegra.recovery.engine import Engine
    from cajanegra.recovery.health import Health
    from cajanegra.recovery.sharing import Sharing

    def open_shared() -> SharedState:
        from cajanegra.storage.database import Database
        from cajanegra.storage.provider_states import ProviderStates

        return ProviderStates(Database(settings.database.url))

    limits = settings.recovery
    policy = Policy(attempts=limits.attempts, timeout=limits.timeout, retry_budget=limits.retry_budget)
    health = Health(time.monotonic, policy.retry_budget)
    sharing = Sharing(health, open_shared, {route.account: route.provider.name for route in routes})
    return Engine(log, new_knowledge(settings), policy, health=health, on_call=sharing.touch), sharing


def new_routes(settings: Settings) -> list[Route]:
    """The providers of the chain, ready to be asked.

    Raises:
        SettingsError: the variable that holds a provider's key is not set.
    """
    from cajanegra.providers.registry import build
    from cajanegra.recovery.routing import Route

    reader = Classifier()
    routes = []
    for provider in settings.chain:
        key = api_key(provider)
        built = build(
            kind=provider.kind,
            name=provider.name,
            base_url=provider.base_url,
            api_key=key,
            context_window=provider.context_window,
            reader=reader,
            service=provider.service,
        )
        routes.append(
            Route(
                built,
                provider.models,
                provider.timeout,
                provider.context_window,
                account=_account(provider.base_url or provider.service or provider.name, key),
                first_token_timeout=provider.first_token_timeout or provider.timeout / 2,
                idle_timeout=provider.idle_timeout or provider.timeout / 3,
                max_in_flight=provider.max_in_flight,
            )
        )
    return routes


def _account(address: str, key: str | None) -> str:
    """Names what a provider's limits apply to without telling the key."""
    return hashlib.sha256(f"{address.rstrip('/')}\0{key or ''}".encode()).hexdigest()[:32]


def api_key(provider: Provider) -> str | None:
    """A provider's key from the environment.

    Raises:
        SettingsError: the variable that should hold it is not set.
    """
    if provider.api_key_env is None:
        return None
    key = os.environ.get(provider.api_key_env, "").strip()
    if not key:
        raise SettingsError(
            f"provider {provider.name!r} takes its key from {provider.api_key_env}, which is not set"
        )
    return key


def import_storage(settings: Settings) -> None:
    """Import what writing to the database will need, so that no call has to wait for it."""
    from cajanegra.storage.database import Database

    database = Database(settings.database.url)
    database.import_driver()
    importlib.import_module("cajanegra.storage.writes")
    importlib.import_module("cajanegra.storage.provider_states")
    path = database.url.database
    if database.dialect == "sqlite" and path and not Path(path).exists():
        importlib.import_module("alembic.command")  # the tables of the new file are going to be made
