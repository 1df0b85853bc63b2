"""One file per resource; each has a ``router`` whose paths begin behind the prefix."""

from __future__ import annotations

from cajanegra.server.api import calls, errors, export, figures, ingest, live, recoveries, retention

LOGS = (
    ingest.router,
    calls.router,
    figures.router,
    errors.router,
    recoveries.router,
    retention.router,
    export.router,
    live.router,
    calls.one,
)
"""The resources below ``/api/v1/ai/logs``, in the order in which paths are tried: fixed words first."""
