"""Builds the parts from settings: the one place where they meet."""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cajanegra.analysis.classify import Classifier
from cajanegra.analysis.knowledge import KnowledgeBase
from cajanegra.domain.call import CallStatus
from cajanegra.domain.redactor import Redactor
from cajanegra.errors import SettingsError
from cajanegra.ports import CallLog, CallStore, Patterns, Prices
from cajanegra.recording import importing, location
from cajanegra.recording.assembler import Assembler
from cajanegra.recording.drainer import Drainer
from cajanegra.recording.spool import Spool
from cajanegra.recording.writer import Writer
from cajanegra.settings import AlertTarget, Provider, Settings

if TYPE_CHECKING:
    from cajanegra.alerts.evaluation import Evaluator
    from cajanegra.alerts.targets import Target
    from cajanegra.alerts.watch import Watch
    from cajanegra.recording.ingest import Ingest
    from cajanegra.recovery.advice import Advice
    from cajanegra.recovery.engine import Engine
    from cajanegra.recovery.routing import Route
    from cajanegra.recovery.sharing import Sharing
    from cajanegra.storage.keeping import Policy


LOOK = 60
"""Seconds that a look for alerts may take: what its lease is longer than two intervals."""


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


def new_ingest(settings: Settings) -> Ingest:
    """Makes records of calls that somebody else recorded."""
    from cajanegra.recording.ingest import Ingest

    return Ingest(
        new_assembler(settings, new_patterns(settings)),
        Classifier(),
        new_redactor(settings),
        capture=settings.capture.content,
    )


def new_redactor(settings: Settings) -> Redactor:
    """Masks secrets, personal data and what the settings' patterns match."""
    return Redactor(settings.capture.patterns)


def new_writer(settings: Settings) -> Writer:
    """A writer with a spool of its own, into the settings' database."""
    limits = settings.spool
    spool = Spool(spool_directory(settings), max_bytes=limits.max_bytes, fsync=limits.fsync)
    watch = new_watch(settings) if settings.alerts.targets else None
    return Writer(
        spool,
        store_opener(settings),
        functools.partial(new_assembler, settings, new_patterns(settings)),
        sync=limits.fsync == "interval",
        beside=watch,
    )


def new_watch(settings: Settings) -> Watch:
    """What looks for alerts beside a process that records."""
    from cajanegra.alerts.watch import Watch

    def new_evaluator() -> Evaluator:
        with importing.lock:
            import_storage(settings)
            importlib.import_module("aiohttp")
            return new_alerts(settings)

    return Watch(new_evaluator, settings.alerts.interval)


def new_alerts(settings: Settings) -> Evaluator:
    """What looks for alerts when it is asked to.

    Raises:
        SettingsError: the variable that holds a target's URL or secret is not set.
    """
    from cajanegra.alerts.evaluation import Evaluator, Plan
    from cajanegra.alerts.rules import Rule
    from cajanegra.analysis.knowledge import translated
    from cajanegra.storage.alerts import Alerts
    from cajanegra.storage.database import Database

    given = settings.alerts
    plan = Plan(
        targets=new_targets(settings),
        patterns=given.patterns,
        rules=[Rule(**msgspec.structs.asdict(rule)) for rule in given.rules],
        cooldown=timedelta(seconds=given.cooldown),
        lease=timedelta(seconds=2 * given.interval + LOOK),
        explain=functools.partial(translated, language=settings.knowledge.language),
    )
    return Evaluator(plan, lambda: Alerts(Database(settings.database.url)))


def new_targets(settings: Settings) -> dict[str, Target]:
    """Who is told of alerts, by name.

    Raises:
        SettingsError: the variable that holds a target's URL or secret is not set.
    """
    from cajanegra.alerts.targets import Address, build

    return {
        target.name: build(
            target.kind,
            Address(
                target.name,
                target.url or _alert_url(target),
                target.timeout,
                settings.knowledge.language,
                _alert_variable(target, target.secret_env),
            ),
        )
        for target in settings.alerts.targets
    }


def _alert_url(target: AlertTarget) -> str:
    url = _alert_variable(target, target.url_env)
    if url and not url.startswith(("http://", "https://")):
        raise SettingsError(
            f"{target.url_env}, from which alert target {target.name!r} takes its URL, does not hold one "
            "that begins with http:// or https://"
        )
    return url


def _alert_variable(target: AlertTarget, variable: str | None) -> str:
    if variable is None:
        return ""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise SettingsError(f"alert target {target.name!r} needs {variable}, which is not set")
    return value


def new_policy(settings: Settings) -> Policy:
    """How long the settings have what kept."""
    from cajanegra.storage.keeping import Policy, Rule

    def days(count: int | None) -> timedelta | None:
        return None if count is None else timedelta(days=count)

    given = settings.retention
    rules = [
        Rule(timedelta(days=rule.days), rule.tenant, rule.module, tuple(map(str, rule.status)))
        for rule in given.rules
    ]
    if given.error_days is not None:
        unanswered = (str(CallStatus.ERROR), str(CallStatus.TIMEOUT))
        rules.append(Rule(timedelta(days=given.error_days), statuses=unanswered))
    return Policy(
        timedelta(days=given.default_days),
        rules,
        contents=days(given.content_days),
        samples=days(given.sample_days),
        rollups=days(given.rollup_days),
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


def new_prices(settings: Settings) -> Prices | None:
    """What answers of the settings' providers cost; ``None`` where ``cajanegra[prices]`` is not installed."""
    from importlib.util import find_spec

    if find_spec("genai_prices") is None:
        return None
    from cajanegra.providers.prices import ListPrices, Sold

    return ListPrices(
        {one.name: Sold(one.prices_of or one.service, _address(one)) for one in settings.providers}
    )


def correctable(settings: Settings) -> dict[str, set[str]]:
    """Whom a correction may name: the providers of the chain with the models that the settings give them."""
    models = {provider.name: set(provider.models) for provider in settings.chain}
    for alias in settings.models.values():
        for name in alias.keys() & models.keys():
            if models[name]:  # else it serves whatever it is asked for
                models[name].add(alias[name])
    return models


def new_advice(settings: Settings) -> Advice:
    """What is to be known of a failure before something is done about it."""
    from cajanegra.recovery.advice import Advice

    return Advice(
        functools.partial(new_patterns, settings),
        new_redactor(settings),
        models=correctable(settings),
        learns=settings.recovery.mode == "learned",
    )


def new_engine(
    settings: Settings, log: CallLog, routes: Sequence[Route], prices: Prices | None = None
) -> tuple[Engine, Sharing]:
    """The recovery engine with the settings' limits, and what carries its knowledge to other processes."""
    from cajanegra.recovery.decision import Policy
    from cajanegra.recovery.engine import Engine
    from cajanegra.recovery.health import Health
    from cajanegra.recovery.sharing import Shared, Sharing

    def open_shared() -> Shared:
        from cajanegra.storage.database import Database
        from cajanegra.storage.lessons import StoredLessons
        from cajanegra.storage.provider_states import ProviderStates

        database = Database(settings.database.url)
        return Shared(ProviderStates(database), StoredLessons(database))

    limits = settings.recovery
    policy = Policy(attempts=limits.attempts, timeout=limits.timeout, retry_budget=limits.retry_budget)
    health, advice = Health(time.monotonic, policy.retry_budget), new_advice(settings)
    accounts = {route.account: route.provider.name for route in routes}
    sharing = Sharing(health, advice, open_shared, accounts)
    engine = Engine(log, advice, policy, routes, health=health, prices=prices, on_call=sharing.touch)
    return engine, sharing


def new_routes(settings: Settings) -> list[Route]:
    """The providers of the chain, each once for every endpoint, ready to be asked.

    Raises:
        SettingsError: the variable or file that holds a provider's key is not there.
    """
    reader = Classifier()
    return [
        _route(endpoint, weight, reader)
        for provider in settings.chain
        for endpoint, weight in _endpoints(provider)
    ]


def _endpoints(provider: Provider) -> list[tuple[Provider, float]]:
    """The provider once for each of its endpoints, and how much each is to do."""
    if not provider.endpoints:
        return [(provider, 1.0)]
    found = []
    for one in provider.endpoints:
        own_key = {"api_key_env": one.api_key_env, "api_key_file": one.api_key_file}
        given = own_key if one.api_key_env or one.api_key_file else {}
        base_url = one.base_url or provider.base_url
        found.append((msgspec.structs.replace(provider, base_url=base_url, **given), one.weight))
    return found


def _route(provider: Provider, weight: float, reader: Classifier) -> Route:
    from cajanegra.providers.registry import build
    from cajanegra.recovery.routing import Route

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
    return Route(
        built,
        provider.models,
        provider.timeout,
        provider.context_window,
        account=_account(provider.base_url or provider.service or provider.name, key),
        first_token_timeout=provider.first_token_timeout or provider.timeout / 2,
        idle_timeout=provider.idle_timeout or provider.timeout / 3,
        max_in_flight=provider.max_in_flight,
        continues=provider.continues,
        weight=weight,
    )


def _address(provider: Provider) -> str | None:
    """Where a provider is, for its prices."""
    urls = [provider.base_url, *(one.base_url for one in provider.endpoints)]
    return next(filter(None, urls), None)


def _account(address: str, key: str | None) -> str:
    """Names what a provider's limits apply to without telling the key."""
    return hashlib.sha256(f"{address.rstrip('/')}\0{key or ''}".encode()).hexdigest()[:32]


def api_key(provider: Provider) -> str | None:
    """A provider's key, from a file or the environment.

    Raises:
        SettingsError: the variable or file that should hold it is not there, or holds nothing.
    """
    if provider.api_key_file is not None:
        try:
            key = Path(provider.api_key_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            key = ""
        if not key:
            raise SettingsError(
                f"provider {provider.name!r} takes its key from {provider.api_key_file}, which holds none"
            )
        return key
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
    importlib.import_module("cajanegra.storage.lessons")
    importlib.import_module("cajanegra.storage.provider_states")
    path = database.url.database
    if database.dialect == "sqlite" and path and not Path(path).exists():
        importlib.import_module("alembic.command")  # the tables of the new file are going to be made
