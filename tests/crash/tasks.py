"""A host's Celery application, with a broker in a directory: ``python -m crash.tasks COUNT`` publishes tasks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from celery import Celery

_BROKER = Path(os.environ["CRASH_BROKER"])
_FOLDERS = {
    name: str(_BROKER / folder)
    for name, folder in {
        "data_folder_in": "queue",
        "data_folder_out": "queue",
        "processed_folder": "processed",
        "control_folder": "control",
    }.items()
}

app = Celery("crash", broker="filesystem://")
app.conf.update(
    broker_transport_options={**_FOLDERS, "store_processed": False, "polling_interval": 0.02},
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)


@app.task(name="call")  # type: ignore[untyped-decorator]
def call(request_id: str) -> None:
    """Make a call."""
    from crash import host

    host.call(request_id)


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        call.delay(f"task-{number}")
else:
    from crash import host  # noqa: F401 - the recorder is made in the parent of the pool
