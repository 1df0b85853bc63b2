from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, get_args

import pytest
from sqlalchemy import text

from cajanegra.domain.principal import ALL_TENANTS, Scope
from cajanegra.domain.record import CallRecord, Occurrence
from cajanegra.errors import UsageError
from cajanegra.storage.database import Database
from cajanegra.storage.pattern_changes import RESOLUTIONS, merge, set_status
from cajanegra.storage.pattern_detail import PatternDetail, detail
from cajanegra.storage.patterns import PatternFilter, PatternRow, Sort, iterate, page
from records import NOW, call_record, recovered_call, write

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def met(pattern: str, at: datetime = NOW, provider: str = "ollama", kind: str = "timeout") -> Occurrence:
    return Occurrence(pattern, kind, f"{pattern}: <*>", at, "It is slow.", "Wait.", provider, "llama3.2")


def failed(name: str, pattern: str, at: datetime = NOW, count: int = 1, **known: Any) -> CallRecord:
    occurrences = [met(pattern, at, pattern.split("_", maxsplit=1)[0], pattern.split("_")[1])] * count
    usual = {"status": "error", "occurrences": occurrences, "created_at": at, "updated_at": at}
    return call_record(name, **(usual | known))


def meant(scope: Scope = ALL_TENANTS, **where: Any) -> PatternFilter:
    return PatternFilter(scope, **where)


def listed(database: Database, *, sort: Sort = "count", **where: Any) -> list[str]:
    return [row.error_pattern for row in page(database, meant(**where), now=NOW, sort=sort).items]


@pytest.fixture
def three(database: Database) -> Database:
    """Three timeouts of ollama long ago and lately, two failures of its name, one wrong key at openai."""
    write(
        database,
        failed("r-1", "ollama_timeout", NOW - 30 * DAY),
        failed("r-2", "ollama_timeout", NOW - HOUR, count=2, tenant_id="globex"),
        failed("r-3", "ollama_dns", NOW - 10 * DAY, count=2),
        failed("r-4", "openai_auth", NOW),
    )
    return database


def test_patterns_are_listed_by_count_by_time_and_by_age(three: Database) -> None:
    assert listed(three) == ["ollama_timeout", "ollama_dns", "openai_auth"]
    assert listed(three, sort="last") == ["openai_auth", "ollama_timeout", "ollama_dns"]
    assert listed(three, sort="first") == ["openai_auth", "ollama_dns", "ollama_timeout"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"status": "open"}, {"ollama_timeout", "ollama_dns", "openai_auth"}),
        ({"status": "resolved"}, set()),
        ({"mark": "new"}, {"openai_auth"}),
        ({"mark": "quiet"}, {"ollama_dns"}),
        ({"mark": "regressed"}, set()),
        ({"provider": "ollama"}, {"ollama_timeout", "ollama_dns"}),
        ({"kind": "auth"}, {"openai_auth"}),
        ({"text": "OLLAMA_D"}, {"ollama_dns"}),
        ({"text": "is slow"}, {"ollama_timeout", "ollama_dns", "openai_auth"}),
        ({"text": "100%"}, set()),
        ({"scope": "globex"}, {"ollama_timeout"}),
        ({"scope": "globex", "provider": "openai"}, set()),
        ({"scope": "nobody"}, set()),
        ({"provider": "ollama", "mark": "quiet", "status": "open"}, {"ollama_dns"}),
    ],
)
def test_filters(three: Database, where: dict[str, Any], expected: set[str]) -> None:
    assert set(listed(three, **where)) == expected
    assert set(listed(three, sort="trend", **where)) == expected


@pytest.mark.parametrize("sort", get_args(Sort))
@pytest.mark.parametrize("where", [{}, {"mark": "new"}, {"scope": "acme"}])
def test_pages_follow_one_another(database: Database, sort: Sort, where: dict[str, Any]) -> None:
    # Counts, times and scores that many share.
    write(database, *(failed(f"r-{i}", f"p{i % 23}_timeout", NOW - (i % 5) * HOUR) for i in range(60)))
    whole = [row.error_pattern for row in page(database, meant(**where), now=NOW, sort=sort).items]
    assert len(whole) == 23
    pages, cursor = [], None
    while True:
        found = page(
            database,
            meant(**where),
            now=NOW,
            sort=sort,
            limit=4,
            cursor=cursor,
        )
        pages += [row.error_pattern for row in found.items]
        cursor = found.next_cursor
        if cursor is None:
            break
    assert pages == whole
    assert {row.error_pattern for row in iterate(database, PatternFilter(ALL_TENANTS), now=NOW)} == set(whole)


@pytest.mark.parametrize(
    "cursor",
    ["x", "bnVsbA==", "WyJsYXN0IiwgMSwgMV0=", "WyJjb3VudCIsICJ4IiwgMV0=", "WyJ0cmVuZCIsIDEsICJhIiwgIngiXQ=="],
)
@pytest.mark.parametrize("sort", get_args(Sort))
def test_a_cursor_that_was_not_given_out_is_refused(database: Database, cursor: str, sort: Sort) -> None:
    with pytest.raises(UsageError, match="the cursor is not one"):
        page(database, PatternFilter(ALL_TENANTS), now=NOW, sort=sort, cursor=cursor)


def test_what_grows_stands_first_by_trend_and_is_marked(database: Database) -> None:
    calls = [
        failed(f"{name}-{day}", f"{name}_timeout", NOW - day * DAY, count=count)
        for name, usual, today in (("steady", 50, 55), ("rising", 5, 40), ("rare", 0, 5))
        for day in range(9)
        if (count := today if day == 0 else usual)
    ]
    write(database, *calls)
    assert listed(database) == ["steady_timeout", "rising_timeout", "rare_timeout"]
    assert listed(database, sort="trend") == ["rising_timeout", "rare_timeout", "steady_timeout"]
    assert listed(database, mark="escalating") == ["rising_timeout"]
    row = page(database, PatternFilter(ALL_TENANTS, mark="escalating"), now=NOW).items[0]
    assert (row.trend.recent, row.trend.expected) == (40, 5.0)
    assert (row.hours[-1], len(row.hours), sum(row.hours)) == (40, 24, 40)


def test_a_tenant_sees_its_own_counts_times_and_marks(three: Database) -> None:
    (row,) = page(three, PatternFilter("globex"), now=NOW).items
    assert (row.occurrence_count, row.marks) == (2, ("new",))
    assert row.first_occurred == (NOW - HOUR).replace(tzinfo=None)
    (own,) = page(three, PatternFilter("acme", text="ollama_timeout"), now=NOW).items
    assert (own.occurrence_count, own.marks, sum(own.hours)) == (1, ("quiet",), 0)


def test_a_pattern_is_shown_with_all_that_belongs_to_it(database: Database) -> None:
    write(
        database,
        recovered_call("r-1", module="imports", occurrences=[met("ollama_timeout")]),
        failed("r-2", "ollama_timeout", NOW - HOUR, module="copilot", tenant_id="globex", count=3),
        failed("r-3", "ollama_dns"),
    )
    set_status(database, "ollama_timeout", "wontfix", NOW, by="ana")
    found = detail(database, ALL_TENANTS, "ollama_timeout", now=NOW)
    assert (found.pattern.occurrence_count, found.pattern.recovered) == (4, 1)
    assert [(one.tenant_id, one.failures) for one in found.tenants] == [("globex", 3), ("acme", 1)]
    assert found.tenants_in_all == 2
    assert (found.providers, found.models) == ({"ollama": 4}, {"llama3.2": 4})
    assert (found.modules, found.recovered_by) == ({"copilot": 3, "imports": 1}, {"fallback": 1})
    assert [row["request_id"] for row in found.samples] == ["r-1", "r-2"]
    (change,) = found.changes
    assert (change.change, change.before, change.after, change.changed_by) == (
        "status",
        "open",
        "wontfix",
        "ana",
    )


def _texts(found: PatternDetail) -> str:
    return repr(found)


def test_a_tenant_is_shown_nothing_of_others(database: Database) -> None:
    write(
        database,
        failed("mine", "ollama_timeout", module="imports"),
        failed("theirs", "ollama_timeout", module="secret", tenant_id="globex", count=5),
        failed("other", "ollama_dns", tenant_id="globex"),
    )
    merge(database, "ollama_dns", "ollama_timeout", NOW, by="somebody")
    found = detail(database, "acme", "ollama_timeout", now=NOW)
    assert (found.pattern.occurrence_count, found.tenants_in_all, found.modules) == (1, 1, {"imports": 1})
    assert (found.merged, found.changes) == ([], ())
    assert [row["request_id"] for row in found.samples] == ["mine"]
    assert not any(word in _texts(found) for word in ("globex", "theirs", "secret", "ollama_dns", "somebody"))


def test_a_pattern_that_a_tenant_never_met_does_not_exist_for_it(three: Database) -> None:
    with pytest.raises(UsageError, match="there is no error pattern 'openai_auth'; 'cajanegra errors list'"):
        detail(three, "globex", "openai_auth", now=NOW)
    with pytest.raises(UsageError, match="no error pattern 'olama_timeout'; did you mean 'ollama_timeout'"):
        detail(three, "globex", "olama_timeout", now=NOW)


def test_a_pattern_is_resolved_and_opened_again(three: Database) -> None:
    later = NOW + HOUR

    def now(name: str = "openai_auth") -> PatternRow:
        return detail(three, ALL_TENANTS, name, now=later).pattern

    assert set_status(three, "openai_auth", "resolved", later) == "openai_auth"
    assert (now().resolution_status, now().resolved_at) == ("resolved", later.replace(tzinfo=None))
    assert now().marks == ()
    assert listed(three, status="resolved") == ["openai_auth"]
    assert len(listed(three, status="open")) == 2
    set_status(three, "openai_auth", "open", later)
    assert (now().resolution_status, now().resolved_at, now().occurrence_count) == ("open", None, 1)


def test_what_others_wrote_into_the_guides_table_is_listed(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO ai_error_analysis (error_pattern, error_message_pattern, resolution_status, occurrence_count)"
                " VALUES ('erp_timeout', 'it took too long', NULL, NULL), (NULL, 'nameless', 'open', 1)"
            )
        )
    (row,) = page(database, PatternFilter(ALL_TENANTS, status="open", provider="erp"), now=NOW).items
    assert (row.error_pattern, row.occurrence_count, row.recovered) == ("erp_timeout", 0, 0)
    assert detail(database, ALL_TENANTS, "erp_timeout", now=NOW).grouping_version is None
    set_status(database, "erp_timeout", "wontfix", NOW)
    assert listed(database, status="wontfix") == ["erp_timeout"]


def test_a_pattern_is_not_new_because_its_details_are(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO ai_error_analysis"
                " (error_pattern, error_message_pattern, occurrence_count, created_at, last_occurred) VALUES"
                " ('ollama_timeout', '<*>', 9, '2025-01-01 00:00:00', '2025-06-01 00:00:00'),"
                " ('ollama_dns', '<*>', 9, '2026-11-24 11:59:00', '2025-06-01 00:00:00')"
            )
        )
    write(database, failed("r", "ollama_timeout"))
    found = {row.error_pattern: row for row in iterate(database, PatternFilter(ALL_TENANTS), now=NOW)}
    assert (found["ollama_timeout"].first_occurred, found["ollama_timeout"].marks) == (
        datetime(2025, 1, 1),  # noqa: DTZ001 - as stored
        (),
    )
    assert (found["ollama_dns"].first_occurred, found["ollama_dns"].marks) == (
        datetime(2025, 6, 1),  # noqa: DTZ001 - as stored
        ("quiet",),
    )


def test_a_name_that_is_nearly_right_is_suggested(three: Database) -> None:
    with pytest.raises(UsageError, match="no error pattern 'olama_timeout'; did you mean 'ollama_timeout'"):
        set_status(three, "olama_timeout", "resolved", NOW)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"where": PatternFilter(ALL_TENANTS, status="done")}, f"choose one of {', '.join(RESOLUTIONS)}"),
        (
            {"where": PatternFilter(ALL_TENANTS, mark="old")},
            "choose one of regressed, new, escalating, quiet",
        ),
        ({"sort": "name"}, "choose one of count, last, first, trend"),
        ({"limit": 0}, "limit must be between 1 and 500, not 0"),
    ],
)
def test_what_makes_no_sense_is_refused(database: Database, known: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"where": PatternFilter(ALL_TENANTS), "now": NOW}
    with pytest.raises(UsageError, match=message):
        page(database, **(usual | known))


def test_a_status_that_does_not_exist_is_refused(three: Database) -> None:
    with pytest.raises(UsageError, match="choose one of open, resolved, wontfix"):
        set_status(three, "openai_auth", "done", NOW)
