"""What the rollups say is what the rows say, however calls came to be written and whoever counted when."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from cajanegra.domain.principal import ALL_TENANTS, Scope
from cajanegra.domain.record import Batch, CallRecord, StepRecord
from cajanegra.errors import SchemaError
from cajanegra.storage import migrate
from cajanegra.storage.database import Database, snapshot
from cajanegra.storage.facets import facets
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.keeping import Policy
from cajanegra.storage.recoveries import Flows, Remedies, Targets, flows, remedies, targets
from cajanegra.storage.retention import cleanup
from cajanegra.storage.rollups import answers, deltas, folding, state
from cajanegra.storage.rollups.answers import answer
from cajanegra.storage.rollups.cubes import CUBES, Dimension
from cajanegra.storage.rollups.questions import Answer, Coverage, Question
from cajanegra.storage.rollups.rebuilding import Rebuilt, differences, rebuild
from cajanegra.storage.statistics import Grouping, groups
from cajanegra.storage.sums import TOKEN_TYPES, Sums
from cajanegra.storage.tables import REQUEST_LOGS, ROLLUP_DELTAS, ROLLUP_STATE, ROLLUPS
from cajanegra.storage.timeseries import timeseries
from cajanegra.storage.usage import UsageGroups, usage
from cajanegra.storage.writes import Store
from records import NOW, call_record, step_record, write

DAY = datetime(2026, 11, 20, tzinfo=UTC)
EVERYTHING = CallFilter(ALL_TENANTS)
_runs = itertools.count()


def _ask(database: Database, asked: Question) -> Answer:
    with snapshot(database) as connection:
        return answer(database, connection, asked)


@contextmanager
def _rows_alone() -> Iterator[None]:
    """As if there were no rollups."""
    with mock.patch.object(state, "read", return_value=None):
        yield


def _told(found: Answer) -> dict[Any, Any]:
    """Everything but when the last call was: of a call that was put right, the time it was counted at stays."""

    def told(sums: Sums) -> tuple[Any, ...]:
        statuses = {name: calls for name, calls in sums.statuses.items() if calls}
        costs = {name: cost for name, cost in sums.costs.items() if cost}
        counts = sums.calls, sums.answered, sums.recovered, sums.tokens
        return *counts, statuses, costs, sums.latency, sums.first_token

    return {group: told(sums) for group, sums in found.groups.items() if sums.calls}


TENANTS: Sequence[str | None] = ("acme", "globex", None)


@st.composite
def _steps(draw: st.DrawFn) -> StepRecord:
    result: dict[str, Any] = {}
    for name, values in (
        ("trigger", [{"kind": "timeout", "pattern": "p" * 99}, {"kind": 5}, {"pattern": "auth"}, "timeout", None]),
        ("provider", ["openai", "ollama", "é" * 60, 7, None]),
        ("tokens", [0, 12, 9.9, "many"]),
        ("cost", [0.5, 0, 1e-9, "much", None]),
    ):  # fmt: skip
        if draw(st.booleans()):
            result[name] = draw(st.sampled_from(values))
    return step_record(
        draw(st.integers(1, 3)),
        strategy_name=draw(st.sampled_from(["retry", "fallback", ""])),
        was_successful=draw(st.booleans()),
        recovery_time_ms=draw(st.sampled_from([None, 0, 300, 2**40])),
        recovery_result=result,
    )


@st.composite
def _calls(draw: st.DrawFn) -> dict[str, Any]:
    status = draw(st.sampled_from(["success", "fallback", "error", "timeout"]))
    metadata: dict[str, Any] = {}
    if draw(st.booleans()):
        metadata |= {"cost": draw(st.sampled_from([0.25, 1e-9, 3, "much", True]))}
        metadata |= {"cost_currency": draw(st.sampled_from(["USD", "EUR", None]))}
    if draw(st.booleans()):
        metadata |= {"ttft_ms": draw(st.sampled_from([0, 12, 40.5, "soon", 2_000]))}
    for name in TOKEN_TYPES:
        if draw(st.booleans()):
            metadata[name] = draw(st.sampled_from([0, 7, 40.9, -3, "many", True, None, 2**40]))
    return {
        "tenant_id": draw(st.sampled_from(TENANTS)),
        "created_at": DAY + timedelta(minutes=draw(st.integers(0, 3 * 24 * 60))),
        "provider_used": draw(st.sampled_from(["openai", "ollama"])),
        "provider_model": draw(st.sampled_from(["small", "large", None])),
        "model_requested": draw(st.sampled_from(["small", None])),
        "module": draw(st.sampled_from(["imports", None])),
        "task": draw(st.sampled_from(["chat", "ocr"])),
        "user_id": draw(st.sampled_from(["ana", "leo", None])),
        "status": status,
        "error_code": draw(st.sampled_from(["auth", "interrupted"])) if status == "error" else None,
        "tokens_used": draw(st.sampled_from([None, 5, 700])),
        "processing_time_ms": draw(st.sampled_from([None, 0, 3, 250, 99_999])),
        "steps": draw(st.lists(_steps(), max_size=2)),
        "response_metadata": metadata,
    }


@st.composite
def _questions(draw: st.DrawFn) -> Question:
    at = st.one_of(st.none(), st.integers(0, 3 * 24 * 6).map(lambda tens: DAY + timedelta(minutes=10 * tens)))
    scopes: list[Scope] = [ALL_TENANTS, "acme", "globex"]
    scope = draw(st.sampled_from(scopes))
    filters: dict[str, Any] = {}
    for name, values in (
        ("tenant_id", ["acme", "globex"]), ("provider", ["openai"]), ("model", ["small"]), ("module", ["imports"]),
        ("task", ["ocr"]), ("status", ["error"]), ("error_code", ["auth"]), ("user_id", ["ana"]),
    ):  # fmt: skip
        if draw(st.integers(0, 4)) == 0:
            filters[name] = draw(st.sampled_from(values))
    dimensions: list[tuple[Dimension, ...]] = [
        (), ("tenant",), ("provider",), ("model",), ("provider", "model"), ("module",), ("task",), ("status",),
        ("error_code",), ("user",),
    ]  # fmt: skip
    by = draw(st.sampled_from(dimensions))
    bucket = draw(st.sampled_from([None, None, 900, 3600, 6 * 3600, 24 * 3600]))
    return Question(CallFilter(scope, since=draw(at), until=draw(at), **filters), by, bucket)


@settings(
    max_examples=5,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    batches=st.lists(st.lists(_calls(), min_size=1, max_size=6), min_size=1, max_size=4),
    again=st.lists(st.tuples(st.integers(0, 3), _calls()), max_size=4),
    folds=st.lists(st.integers(0, 80), max_size=3),
    questions=st.lists(_questions(), min_size=3, max_size=5),
)
def test_what_is_counted_is_what_is_there(
    database: Database, batches: Any, again: Any, folds: list[int], questions: list[Question]
) -> None:
    run = next(_runs)
    with database.transaction() as connection:
        for table in (REQUEST_LOGS, ROLLUPS, ROLLUP_DELTAS, ROLLUP_STATE):
            connection.execute(delete(table))
    store = Store(database, lambda: NOW)
    written: list[CallRecord] = []
    for number, batch in enumerate(batches):
        calls = [call_record(f"{run}-{number}-{i}", **known) for i, known in enumerate(batch)]
        written += calls
        _write(store, calls)
        if folds:
            folding.fold(database, DAY + timedelta(hours=folds.pop()))
    for place, changes in again:  # what ended otherwise, came twice, or belongs to somebody else
        before = written[place % len(written)]
        kept = {"created_at": datetime.fromtimestamp(before.created_at, UTC), "tenant_id": before.tenant_id}
        _write(store, [call_record(before.request_id, **changes | kept), before])
    _compare(database, questions)
    folding.fold(database, DAY + timedelta(hours=50))
    _compare(database, questions)
    assert differences(database) == []


def _compare(database: Database, questions: Sequence[Question]) -> None:
    """Each view is what it is when single calls are looked at."""
    for asked in questions:
        for show in (
            lambda asked=asked: _told(_ask(database, asked)),
            lambda asked=asked: facets(database, asked.where).values,
            lambda asked=asked: _uncovered(usage(database, asked.where, _grouping(asked))),
            lambda asked=asked: _uncovered(flows(database, asked.where)),
            lambda asked=asked: _uncovered(targets(database, asked.where)),
            lambda asked=asked: _uncovered(remedies(database, asked.where)),
        ):
            with _rows_alone():
                by_rows = show()
            assert show() == by_rows, asked


def _grouping(asked: Question) -> Grouping:
    return asked.by[0] if asked.by else "model"


def _uncovered(found: UsageGroups | Flows | Targets | Remedies) -> Any:
    """Everything but what it is made of."""
    return replace(found, coverage=Coverage("rows"))


def _write(store: Store, calls: Sequence[CallRecord]) -> None:
    store.write([store.prepare(Batch.of(calls))])


def _by_others(database: Database, number: int, at: datetime | None) -> None:
    values = {
        "request_id": f"theirs-{number}",
        "task": "chat",
        "prompt_length": 1,
        "provider_used": "openai",
        "status": "success",
        "created_at": None if at is None else at.replace(tzinfo=None),
    }
    with database.transaction() as connection:
        connection.execute(insert(REQUEST_LOGS).values(**values))


def test_calls_that_were_there_before_are_looked_at_until_they_are_counted(database: Database) -> None:
    for number in range(3):
        _by_others(database, number, NOW - timedelta(hours=30 * number))
    write(database, call_record("new", created_at=NOW + timedelta(hours=1)))
    found = groups(database, EVERYTHING, "provider")
    assert (found.all.total, found.coverage.source) == (4, "both")
    assert differences(database) == []

    done = rebuild(database, NOW)
    assert done == Rebuilt(datetime(2026, 11, 22), 4)  # noqa: DTZ001 - as the table has it
    # Midnight is the begin of the first call's hour: every hour is known.
    where = CallFilter(ALL_TENANTS, since=NOW - timedelta(days=3), until=NOW + timedelta(hours=2))
    found = groups(database, where, None)
    assert (found.all.total, found.coverage.source) == (4, "rollups")


def test_what_others_write_is_found_and_counted_by_rebuilding(database: Database) -> None:
    write(database, call_record("ours"))
    _by_others(database, 1, NOW)
    _by_others(database, 2, NOW - timedelta(days=1))
    _by_others(database, 3, None)
    found = differences(database)
    assert {(one.hour.day, one.cube, one.counted, one.rows) for one in found} == {
        *((23, cube, 0, 1) for cube in CUBES),
        *((24, cube, 0, 1) for cube in CUBES),
    }
    store = Store(database, lambda: NOW)
    _write(store, [call_record("counted at once")])
    _write(store, [call_record("waits to be counted")])
    for _ in range(2):
        assert rebuild(database, NOW).calls == 5
        assert differences(database) == []
        found_again = groups(database, EVERYTHING, None)
        assert (found_again.all.total, found_again.coverage.source) == (6, "both")  # one has no time
    store.close()


def test_what_was_deleted_stays_counted(database: Database) -> None:
    write(database, *(call_record(f"r-{i}", created_at=NOW - timedelta(hours=i)) for i in range(30)))
    folding.fold(database, NOW)
    cleanup(database, ALL_TENANTS, policy=Policy(timedelta(hours=10, minutes=30)), now=NOW)
    since = NOW - timedelta(hours=20, minutes=30)
    found = groups(database, CallFilter(ALL_TENANTS, since=since), None)
    assert (found.all.total, found.coverage.whole_hours) == (21 + 1, True)
    assert rebuild(database, NOW).calls == 11
    assert groups(database, EVERYTHING, None).all.total == 30


def test_of_what_no_cube_knows_the_newest_calls_are_looked_at(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST_ROWS", 5)
    write(
        database,
        *(call_record(f"r-{i}", created_at=NOW - timedelta(minutes=i), module="m") for i in range(9)),
    )
    where = CallFilter(ALL_TENANTS, provider="openai", module="m")
    found = groups(database, where, None)
    assert (found.all.total, found.coverage.source) == (5, "rows")
    assert found.coverage.counted_since is not None
    assert groups(database, CallFilter(ALL_TENANTS, module="m"), None).all.total == 9


def test_the_busiest_users_are_told_apart(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "MAX_USERS", 2)
    calls = [("ana", 4), ("leo", 3), ("eva", 2), ("tom", 1)]
    write(
        database,
        *(
            call_record(f"{user}-{i}", user_id=user, created_at=NOW - timedelta(hours=3))
            for user, count in calls
            for i in range(count)
        ),
    )
    folding.fold(database, NOW)
    where = CallFilter("acme", since=NOW - timedelta(hours=6), until=NOW)
    found = groups(database, where, "user")
    assert [(user, entry.total) for user, entry in found.groups] == [("ana", 4), ("leo", 3)]
    assert (found.all.total, found.others) == (10, 3)
    by_user = groups(database, CallFilter("acme", user_id="eva", until=NOW), None)
    assert (by_user.all.total, by_user.coverage.source) == (2, "rows")
    series = timeseries(database, where, since=NOW - timedelta(hours=6), until=NOW, by="user").series
    assert {one.value: sum(entry.total for _at, entry in one.points) for one in series} == {
        "ana": 4,
        "leo": 3,
    }


def test_the_last_call_of_each_group_is_known(database: Database) -> None:
    write(database, *(call_record(f"r-{i}", created_at=NOW - timedelta(hours=i)) for i in (5, 2, 9)))
    ((_provider, found),) = groups(database, EVERYTHING, "provider").groups
    assert found.last_at == (NOW - timedelta(hours=2)).replace(tzinfo=None)


def _priced(request_id: str, hours: float, **known: Any) -> CallRecord:
    """A call that long ago, with all that is counted in detail."""
    metadata = {"input_tokens": 30, "output_tokens": 10, "cached_tokens": 5, "reasoning_tokens": 2}
    usual: dict[str, Any] = {"tokens_used": 40, "response_metadata": metadata, "steps": [step_record()]}
    return call_record(request_id, created_at=NOW - timedelta(hours=hours), **(usual | known))


def _upgrade_in_place(database: Database) -> None:
    """As an earlier version has left it, upgraded."""
    migrate.downgrade(database, "0009")
    migrate.upgrade(database)


def test_of_hours_that_were_counted_with_less_the_rows_are_looked_at(database: Database) -> None:
    where = CallFilter(ALL_TENANTS, since=NOW - timedelta(hours=20), until=NOW + timedelta(hours=1))
    write(database, _priced("a", 9), _priced("b", 5, tenant_id="globex"))
    folding.fold(database, NOW)
    write(database, _priced("e", 9.2), _priced("f", 8.9))
    _upgrade_in_place(database)
    write(database, _priced("c", 2.6), _priced("d", 1))
    for _ in range(2):
        found = usage(database, where, "model")
        assert (found.all.calls, found.all.input, found.all.reasoning) == (6, 180, 12)
        assert (found.coverage.source, found.coverage.counted_since) == ("both", None)
        tried = targets(database, where)
        assert (sum(one.steps for one in tried.targets), tried.coverage.source) == (6, "both")
        assert groups(database, where, None).coverage.source == "rollups"
        assert differences(database) == []  # what is lacking is not wrong
        folding.fold(database, NOW)
    whole = replace(where, since=NOW - timedelta(hours=1))
    assert usage(database, whole, "model").coverage.source == "rollups"

    assert rebuild(database, NOW).calls == 6
    found = usage(database, where, "model")
    assert (found.all.input, found.coverage.source) == (180, "rollups")
    assert differences(database) == []


def test_what_was_deleted_before_it_was_counted_in_detail_is_left_out(database: Database) -> None:
    where = CallFilter(ALL_TENANTS, since=NOW - timedelta(hours=20), until=NOW + timedelta(hours=1))
    write(database, *(_priced(f"r-{hours}", hours) for hours in range(4, 16)))
    folding.fold(database, NOW)
    _upgrade_in_place(database)
    cleanup(database, ALL_TENANTS, policy=Policy(timedelta(hours=10, minutes=30)), now=NOW)
    write(database, _priced("new", 1))
    found = usage(database, where, "model")
    assert (found.all.calls, found.all.input) == (8, 240)
    assert found.coverage == Coverage("both", (NOW - timedelta(hours=10)).replace(tzinfo=None))
    assert groups(database, where, None).all.total == 13  # of all that is counted since ever

    cleanup(database, ALL_TENANTS, policy=Policy(timedelta(hours=2)), now=NOW)
    found = usage(database, where, "model")
    assert (found.all.calls, found.coverage.counted_since) == (
        1,
        (NOW - timedelta(hours=3)).replace(tzinfo=None),
    )


def test_a_database_that_is_not_upgraded_is_looked_at_call_by_call(database: Database) -> None:
    migrate.downgrade(database, "0009")
    write(database, call_record("a"))
    with Database(database.url.render_as_string(hide_password=False)) as same:
        found = groups(same, EVERYTHING, "provider")
        assert (found.all.total, found.coverage.source) == (1, "rows")
        with pytest.raises(SchemaError, match="'cajanegra db upgrade' completes it"):
            rebuild(same, NOW)
        migrate.upgrade(same)
        write(same, call_record("b"))
        folding.fold(same, NOW + timedelta(hours=1))
        found = groups(same, replace(EVERYTHING, since=NOW), "provider")
        assert (found.all.total, found.coverage.source) == (2, "rollups")


def test_a_database_without_rollups_is_looked_at_call_by_call(database: Database) -> None:
    with database.transaction() as connection:
        for table in (ROLLUPS, ROLLUP_DELTAS, ROLLUP_STATE):
            table.drop(connection)
    write(database, call_record("a"))
    found = groups(database, EVERYTHING, "provider")
    assert (found.all.total, found.coverage.source) == (1, "rows")
    with pytest.raises(SchemaError, match="'cajanegra db upgrade' creates it"):
        rebuild(database, NOW)


@pytest.mark.postgres
def test_writers_and_counters_at_once_count_each_call_once(postgres_url: str) -> None:
    def work(number: int) -> None:
        with Database(postgres_url) as own:
            store = Store(own, lambda: NOW)
            for batch in range(10):
                _write(store, [call_record(f"{number}-{batch}-{i}", user_id=f"u-{i}") for i in range(20)])
                if number == 0:
                    rebuild(own, NOW)
                else:
                    folding.fold(own, NOW, wait=bool(batch % 2))
            store.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    with Database(postgres_url) as database:
        folding.fold(database, NOW + timedelta(hours=2))
        assert differences(database) == []
        where = CallFilter(ALL_TENANTS, since=NOW - timedelta(hours=1), until=NOW + timedelta(hours=1))
        found = groups(database, where, None)
        assert (found.all.total, found.coverage.source) == (600, "rollups")


class Turns:
    """Notes how often others could have had their turn."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1

    def briefly(self) -> None:
        self.count += 1


def test_a_writer_counts_now_and_then_and_lets_others_have_their_turn(database: Database) -> None:
    at, worked = 100.0, 0.0

    def cpu() -> float:
        nonlocal worked
        worked += 0.5
        return worked

    def waiting() -> int:
        with database.transaction() as connection:
            return len([*deltas.waiting(connection)])

    turns = Turns()
    counting = folding.Folding(database, lambda: NOW, lambda: at, cpu)
    write(database, *(call_record(f"a-{n}", tenant_id=f"t-{n}") for n in range(30)))
    counting.noted()
    counting.run_if_due(turns)
    assert waiting() == 0
    assert turns.count > 30
    write(database, call_record("b"))
    counting.noted()
    at += 0.5 / folding.SHARE - 0.1  # counting took half a second, and may take a tenth of the time
    counting.run_if_due(turns)
    assert waiting() == 1
    at += 0.2
    counting.run_if_due(turns)
    assert waiting() == 0


def test_what_nobody_can_read_does_not_hold_up_the_rest(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    write(database, call_record("a"))
    with database.transaction() as connection:
        for packed in (b"torn", zlib.compress(b"\xa3???"), zlib.compress(b"\x92\x01\x90")[:-3]):
            connection.execute(insert(ROLLUP_DELTAS).values(tenant_id="acme", calls=packed))
    write(database, call_record("b"))
    assert groups(database, EVERYTHING, None).all.total == 2
    folding.fold(database, NOW)
    with database.transaction() as connection:
        assert [*deltas.waiting(connection)] == []
    assert groups(database, EVERYTHING, None).all.total == 2
    assert "rollups rebuild" in caplog.text


def test_what_somebody_else_counts_meanwhile_is_counted_once(database: Database) -> None:
    class Another(Turns):
        """Counts in the midst of the work of the first."""

        def __call__(self) -> None:
            super().__call__()
            if self.count == 1:
                folding.fold(database, NOW)

    write(database, *(call_record(f"a-{n}") for n in range(5)))
    folding.fold(database, NOW, give_way=Another())
    with snapshot(database) as connection:
        found = answer(database, connection, Question(CallFilter(ALL_TENANTS)))
    assert found.groups[()].calls == 5
