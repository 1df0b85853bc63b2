"""The commands that keep the tables small, hold and erase."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cajanegra.storage.database import Database
from command import Command
from records import call_record, recovered_call, write_now


@pytest.fixture
def cajanegra(sqlite_url: str, tmp_path: Path) -> Command:
    """A record with an old call that is held, and others."""
    old = datetime.now(UTC) - timedelta(days=20)
    with Database(sqlite_url) as database:
        write_now(
            database,
            recovered_call("held", created_at=old),
            call_record("old", created_at=old, user_id="u1"),
            call_record("failed", created_at=old, status="error", error_code="timeout"),
            call_record("new", created_at=datetime.now(UTC), user_id="u1"),
        )
    (tmp_path / "cajanegra.toml").write_text("[retention]\nerror_days = 30\n")
    return Command(tmp_path, sqlite_url)


def test_hold_clean_up_erase(cajanegra: Command) -> None:
    held = cajanegra("retention", "hold", "held", "--reason", "case 17")
    assert held.out == "Held held, until 'cajanegra retention lift 1'.\n"
    done = cajanegra("cleanup", "--json").json
    assert (done["state"], done["calls"]) == ("done", 1)
    said = cajanegra("cleanup", "--days", "7").out
    assert said == "Deleted 1 call older than 7 days, with 0 recovery steps and 0 contents.\n"
    shown = cajanegra("retention", "runs", "--json").json
    assert [(run["state"], run["counts"]["calls"]) for run in shown] == [("done", 1), ("done", 1)]
    receipt = cajanegra("retention", "erase", "--user", "u1", "--yes", "--json").json
    assert (receipt["subject"], receipt["counts"]["calls"]) == ("user", 1)
    assert cajanegra("retention", "lift", "7").code == 2


@pytest.mark.postgres
def test_partition(postgres_url: str, tmp_path: Path) -> None:
    cajanegra = Command(tmp_path, postgres_url)
    done = cajanegra("db", "partition")
    assert done.code == 0, done.err
    assert done.out.startswith(
        "Calls are stored in daily partitions now; those there were are in ai_request_logs_p"
    )
    again = cajanegra("db", "partition", "--json").json
    assert (again["state"], again["made"]) == ("current", [])
    assert cajanegra("db", "verify").code == 0


@pytest.mark.postgres
def test_partition_with_wide_ids(postgres_url: str, tmp_path: Path) -> None:
    cajanegra = Command(tmp_path, postgres_url)
    assert "room for a second copy" in cajanegra("db", "partition", "--help").out.replace("\n", " ")
    done = cajanegra("db", "partition", "--bigint")
    assert done.code == 0, done.err
    assert done.out.startswith("Calls are stored in daily partitions, with 64-bit ids in ai_request_logs, ")
    again = cajanegra("db", "partition", "--bigint", "--json").json
    assert (again["state"], again["widened"]) == ("current", [])
    refused = Command(tmp_path, f"sqlite:///{tmp_path / 'calls.db'}")("db", "partition", "--bigint")
    assert (refused.code, refused.out) == (2, "")
    assert "only PostgreSQL has partitions" in refused.err
