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
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

VERSION_TABLE = "cajanegra_version"
"""Alembic's own table for our migrations, beside a host's ``alembic_version``."""

_JSONB = JSONB()
# Nothing here uses it, and with it Alembic's autogenerate on SQLite writes a migration that names ``Text``
# without importing it.
_JSONB.astext_type = None  # type: ignore[assignment]
_Json = JSON().with_variant(_JSONB, "postgresql")
_NOW = text("CURRENT_TIMESTAMP")
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

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
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

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    request_log_id: Mapped[int | None] = mapped_column(Integer)
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

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    request_log_id: Mapped[int] = mapped_column(Integer, unique=True)
    prompt: Mapped[Any | None] = mapped_column(_Json)
    answer: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime, server_default=_NOW)


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


class Track(Base):
    """How far the events of a recorder are in the database: what makes writing them again change nothing."""

    __tablename__ = "cajanegra_tracks"

    track: Mapped[str] = mapped_column(String(36), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[datetime] = mapped_column(DateTime, server_default=_NOW)


class Waiting(Base):
    """Feedback and contents that came before the row of their call."""

    __tablename__ = "cajanegra_waiting"
    __table_args__ = (
        Index("cajanegra_waiting_request", "request_id"),
        Index("cajanegra_waiting_created", "created_at"),
        _AUTOINCREMENT,
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    request_id: Mapped[str] = mapped_column(String(50))
    tenant_id: Mapped[str | None] = mapped_column(String(36))
    payload: Mapped[Any] = mapped_column(_Json)
    created_at: Mapped[datetime] = mapped_column(DateTime, server_default=_NOW)


class Version(Base):
    """The revision of our migrations that the database has; as Alembic itself would make it."""

    __tablename__ = VERSION_TABLE
    __table_args__ = (PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),)

    version_num: Mapped[str] = mapped_column(String(32))


_PARTITION = re.compile(r"ai_request_logs_p\d{8}")


def include_name(name: str | None, kind: str, _parents: Mapping[Any, str | None]) -> bool:
    """Alembic's ``include_name`` hook: leaves the partitions of ``ai_request_logs`` alone.

    Without it ``alembic revision --autogenerate`` of a host would propose to drop them. It goes into
    ``context.configure`` of the host's ``env.py``.
    """
    return not (kind == "table" and name is not None and _PARTITION.fullmatch(name))


def _table(model: type[Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101 - declarative models may map other things, ours do not
    return table


REQUEST_LOGS = _table(AIRequestLog)
ERROR_ANALYSIS = _table(AIErrorAnalysis)
ERROR_RECOVERY = _table(AIErrorRecovery)
CONTENTS = _table(Content)
PROVIDER_STATES = _table(ProviderState)
TRACKS = _table(Track)
WAITING = _table(Waiting)
