"""The base of the ERP's own tables."""

from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """The AI tables have a base of their own, in ``app.models.ai_log``."""
