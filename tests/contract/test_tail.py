from __future__ import annotations

import threading

from sqlalchemy import Insert, insert

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.models import AIRequestLog
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.tail import Horizon, place_of, written
from records import call_record, write

EVERYTHING = CallFilter(ALL_TENANTS)


def _insert(request_id: str) -> Insert:
    return insert(AIRequestLog).values(
        request_id=request_id, tenant_id="acme", task="t", prompt_length=1, provider_used="p"
    )


def test_a_tail_shows_what_came_after_in_order(database: Database) -> None:
    write(database, call_record("r-0"))
    horizon = Horizon(database)
    begun = horizon.advance()
    assert begun is not None
    assert written(database, EVERYTHING, begun, begun) == ([], begun)
    write(database, call_record("r-1"), call_record("r-2", tenant_id="globex"), call_record("r-3"))
    reached = horizon.advance()
    assert reached is not None
    rows, done = written(database, EVERYTHING, begun, reached)
    assert ([row["request_id"] for row in rows], done) == (["r-1", "r-2", "r-3"], reached)
    rows, done = written(database, CallFilter("acme"), begun, reached, limit=1)
    assert [row["request_id"] for row in rows] == ["r-1"]
    rows, done = written(database, CallFilter("acme"), done, reached, limit=5)
    assert ([row["request_id"] for row in rows], done) == (["r-3"], reached)


def test_a_call_is_a_place_for_those_alone_who_see_it(database: Database) -> None:
    write(database, call_record("r"), call_record("r", tenant_id="globex"))
    first, second = place_of(database, "acme", "r"), place_of(database, "globex", "r")
    assert first is not None
    assert second is not None
    assert first < second
    assert place_of(database, "initech", "r") is None


def test_an_open_transaction_holds_up_what_has_greater_ids(postgres_url: str) -> None:
    with Database(postgres_url) as database:
        horizon = Horizon(database)
        begun = horizon.advance()
        with database.engine.connect() as slow:
            slow.execute(_insert("slow"))
            write(database, call_record("quick"))
            assert horizon.advance() == begun
            assert horizon.advance() == begun
            slow.commit()
        reached = horizon.advance()
        assert begun is not None
        assert reached is not None
        assert [row["request_id"] for row in written(database, EVERYTHING, begun, reached)[0]] == [
            "slow",
            "quick",
        ]


def test_a_tail_that_begins_while_somebody_writes_waits_until_it_knows_where(postgres_url: str) -> None:
    with Database(postgres_url) as database:
        write(database, call_record("old"))
        horizon = Horizon(database)
        with database.engine.connect() as slow:
            slow.execute(_insert("slow"))
            assert horizon.advance() is None
        assert horizon.advance() is not None


def test_many_writers_that_overtake_one_another_lose_and_repeat_nothing(database: Database) -> None:
    horizon, shown = Horizon(database), list[str]()
    place = horizon.advance() or 0

    def run(name: int) -> None:
        with Database(database.url.render_as_string(hide_password=False)) as own:
            for number in range(15):
                write(own, *(call_record(f"{name}-{number}-{i}") for i in range(1 + (number * name) % 7)))

    writers = [threading.Thread(target=run, args=(name,)) for name in range(4)]
    for thread in writers:
        thread.start()
    while True:
        done = not any(thread.is_alive() for thread in writers)
        reached = horizon.advance() or place
        while place < reached:
            rows, place = written(database, EVERYTHING, place, reached, limit=10)
            shown += [row["request_id"] for row in rows]
        if done and horizon.advance() == place:
            break
    for thread in writers:
        thread.join()
    expected = {f"{n}-{j}-{i}" for n in range(4) for j in range(15) for i in range(1 + (j * n) % 7)}
    assert sorted(shown) == sorted(expected)
