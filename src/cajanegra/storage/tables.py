"""The tables as SQLAlchemy models: the guide's three to the letter, and our own, prefixed ``cajanegra_``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from cajanegra.storage.growing_ids import GrowingId

VERSION_TABLE = "cajanegra_version"
"""Alembic's own table for our migrations, beside a host's ``alembic_version``."""

_JSONB = JSONB()
# Nothing here uses it, and with it Alembic's autogenerate on SQLite writes a migration that names ``Text``
# without importing it.
_JSONB.astext_type = None  # type: ignore[assignment]
_Json = JSON().with_variant(_JSONB, "postgresql")
_NOW = text("CURRENT_TIMESTAMP")
_NONE = text("0")
_AUTOINCREMENT = {"sqlite_autoincrement": True}
"""On SQLite an id must never be used twice: a reused one would join one call's steps to another's."""


class Base(DeclarativeBase):
    """Every table of the product, indexes and version table included, is in ``Base.metadata``."""


class AIRequestLog(Base):
    """One row per call."""

    __tablename__ = "ai_request_logs"
    __table_args__ = (
        Index("idx_ai_logs_status_created", "status", "created_at"),
        Index("idx_ai_logs_module_task", "module", "task"),
        Index("idx_ai_logs_tenant_created", "tenant_id", "created_at"),
        Index("idx_ai_logs_created_at", "created_at"),
        Index("idx_ai_logs_provider", "provider_used"),
        Index("idx_ai_logs_request_id", "request_id"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(GrowingId, primary_key=True)
    request_id: Mapped[str] = mapped_column(String(50), unique=True)
    tenant_id: Mapped[str | None] = mapped_column(String(36))
    module: Mapped[str | None] = mapped_column(String(50))
    user_id: Mapped[str | None] = mapped_column(String(36))
    task: Mapped[str] = mapped_column(String(20))
    prompt_length: Mapped[int] = mapped_column(Integer)
    prompt_hash: Mapped[str | None] = mapped_column(String(64))
    temperature: Mapped[float | None] = mapped_column(Float, server_default=text("0.3"))
    max_tokens: Mapped[int | None] = mapped_column(Integer)
    model_requested: Mapped[str | None] = mapped_column(String(50))
    provider_used: Mapped[str] = mapped_column(String(20))
    provider_model: Mapped[str | None] = mapped_column(String(50))
    status: Mapped[str | None] = mapped_column(String(20), server_default="success")
    response_content_length: Mapped[int | None] = mapped_column(Integer, server_default=text("0"))
    tokens_used: Mapped[int | None] = mapped_column(Integer)
    processing_time_ms: Mapped[int | None] = mapped_column(Integer)
    error_message: Mapped[str | None] = mapped_column(Text)
    error_code: Mapped[str | None] = mapped_column(String(50))
    retry_count: Mapped[int | None] = mapped_column(Integer, server_default=text("0"))
    fallback_used: Mapped[str | None] = mapped_column(String(20))
    confidence_score: Mapped[float | None] = mapped_column(Float)
    user_feedback: Mapped[str | None] = mapped_column(String(20))
    correction_applied: Mapped[str | None] = mapped_column(String(255))
    request_metadata: Mapped[Any | None] = mapped_column(_Json)
    response_metadata: Mapped[Any | None] = mapped_column(_Json)
    created_at: Mapped[datetime | None] = mapped_column(DateTime, server_default=_NOW)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime, server_default=_NOW)


class AIErrorAnalysis(Base):
    """One row per error pattern."""

    __tablename__ = "ai_error_analysis"
    __table_args__ = (
        Index("idx_ai_error_pattern", "error_pattern"),
        Index("idx_ai_error_last_occurred", "last_occurred"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    error_pattern: Mapped[str | None] = mapped_column(String(100), unique=True)
    error_code: Mapped[str | None] = mapped_column(String(50))
    error_message_pattern: Mapped[str] = mapped_column(String(255))
    occurrence_count: Mapped[int | None] = mapped_column(Integer, server_default=text("1"))
    last_occurred: Mapped[datetime | None] = mapped_column(DateTime)
    probable_cause: Mapped[str | None] = mapped_column(Text)
    suggested_action: Mapped[str | None] = mapped_column(Text)
    resolution_status: Mapped[str | None] = mapped_column(String(50), server_default="open")
    auto_correction_enabled: Mapped[str | None] = mapped_column(String(50))
    correction_config: Mapped[Any | None] = mapped_column(_Json)
    created_at: Mapped[datetime | None] = mapped_column(DateTime, server_default=_NOW)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime, server_default=_NOW)
    resolved_at: Mapped[datetime | None] = mapped_column(DateTime)


class AIErrorRecovery(Base):
    """One row per recovery step."""

    __tablename__ = "ai_error_recovery"
    __table_args__ = (
        Index("idx_ai_recovery_request", "request_log_id"),
        Index("idx_ai_recovery_strategy", "strategy_name"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(GrowingId, primary_key=True)
    request_log_id: Mapped[int | None] = mapped_column(GrowingId)
    strategy_name: Mapped[str] = mapped_column(String(50))
    step_number: Mapped[int | None] = mapped_column(Integer)
    action_taken: Mapped[str | None] = mapped_column(String(100))
    was_successful: Mapped[str | None] = mapped_column(String(20))
    recovery_time_ms: Mapped[int | None] = mapped_column(Integer)
    recovery_result: Mapped[Any | None] = mapped_column(_Json)
    created_at: Mapped[datetime | None] = mapped_column(DateTime, server_default=_NOW)


class Content(Base):
    """The text of a call's prompt and answer, where it is captured; off by default."""

    __tablename__ = "cajanegra_contents"
    __table_args__ = (_AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(GrowingId, primary_key=True)
    request_log_id: Mapped[int] = mapped_column(GrowingId, unique=True)
    prompt: Mapped[Any | None] = mapped_column(_Json)
    answer: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime, server_default=_NOW)


class PatternRecord(Base):
    """What we know of an error pattern beside its row in ``ai_error_analysis``, which a merged one has not.

    Rows keep the name under which failures were grouped, whatever was merged since: so a merge can be undone.
    """

    __tablename__ = "cajanegra_patterns"
    __table_args__ = (Index("cajanegra_patterns_merged", "merged_into"),)

    pattern: Mapped[str] = mapped_column(String(100), primary_key=True)
    failures: Mapped[int] = mapped_column(BigInteger)
    recovered: Mapped[int] = mapped_column(BigInteger)
    """Failures of calls that were answered in the end."""
    first_occurred: Mapped[datetime | None] = mapped_column(DateTime)
    last_occurred: Mapped[datetime | None] = mapped_column(DateTime)
    grouping_version: Mapped[int | None] = mapped_column(Integer)
    regressed_at: Mapped[datetime | None] = mapped_column(DateTime)
    """When a failure reopened it; NULL again as soon as somebody decides about it."""
    merged_into: Mapped[str | None] = mapped_column(String(100))
    """The pattern under which its failures are counted now; that one is never merged itself."""
    kept: Mapped[Any | None] = mapped_column(_Json)
    """Its row of ``ai_error_analysis`` when it was merged."""
    resolved_before: Mapped[datetime | None] = mapped_column(DateTime)
    """When it had been resolved, where a failure reopened it; NULL with ``regressed_at``."""


class PatternTenant(Base):
    """What one tenant met of a pattern; the tenant is empty where a call has none."""

    __tablename__ = "cajanegra_pattern_tenants"
    __table_args__ = (Index("cajanegra_pattern_tenants_tenant", "tenant_id"),)

    pattern: Mapped[str] = mapped_column(String(100), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    failures: Mapped[int] = mapped_column(BigInteger)
    recovered: Mapped[int] = mapped_column(BigInteger)
    first_occurred: Mapped[datetime] = mapped_column(DateTime)
    last_occurred: Mapped[datetime] = mapped_column(DateTime)
    regressed_at: Mapped[datetime | None] = mapped_column(DateTime)
    """When a failure of its own reopened it; says nothing where that of the pattern is NULL."""


class PatternHour(Base):
    """Failures of one hour, which is named by its beginning (UTC)."""

    __tablename__ = "cajanegra_pattern_hours"
    __table_args__ = (Index("cajanegra_pattern_hours_hour", "hour"),)

    pattern: Mapped[str] = mapped_column(String(100), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    hour: Mapped[datetime] = mapped_column(DateTime, primary_key=True)
    failures: Mapped[int] = mapped_column(BigInteger)


class PatternFacet(Base):
    """Where a pattern was met and what recovered it: ``provider``, ``model``, ``module`` or ``strategy``."""

    __tablename__ = "cajanegra_pattern_facets"

    pattern: Mapped[str] = mapped_column(String(100), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    facet: Mapped[str] = mapped_column(String(20), primary_key=True)
    value: Mapped[str] = mapped_column(String(50), primary_key=True)
    failures: Mapped[int] = mapped_column(BigInteger)
    last_occurred: Mapped[datetime] = mapped_column(DateTime)


class OccurrenceLink(Base):
    """A call that met a pattern; the newest are kept."""

    __tablename__ = "cajanegra_occurrences"
    __table_args__ = (
        UniqueConstraint("pattern", "request_log_id"),
        Index("cajanegra_occurrences_call", "request_log_id"),
        Index("cajanegra_occurrences_pattern", "pattern", "occurred_at"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(GrowingId, primary_key=True)
    pattern: Mapped[str] = mapped_column(String(100))
    request_log_id: Mapped[int] = mapped_column(GrowingId)
    tenant_id: Mapped[str] = mapped_column(String(36))
    occurred_at: Mapped[datetime] = mapped_column(DateTime)


class PatternChange(Base):
    """What somebody decided about a pattern, or a failure that reopened it."""

    __tablename__ = "cajanegra_pattern_changes"
    __table_args__ = (Index("cajanegra_pattern_changes_pattern", "pattern", "id"), _AUTOINCREMENT)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    pattern: Mapped[str] = mapped_column(String(100))
    change: Mapped[str] = mapped_column(String(20))
    before: Mapped[str | None] = mapped_column(Text)
    after: Mapped[str | None] = mapped_column(Text)
    changed_by: Mapped[str | None] = mapped_column(String(100))
    """Who it was; NULL where a failure did it."""
    changed_at: Mapped[datetime] = mapped_column(DateTime)


class AlertRow(Base):
    """What a target is told of a subject, or was told last: one row, so that nobody tells it twice."""

    __tablename__ = "cajanegra_alerts"
    __table_args__ = (
        UniqueConstraint("target", "kind", "subject"),
        Index("cajanegra_alerts_due", "state", "next_try_at"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    target: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(String(200))
    episode: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(20))
    """``waiting``, ``told``, ``failed``, or ``folded`` into another one that says how many more there are."""
    tries: Mapped[int] = mapped_column(Integer)
    more: Mapped[int] = mapped_column(Integer)
    alert: Mapped[Any] = mapped_column(_Json)
    error: Mapped[str | None] = mapped_column(Text)
    found_at: Mapped[datetime] = mapped_column(DateTime)
    next_try_at: Mapped[datetime] = mapped_column(DateTime)
    told_at: Mapped[datetime | None] = mapped_column(DateTime)


class Lease(Base):
    """Work that one process at a time does for all of them."""

    __tablename__ = "cajanegra_leases"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(String(36))
    held_until: Mapped[datetime] = mapped_column(DateTime)


class ProviderState(Base):
    """What a process has learned of a provider's account or model, for the other processes."""

    __tablename__ = "cajanegra_provider_states"

    scope: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Hash of account and model."""
    account: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(Text)
    provider: Mapped[str] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(String(50))
    held_until: Mapped[datetime] = mapped_column(DateTime)
    was_asked: Mapped[int] = mapped_column(Integer)
    observed_at: Mapped[datetime] = mapped_column(DateTime)


class ApiKey(Base):
    """An API key: its hash, what it may do, and for whom."""

    __tablename__ = "cajanegra_keys"
    __table_args__ = (_AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    prefix: Mapped[str] = mapped_column(String(20), unique=True)
    key_hash: Mapped[str] = mapped_column(String(64))
    name: Mapped[str | None] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(10))
    tenant_id: Mapped[str | None] = mapped_column(String(36))
    """``NULL``: all tenants."""
    created_at: Mapped[datetime] = mapped_column(DateTime, server_default=_NOW)
    expires_at: Mapped[datetime | None] = mapped_column(DateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime)


class KeyLimit(Base):
    """What an API key may use the gateway for."""

    __tablename__ = "cajanegra_key_limits"

    key_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    models: Mapped[str | None] = mapped_column(Text)
    """A JSON list of names; ``NULL``: all."""
    requests_per_minute: Mapped[int | None] = mapped_column(Integer)
    tokens_per_minute: Mapped[int | None] = mapped_column(Integer)
    monthly_budget: Mapped[float | None] = mapped_column(Float)
    """US dollars."""


class KeyUsage(Base):
    """What an API key has used in a minute or a month."""

    __tablename__ = "cajanegra_key_usage"

    key_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    period: Mapped[str] = mapped_column(String(16), primary_key=True)
    """``2026-11`` or ``2026-11-25T20:01``, UTC."""
    requests: Mapped[int] = mapped_column(BigInteger)
    tokens: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[int] = mapped_column(BigInteger)
    """Billionths of a US dollar."""


class Session(Base):
    """A browser that has given a key: the hash of its cookie's token."""

    __tablename__ = "cajanegra_sessions"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    key_id: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime, server_default=_NOW)
    expires_at: Mapped[datetime] = mapped_column(DateTime)


class Track(Base):
    """How far the events of a recorder are in the database: what makes writing them again change nothing."""

    __tablename__ = "cajanegra_tracks"

    track: Mapped[str] = mapped_column(String(36), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[datetime] = mapped_column(DateTime, server_default=_NOW)


class Rollup(Base):
    """What the calls of some hours come to that have keys in common; see ``storage.rollups.cubes``.

    Times are those at which the calls began, and costs billionths of a unit of currency.
    """

    __tablename__ = "cajanegra_rollups"
    __table_args__ = (Index("cajanegra_rollups_start", "start"),)

    cube: Mapped[str] = mapped_column(String(10), primary_key=True)
    """By what calls are counted: ``total``, ``model``, ``task``, ``error``, ``user``; by what recovery steps
    are: ``step``, ``remedy``; with ``all_`` before it over all tenants, where there is ``tenant``, too."""
    tenant_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    """Empty for calls without one, and over all tenants."""
    grain: Mapped[str] = mapped_column(String(2), primary_key=True)
    """``1h``, ``6h`` or ``1d``."""
    start: Mapped[datetime] = mapped_column(DateTime, primary_key=True)
    key1: Mapped[str] = mapped_column(String(50), primary_key=True)
    key2: Mapped[str] = mapped_column(String(50), primary_key=True)
    key3: Mapped[str] = mapped_column(String(50), primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    answered: Mapped[int] = mapped_column(BigInteger)
    recovered: Mapped[int] = mapped_column(BigInteger)
    tokens: Mapped[int] = mapped_column(BigInteger)
    statuses: Mapped[Any] = mapped_column(_Json)
    """Calls by status."""
    costs: Mapped[Any] = mapped_column(_Json)
    """By currency."""
    latency: Mapped[bytes] = mapped_column(LargeBinary)
    """A sketch; see ``domain.sketch``."""
    first_token: Mapped[bytes] = mapped_column(LargeBinary)
    last_at: Mapped[datetime | None] = mapped_column(DateTime)
    detailed: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    """Calls that are counted in the columns below, too: those that an earlier version counted are not."""
    input_tokens: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    output_tokens: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    cached_tokens: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    reasoning_tokens: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    unpriced_calls: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)
    """Answered calls whose cost is not known; of recovery steps all of them."""
    unpriced_tokens: Mapped[int] = mapped_column(BigInteger, server_default=_NONE)


class RollupDelta(Base):
    """Calls of one tenant that are in the database and not yet in ``cajanegra_rollups``."""

    __tablename__ = "cajanegra_rollup_deltas"
    __table_args__ = (_AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(36))
    calls: Mapped[bytes] = mapped_column(LargeBinary)


class RollupState(Base):
    """From when on the rollups can be relied on: one row, which the first writer makes."""

    __tablename__ = "cajanegra_rollup_state"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    complete_since: Mapped[datetime | None] = mapped_column(DateTime)
    """Calls begun before this hour were not all counted; ``NULL``: all are."""
    sealed_until: Mapped[datetime] = mapped_column(DateTime)
    """The hours before this one are counted in days, too."""
    rows_since: Mapped[datetime | None] = mapped_column(DateTime)
    """Calls begun before this may have been deleted; ``NULL``: none."""


class Waiting(Base):
    """Feedback and contents that came before the row of their call."""

    __tablename__ = "cajanegra_waiting"
    __table_args__ = (
        Index("cajanegra_waiting_request", "request_id"),
        Index("cajanegra_waiting_created", "created_at"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(GrowingId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    request_id: Mapped[str] = mapped_column(String(50))
    tenant_id: Mapped[str | None] = mapped_column(String(36))
    payload: Mapped[Any] = mapped_column(_Json)
    created_at: Mapped[datetime] = mapped_column(DateTime, server_default=_NOW)


class RecentCall(Base):
    """Which request ids came lately: in partitioned storage nothing else keeps them unique across days."""

    __tablename__ = "cajanegra_recent_calls"
    __table_args__ = (Index("cajanegra_recent_calls_created", "created_at"),)

    key: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """See ``recent.key_of``."""
    created_at: Mapped[datetime] = mapped_column(DateTime)


class Hold(Base):
    """A legal hold: calls that neither retention nor erasure deletes."""

    __tablename__ = "cajanegra_holds"
    __table_args__ = (
        Index("cajanegra_holds_call", "request_log_id"),
        Index("cajanegra_holds_tenant", "tenant_id"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(String(36))
    """Of the held calls; of all of this tenant's where no call is named."""
    request_id: Mapped[str | None] = mapped_column(String(50))
    request_log_id: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(String(500))
    placed_by: Mapped[str | None] = mapped_column(String(100))
    placed_at: Mapped[datetime] = mapped_column(DateTime)


class Erasure(Base):
    """The receipt of an erasure: what was deleted on whose demand, without saying whom it was about."""

    __tablename__ = "cajanegra_erasures"
    __table_args__ = (_AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    subject: Mapped[str] = mapped_column(String(10))
    """``user`` or ``tenant``."""
    tenant_id: Mapped[str | None] = mapped_column(String(36))
    """The tenant in whose record a user was erased; ``NULL`` where it was a tenant, or in all records."""
    subject_hash: Mapped[str] = mapped_column(String(64))
    requested_by: Mapped[str | None] = mapped_column(String(100))
    counts: Mapped[Any] = mapped_column(_Json)
    began_at: Mapped[datetime] = mapped_column(DateTime)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime)


class RetentionRun(Base):
    """One run of retention: how far it came and what it freed."""

    __tablename__ = "cajanegra_retention_runs"
    __table_args__ = (_AUTOINCREMENT,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    started_by: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    """``running``, ``done``, ``cut_short`` (its time was up), ``failed``, or ``died``."""
    counts: Mapped[Any] = mapped_column(_Json)
    error: Mapped[str | None] = mapped_column(Text)
    began_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime] = mapped_column(DateTime)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime)


class Version(Base):
    """The revision of our migrations that the database has; as Alembic itself would make it."""

    __tablename__ = VERSION_TABLE
    __table_args__ = (PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),)

    version_num: Mapped[str] = mapped_column(String(32))


OPTIONAL_INDEX = "cajanegra_logs_"
"""What the names of indexes begin with that ``cajanegra db index`` adds to the guide's table."""
PARTITION = re.compile(r"ai_request_logs_p\d{8}")
"""The name of a partition: the first day that is in it."""


def include_name(name: str | None, kind: str, _parents: Mapping[Any, str | None]) -> bool:
    """Alembic's ``include_name`` hook: leaves partitions and optional indexes of ``ai_request_logs`` alone.

    Without it ``alembic revision --autogenerate`` of a host would propose to drop them. It goes into
    ``context.configure`` of the host's ``env.py``.
    """
    if name is not None and kind == "index":
        return not name.startswith(OPTIONAL_INDEX)
    return not (kind == "table" and name is not None and PARTITION.fullmatch(name))


def _table(model: type[Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101 - declarative models may map other things, ours do not
    return table


REQUEST_LOGS = _table(AIRequestLog)
ERROR_ANALYSIS = _table(AIErrorAnalysis)
ERROR_RECOVERY = _table(AIErrorRecovery)
CONTENTS = _table(Content)
KEYS = _table(ApiKey)
KEY_LIMITS = _table(KeyLimit)
KEY_USAGE = _table(KeyUsage)
PATTERNS = _table(PatternRecord)
PATTERN_TENANTS = _table(PatternTenant)
PATTERN_HOURS = _table(PatternHour)
PATTERN_FACETS = _table(PatternFacet)
OCCURRENCES = _table(OccurrenceLink)
PATTERN_CHANGES = _table(PatternChange)
ALERTS = _table(AlertRow)
LEASES = _table(Lease)
PROVIDER_STATES = _table(ProviderState)
ROLLUPS = _table(Rollup)
ROLLUP_DELTAS = _table(RollupDelta)
ROLLUP_STATE = _table(RollupState)
SESSIONS = _table(Session)
TRACKS = _table(Track)
WAITING = _table(Waiting)
RECENT_CALLS = _table(RecentCall)
HOLDS = _table(Hold)
ERASURES = _table(Erasure)
RETENTION_RUNS = _table(RetentionRun)
