"""What ``celery beat`` and ``celery worker`` read: the nightly clean-up as a task."""

import os

from celery.schedules import crontab

broker_url = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")
imports = ["app.tasks"]
beat_schedule = {
    "cleanup-ai-logs": {"task": "app.tasks.cleanup_ai_logs", "schedule": crontab(hour="2", minute="0")},
}
timezone = "UTC"
