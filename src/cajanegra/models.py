"""The tables, for applications that query them with SQLAlchemy or migrate them with their own Alembic."""

from __future__ import annotations

from cajanegra.storage.growing_ids import compare_type
from cajanegra.storage.tables import AIErrorAnalysis, AIErrorRecovery, AIRequestLog, Base, include_name

__all__ = ["AIErrorAnalysis", "AIErrorRecovery", "AIRequestLog", "Base", "compare_type", "include_name"]
