from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.domain.record import Batch
from cajanegra.errors import StorageError, UsageError
from cajanegra.storage import reads
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.pattern_changes import merge, set_status, split
from cajanegra.storage.pattern_detail import detail
from cajanegra.storage.patterns import PatternFilter, page
from cajanegra.storage.writes import Store
from records import NOW, occurrence, recovered_call, write

LATER = NOW + timedelta(hours=1)
A, B, C = "openai_timeout_aaaaaa", "openai_timeout_bbbbbb", "openai_timeout_cccccc"


def _call(name: str, pattern: str, **known: Any) -> Any:
    metadata = {"attempts": 2, "patterns": [pattern]}
    return recovered_call(
        name,
        occurrences=[occurrence(pattern, known.get("created_at", NOW))],
        response_metadata=metadata,
        **known,
    )


def _totals(database: Database) -> dict[str, int]:
    found = page(database, PatternFilter(ALL_TENANTS), now=LATER)
    return {row.error_pattern: row.occurrence_count for row in found.items}


@pytest.fixture
def database(database: Database) -> Database:
    """With three failures of A, two of B, one of C."""
    calls = [_call(f"{name}-{i}", name) for name, count in ((A, 3), (B, 2), (C, 1)) for i in range(count)]
    write(database, *calls)
    return database


def test_failures_of_the_past_and_those_to_come_count_under_the_other(database: Database) -> None:
    assert merge(database, B, A, NOW, by="ana") == A
    assert _totals(database) == {A: 5, C: 1}
    write(database, _call("new", B), _call("newer", A))
    assert _totals(database) == {A: 7, C: 1}
    found = detail(database, ALL_TENANTS, B, now=LATER)
    assert (found.pattern.error_pattern, found.merged) == (A, [B])
    assert [(tenant.tenant_id, tenant.failures) for tenant in found.tenants] == [("acme", 7)]
    assert sum(found.pattern.hours) == 7
    assert found.pattern.recovered == 7
    assert {row["request_id"] for row in found.samples} >= {"new", "newer", f"{B}-0"}
    (change,) = found.changes
    assert (change.pattern, change.change, change.after, change.changed_by) == (B, "merged", A, "ana")


def test_calls_are_found_under_the_name_of_today(database: Database) -> None:
    merge(database, B, A, NOW)
    names = [row["request_id"] for row in reads.calls(database, CallFilter(ALL_TENANTS, pattern=A)).items]
    assert sorted(names) == sorted([*(f"{A}-{i}" for i in range(3)), *(f"{B}-{i}" for i in range(2))])
    shown = reads.call(database, ALL_TENANTS, f"{B}-0")
    assert shown is not None
    assert [row["error_pattern"] for row in shown.patterns] == [A]


def test_what_is_split_has_its_own_failures_again(database: Database) -> None:
    set_status(database, B, "wontfix", NOW)
    merge(database, B, A, NOW)
    write(database, _call("new", B))
    assert split(database, B, LATER, by="ana") == A
    assert _totals(database) == {A: 3, B: 3, C: 1}
    assert detail(database, ALL_TENANTS, B, now=LATER).pattern.resolution_status == "wontfix"
    assert detail(database, ALL_TENANTS, A, now=LATER).merged == []
    write(database, _call("newest", B))
    assert _totals(database) == {A: 3, B: 4, C: 1}


def test_counts_from_before_our_tables_move_too(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE ai_error_analysis SET occurrence_count = 1000 WHERE error_pattern = :name"),
            {"name": B},
        )
    merge(database, B, A, NOW)
    assert _totals(database)[A] == 1003
    split(database, B, LATER)
    assert _totals(database) == {A: 3, B: 1000, C: 1}


def test_what_was_merged_into_a_pattern_goes_along(database: Database) -> None:
    merge(database, B, A, NOW)
    merge(database, A, C, NOW)
    write(database, _call("new", B))
    assert _totals(database) == {C: 7}
    assert detail(database, ALL_TENANTS, C, now=LATER).merged == [A, B]
    split(database, A, LATER)
    assert _totals(database) == {C: 4, A: 3}
    split(database, B, LATER)
    assert _totals(database) == {C: 1, A: 3, B: 3}


def test_into_a_merged_pattern_is_into_what_that_is_merged_into(database: Database) -> None:
    merge(database, B, A, NOW)
    assert merge(database, C, B, NOW) == A
    assert _totals(database) == {A: 6}


def test_a_failure_of_a_merged_name_opens_the_pattern_again(database: Database) -> None:
    merge(database, B, A, NOW)
    assert set_status(database, B, "resolved", NOW) == A
    write(database, _call("new", B, created_at=LATER))
    found = detail(database, ALL_TENANTS, A, now=LATER)
    assert (found.pattern.resolution_status, found.pattern.marks) == ("open", ("regressed", "new"))
    set_status(database, A, "resolved", LATER)
    assert detail(database, ALL_TENANTS, A, now=LATER).pattern.regressed_at is None


def test_what_makes_no_sense_is_refused(database: Database) -> None:
    with pytest.raises(UsageError, match="cannot be merged into itself"):
        merge(database, A, A, NOW)
    with pytest.raises(UsageError, match="there is no error pattern 'nothing'"):
        merge(database, A, "nothing", NOW)
    with pytest.raises(UsageError, match="did you mean 'openai_timeout_aaaaaa'"):
        merge(database, "openai_timeout_aaaab", B, NOW)
    with pytest.raises(UsageError, match=r"name them in the settings: \[\[knowledge.entries\]\]"):
        split(database, A, NOW)
    merge(database, B, A, NOW)
    with pytest.raises(UsageError, match=f"to be split, are: {B}"):
        split(database, A, NOW)
    with pytest.raises(UsageError, match=f"is merged into '{A}'; split it first"):
        merge(database, B, C, NOW)
    with pytest.raises(UsageError, match=f"'{B}' counts under '{A}' already"):
        merge(database, A, B, NOW)
    assert _totals(database) == {A: 5, C: 1}


def test_merging_loses_no_failure_of_those_who_write_meanwhile(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    stop = threading.Event()
    written = [0, 0]
    failed: list[str] = []

    def write_on(writer: int) -> None:
        with Database(url) as own:
            store = Store(own, lambda: NOW)
            while not stop.is_set():
                number = written[writer]
                batch = Batch([_call(f"w{writer}-{number}-{name[-1]}", name) for name in (A, B)])
                try:
                    store.write([store.prepare(batch)])
                except StorageError as error:
                    failed.append(str(error))  # tried again, as the recorder does
                    continue
                written[writer] += 1

    threads = [threading.Thread(target=write_on, args=(writer,)) for writer in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _round in range(5):
            merge(database, B, A, NOW)
            for status in ("resolved", "open"):
                set_status(database, B, status, NOW)
            split(database, B, NOW)
        merge(database, B, A, NOW)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert _totals(database) == {A: 5 + 2 * sum(written), C: 1}, failed
    assert sum(written) > 0


actions = st.one_of(
    st.tuples(st.just("write"), st.sampled_from((A, B, C)), st.integers(1, 3)),
    st.tuples(st.just("merge"), st.sampled_from((A, B, C)), st.sampled_from((A, B, C))),
    st.tuples(st.just("split"), st.sampled_from((A, B, C)), st.just(0)),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(actions, max_size=14))
def test_however_patterns_are_merged_and_split_no_failure_is_lost(
    sqlite_template: Path, story: list[tuple[str, str, Any]]
) -> None:
    written = dict.fromkeys((A, B, C), 0)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "calls.db"
        shutil.copyfile(sqlite_template, path)
        with Database(f"sqlite:///{path}") as database:
            for number, (what, name, other) in enumerate(story):
                if what == "write":
                    write(database, *(_call(f"{number}-{i}", name) for i in range(other)))
                    written[name] += other
                else:
                    with contextlib.suppress(UsageError):  # not there, merged already, not merged
                        merge(database, name, other, NOW) if what == "merge" else split(database, name, NOW)
                assert sum(_totals(database).values()) == sum(written.values())
            for name in (A, B, C):
                with contextlib.suppress(UsageError):
                    split(database, name, NOW)
            assert _totals(database) == {name: count for name, count in written.items() if count}
