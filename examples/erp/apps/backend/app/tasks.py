"""Celery tasks; ``celeryconfig.py`` says when they run."""

from celery import shared_task

from scripts.cleanup_ai_logs import cleanup_old_logs


@shared_task
def cleanup_ai_logs(days: int = 7) -> None:
    """The nightly clean-up of the guide."""
    cleanup_old_logs(days=days)
