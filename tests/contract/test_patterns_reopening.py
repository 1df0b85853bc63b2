"""A failure opens a resolved pattern again for the tenants that met it; for the others it stays resolved."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from cajanegra.domain.principal import ALL_TENANTS, Scope
from cajanegra.domain.record import CallRecord
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from cajanegra.storage.pattern_changes import merge, set_status, split
from cajanegra.storage.pattern_detail import detail
from cajanegra.storage.patterns import PatternFilter, page
from records import NOW, occurrence, recovered_call, write

MINUTE = timedelta(minutes=1)
RESOLVED = NOW + 10 * MINUTE
LATER = NOW + 60 * MINUTE
A, B = "openai_timeout_aaaaaa", "openai_timeout_bbbbbb"


def _call(tenant: str, begun: datetime, pattern: str = A, *, failed: datetime | None = None) -> CallRecord:
    return recovered_call(
        f"{tenant}-{pattern}-{begun:%H%M}",
        tenant_id=tenant,
        created_at=begun,
        occurrences=[occurrence(pattern, failed or begun)],
        response_metadata={"attempts": 2, "patterns": [pattern]},
    )


def _state(database: Database, scope: Scope, pattern: str = A) -> tuple[str, bool]:
    """Status, and whether it is said to have come back."""
    found = detail(database, scope, pattern, now=LATER).pattern
    assert ("regressed" in found.marks) == (found.regressed_at is not None)
    assert (found.resolution_status == "resolved") == (found.resolved_at is not None)
    listed = page(database, PatternFilter(scope, status=found.resolution_status), now=LATER).items
    assert found.error_pattern in [row.error_pattern for row in listed]
    return found.resolution_status, found.regressed_at is not None


OPEN, CAME_BACK, STAYS = ("open", False), ("open", True), ("resolved", False)


@pytest.fixture
def database(database: Database) -> Database:
    """With a pattern that two tenants met and that is resolved."""
    write(database, _call("acme", NOW), _call("globex", NOW))
    set_status(database, A, "resolved", RESOLVED)
    return database


def test_what_comes_back_for_one_tenant_stays_resolved_for_the_others(database: Database) -> None:
    write(database, _call("globex", RESOLVED + MINUTE), at=LATER)
    states = [_state(database, scope) for scope in (ALL_TENANTS, "globex", "acme")]
    assert states == [CAME_BACK, CAME_BACK, STAYS]


def test_a_tenant_whose_call_meets_it_later_is_told_too(database: Database) -> None:
    write(database, _call("globex", RESOLVED + MINUTE), at=LATER)
    write(database, _call("initech", RESOLVED - MINUTE, failed=RESOLVED + 2 * MINUTE), at=LATER)
    write(database, _call("acme", RESOLVED + 2 * MINUTE), at=LATER)
    states = [_state(database, scope) for scope in ("acme", "initech")]
    assert states == [CAME_BACK, STAYS]  # initech's call was under way


def test_for_a_tenant_that_meets_it_for_the_first_time_nothing_came_back(database: Database) -> None:
    write(database, _call("initech", RESOLVED + MINUTE), at=LATER)
    assert [_state(database, scope) for scope in (ALL_TENANTS, "initech")] == [CAME_BACK, OPEN]


def test_whoever_decides_decides_for_all(database: Database) -> None:
    write(database, _call("globex", RESOLVED + MINUTE), at=LATER)
    set_status(database, A, "open", RESOLVED + 2 * MINUTE)
    assert [_state(database, scope) for scope in ("globex", "acme")] == [OPEN, OPEN]
    set_status(database, A, "resolved", RESOLVED + 3 * MINUTE)
    assert [_state(database, scope) for scope in ("globex", "acme")] == [STAYS, STAYS]
    write(database, _call("acme", RESOLVED + 4 * MINUTE), at=LATER)
    assert [_state(database, scope) for scope in ("globex", "acme")] == [STAYS, CAME_BACK]


def test_a_failure_under_a_merged_name_opens_it_for_its_tenant(database: Database) -> None:
    write(database, _call("globex", NOW, B), _call("acme", NOW, B))
    merge(database, B, A, RESOLVED)
    write(database, _call("globex", RESOLVED + MINUTE, B), at=LATER)
    write(database, _call("initech", RESOLVED + 2 * MINUTE, B), at=LATER)
    states = [_state(database, scope) for scope in (ALL_TENANTS, "globex", "initech", "acme")]
    assert states == [CAME_BACK, CAME_BACK, OPEN, STAYS]


def test_a_merge_and_its_undoing_bring_nothing_back(database: Database) -> None:
    write(database, _call("acme", NOW, B))
    set_status(database, B, "resolved", RESOLVED)
    write(database, _call("acme", RESOLVED + MINUTE, B), _call("globex", RESOLVED + MINUTE), at=LATER)
    assert [_state(database, "acme", name) for name in (A, B)] == [STAYS, CAME_BACK]
    merge(database, B, A, LATER)
    assert _state(database, "acme") == STAYS
    split(database, B, LATER)
    assert [_state(database, "acme", name) for name in (A, B)] == [STAYS, OPEN]


def test_an_upgrade_finds_out_for_whom_a_pattern_came_back(database: Database) -> None:
    write(database, _call("globex", RESOLVED + MINUTE), at=LATER)
    migrate.downgrade(database, "0010")
    migrate.upgrade(database)
    states = [_state(database, scope) for scope in (ALL_TENANTS, "globex", "acme")]
    assert states == [CAME_BACK, CAME_BACK, STAYS]
    write(database, _call("acme", RESOLVED + 2 * MINUTE), at=LATER)
    assert _state(database, "acme") == CAME_BACK


def test_until_the_upgrade_only_the_total_is_counted(database: Database) -> None:
    migrate.downgrade(database, "0010")
    with Database(database.url.render_as_string(hide_password=False)) as same:
        write(same, _call("globex", RESOLVED + MINUTE), at=LATER)

    def value(query: str) -> Any:
        with database.engine.connect() as connection:
            return connection.scalar(text(query))

    assert value("SELECT occurrence_count FROM ai_error_analysis") == 3
    assert value("SELECT failures FROM cajanegra_patterns") == 2
