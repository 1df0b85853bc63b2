"""The AI client: providers and recovery from ``cajanegra.toml``, the record in the ERP's own database."""

from app.config.database import DATABASE_URL
from cajanegra import AIClient, Settings


def new_ai_client() -> AIClient:
    """One for the whole process; whoever makes it closes it."""
    return AIClient(Settings(database={"url": DATABASE_URL}))
