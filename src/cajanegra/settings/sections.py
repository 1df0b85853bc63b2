"""The sections of the settings, as the file has them: what can be set, its limits and its defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from cajanegra.domain.call import CallStatus
from cajanegra.domain.failure import FailureKind

Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9_-]{1,20}$")]
PatternName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9_-]{1,40}$")]
TargetName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_.-]{1,40}$")]
Url = Annotated[str, msgspec.Meta(pattern="^(https?://[^/]|$)")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Window = Annotated[int, msgspec.Meta(ge=256)]
Days = Annotated[int, msgspec.Meta(ge=0, le=36_500)]


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[database]``: where calls are written and read."""

    url: str = ""
    """SQLAlchemy URL; default is a SQLite file in the user's data directory."""
    read_url: str = ""
    """A replica to read from; default is ``url``."""
    tenant_url: str = ""
    """Where the server reads for one tenant, as a role confined by ``db secure``; default is ``read_url``."""


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[providers.endpoints]]``: one of several addresses or keys of a provider, whose rest it has."""

    base_url: Url = ""
    """Where it listens; default is the provider's ``base_url``."""
    api_key_env: str | None = None
    """The environment variable that holds its key; default is the provider's."""
    api_key_file: str | None = None
    """The file that holds its key; default is the provider's."""
    weight: Annotated[float, msgspec.Meta(gt=0, le=1_000)] = 1.0
    """Its share of the calls, among endpoints that are equally fast."""


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[providers]]``: one AI provider."""

    name: Name
    base_url: Url = ""
    """Where it listens; only of kind ``any-llm`` it may be left out."""
    kind: Literal["openai", "ollama", "any-llm"] = "openai"
    """The wire format that it speaks; ``any-llm`` is whatever that library knows for ``service``."""
    service: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,39}$")] | None = None
    """The library's name of the provider, for kind ``any-llm``; default is ``name``."""
    api_key_env: str | None = None
    """The environment variable that holds its key; keys never stand in settings."""
    api_key_file: str | None = None
    """The file that holds its key, such as a mounted secret; read at start and at each reload."""
    endpoints: tuple[Endpoint, ...] = ()
    """Several addresses or keys that serve the same; calls go to whichever would answer soonest."""
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
    prices_of: Annotated[str, msgspec.Meta(pattern="^[a-z0-9_-]{1,40}$")] | None = None
    """Whose prices it has, by the name that genai-prices knows; default is found by its address."""
    continues: Literal["message", "prefix", "continue_final_message"] | None = None
    """How it is asked to go on with a streamed answer that another one began; by default it is not."""


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
    mode: Literal["default", "learned"] = "default"
    """Whether steps are chosen by the table of moves, or by what has helped before among those it permits."""


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


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[server]``: the REST API and what stands before it."""

    host: str = "127.0.0.1"
    """Address to listen at; one that others can reach needs a key (``cajanegra keys create``)."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 8420
    """Port to listen at; 0 is any that is free."""
    workers: Annotated[int, msgspec.Meta(ge=1, le=128)] = 1
    """Processes that serve."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which it may be called; default is any where there are keys, and loopback ones where not."""
    cors_origins: tuple[Annotated[str, msgspec.Meta(pattern="^https?://[^/]+$")], ...] = ()
    """Origins whose pages may call it from a browser: ``https://tools.example.com``."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose ``X-Forwarded-For`` and ``-Proto`` are believed."""
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1_024, le=2**30)] = 16 * 2**20
    """Bytes that the body of a request may have."""
    session_hours: Annotated[float, msgspec.Meta(gt=0, le=720)] = 12
    """Hours after which a browser has to give its key again."""
    shutdown_timeout: Annotated[float, msgspec.Meta(ge=0, le=3_600)] = 30
    """Seconds that requests under way have to end when it is told to stop."""


class AlertTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[alerts.targets]]``: whom to tell."""

    name: TargetName
    kind: Literal["log", "slack", "webhook"]
    """The log, Slack (and what takes its messages), or a program of your own."""
    url: Url = ""
    """Where it listens, where that is no secret."""
    url_env: str | None = None
    """The environment variable that holds the URL; Slack's URLs are secrets."""
    secret_env: str | None = None
    """The environment variable that holds the secret by which a webhook is signed."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0
    """Seconds that telling it may take."""


class AlertRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[alerts.rules]]``: so many failures, or such a share of them, in some minutes."""

    name: TargetName
    minutes: Annotated[int, msgspec.Meta(ge=1, le=1_440)]
    """Length of the window."""
    failures: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Failed attempts from which it alerts."""
    rate: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """Share of failed attempts (0 to 1) from which it alerts."""
    min_attempts: Annotated[int, msgspec.Meta(ge=1)] = 20
    """Attempts below which a share says nothing."""
    per: Literal["provider", "module"] | None = None
    """Whether each provider or module is looked at for itself."""
    provider: str | None = None
    """Only attempts at this provider."""
    module: str | None = None
    """Only attempts for this part of the application."""
    error_code: FailureKind | None = None
    """Only failures of this kind."""


class Alerts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[alerts]``: what operations are told without asking. Off without targets."""

    patterns: tuple[Literal["new", "regressed", "escalating"], ...] = ("new", "regressed", "escalating")
    """Marks of error patterns that are told."""
    interval: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 60.0
    """Seconds between two looks of a process that records."""
    cooldown: Annotated[float, msgspec.Meta(ge=0, le=604_800)] = 3_600.0
    """Seconds in which the same is not told again."""
    targets: tuple[AlertTarget, ...] = ()
    rules: tuple[AlertRule, ...] = ()


class RetentionRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[retention.rules]]``: calls that are kept for another time; the first that fits decides."""

    days: Days
    """Days for which they are kept."""
    tenant: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] | None = None
    """Only this tenant's."""
    module: Annotated[str, msgspec.Meta(min_length=1, max_length=50)] | None = None
    """Only those of this part of the application."""
    status: tuple[CallStatus, ...] = ()
    """Only those that ended so; default is any."""


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[retention]``: how long what is kept, and who sees to it."""

    default_days: Days = 7
    """Days for which calls are kept that no rule is for."""
    error_days: Days | None = None
    """Days for which calls are kept that nobody answered; default is ``default_days``."""
    content_days: Days | None = None
    """Days for which prompts and answers are kept; default is as long as their call."""
    sample_days: Days | None = None
    """Days for which it is known which calls met a pattern; default is as long as the call."""
    rollup_days: Days = 400
    """Days for which counts by the hour and day are kept."""
    rules: Annotated[tuple[RetentionRule, ...], msgspec.Meta(max_length=100)] = ()
    serve: bool = False
    """Whether ``cajanegra serve`` deletes what is too old; else ``cajanegra cleanup`` does, from cron."""
    every: Annotated[float, msgspec.Meta(ge=60, le=604_800)] = 3_600.0
    """Seconds between two runs of the server."""
    budget: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 600.0
    """Seconds that a run of the server may take; the next goes on where it has stopped."""


SECTIONS: dict[str, Any] = {
    "database": Database,
    "providers": tuple[Provider, ...],
    "models": dict[str, dict[str, str]],
    "recovery": Recovery,
    "capture": Capture,
    "spool": Spool,
    "retention": Retention,
    "server": Server,
    "knowledge": Knowledge,
    "alerts": Alerts,
}
"""What each section holds."""

IN_LISTS = {
    "providers": Provider,
    "knowledge.entries": KnowledgeEntry,
    "alerts.targets": AlertTarget,
    "alerts.rules": AlertRule,
    "retention.rules": RetentionRule,
}
"""What the lists of the sections hold."""
