"""Ids of 64 bits: whatever is done to the tables while they are copied is in the copy, and once."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Self

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError, NotSupportedError
from sqlalchemy.orm import Session

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.domain.record import Batch
from cajanegra.errors import SchemaError, StorageError
from cajanegra.models import AIRequestLog
from cajanegra.storage import copying, health, partitions, widening
from cajanegra.storage.database import Database
from cajanegra.storage.keeping import Policy
from cajanegra.storage.partitioning import partition
from cajanegra.storage.retention import cleanup
from cajanegra.storage.writes import Store
from databases import Databases
from records import NOW, write
from wide_ids import DAY, TABLES, ask, fill, full_call, left_over, rows, run, widen, widths, wrong

pytestmark = pytest.mark.postgres
_INSERT = (
    "INSERT INTO ai_request_logs (id, request_id, task, prompt_length, provider_used, created_at, updated_at)"
)


@pytest.fixture(params=["plain", pytest.param("partitioned", marks=pytest.mark.long)])
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database(layout: str, postgres_url: str) -> Iterator[Database]:
    """With ids of 32 bits, rows in all tables, and a call of each of the last nine days."""
    with Database(postgres_url) as found:
        fill(found, layout)
        yield found


class Changes:
    """Changes of every kind, the same for every database that they are made to."""

    KINDS = (
        f"{_INSERT} VALUES (1000 + :made, 'n' || :made, 'chat', 0, 'x', :at, :at)",
        f"{_INSERT} VALUES (:call, 'again-' || :made, 'chat', 0, 'x', :at, :at) ON CONFLICT DO NOTHING",
        "UPDATE ai_request_logs SET user_feedback = 'f' || :made WHERE id % :call = 0",
        "UPDATE ai_request_logs SET created_at = :at WHERE id = :call",
        "UPDATE ai_request_logs SET id = 2000 + :made WHERE id = :call",
        "DELETE FROM ai_request_logs WHERE id = :call",
        "DELETE FROM cajanegra_contents WHERE request_log_id = :call",
        (
            "INSERT INTO cajanegra_contents (id, request_log_id, created_at) VALUES (3000 + :made, :call, :at)"
            " ON CONFLICT (request_log_id) DO UPDATE SET answer = 'b' || :made"
        ),
        "UPDATE cajanegra_contents SET request_log_id = -request_log_id WHERE request_log_id = :call",
        "DELETE FROM ai_error_recovery WHERE id = :call",
        "UPDATE cajanegra_occurrences SET pattern = 'p' || :made WHERE request_log_id = :call",
    )

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - made up
        self._made = 0

    def make(self, *databases: Database) -> None:
        """One change; it may concern a row that is not there, or be refused."""
        self._made += 1
        statement, call = self._random.choice(self.KINDS), self._random.randrange(1, 40)
        at = (NOW - self._random.randrange(-1, 6) * DAY).replace(tzinfo=None)
        values = {"made": self._made, "call": call, "at": at}
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        refusals = set[str]()
        for each in databases:
            try:
                run(each, statement.replace("|| :made", "|| CAST(:made AS text)"), **used)
                refusals.add("")
            except IntegrityError as error:
                refusals.add(str(error.orig))
        assert len(refusals) == 1


@pytest.mark.parametrize("seed", range(4))
def test_any_changes_end_up_in_the_copy(
    seed: int, layout: str, database: Database, postgres_databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH", 3)
    changes = Changes(seed)
    with postgres_databases.migrated() as url, Database(url) as other:
        fill(other, layout)
        for each in (database, other):
            write(each, *(full_call(f"more-{number}", number % 5) for number in range(30)))
            partitions.make_ahead(each, NOW)
        assert rows(other) == rows(database)

        def change(_done: int) -> None:
            for _ in range(3):
                changes.make(database, other)

        widen(database, change)
        assert rows(database) == rows(other)
        assert wrong(database) == left_over(database) == []


def test_days_may_come_and_go(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH", 3)
    with Database(postgres_url) as database:
        fill(database, "partitioned")
        later, today = NOW + 20 * DAY, partitions.name_of(NOW.date())

        def days(done: int) -> None:
            if done != 3:
                return
            store = Store(database, lambda: later)
            store.write([store.prepare(Batch.of([full_call("later", -20)]))])
            cleanup(database, ALL_TENANTS, policy=Policy(timedelta(days=1, hours=1)), now=NOW)
            attach = f"ALTER TABLE ai_request_logs ATTACH PARTITION {today}"
            run(
                database,
                f"DROP TABLE {today}",
                f"CREATE TABLE {today} (LIKE ai_request_logs INCLUDING DEFAULTS)",
                _INSERT.replace("ai_request_logs", today)
                + " VALUES (77, 'attached', 'chat', 0, 'x', :at, :at)",
                f"{attach} FOR VALUES FROM ('{NOW.date()}') TO ('{(NOW + DAY).date()}')",
                at=NOW.replace(tzinfo=None),
            )

        widen(database, days)
        names = [name for (name,) in ask(database, "SELECT request_id FROM ai_request_logs ORDER BY 1")]
        assert names == ["attached", "later", "new-1"]
        with database.engine.connect() as connection:
            there = [one.name for one in partitions.partitions(connection)]
        assert partitions.name_of(later.date()) in there
        assert partitions.name_of((NOW - 2 * DAY).date()) not in there
        assert wrong(database) == left_over(database) == []


class Writers:
    """Those who write to the tables all the time, and a ledger of what is to be there."""

    def __init__(self, url: str, held: int) -> None:
        self._url, self._held = url, held
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=work) for work in (self._record, self._host, self._rate, self._clean)
        ]
        self.ledger: dict[str, str | None] = {}
        self.longest = 0.0
        """Seconds that one batch of the recorder took."""

    def __enter__(self) -> Self:
        with Database(self._url) as database:
            self.ledger.update(ask(database, "SELECT request_id, user_feedback FROM ai_request_logs"))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def count(self, beginning: str) -> int:
        return sum(name.startswith(beginning) for name in [*self.ledger])

    def wait_for_more(self, beginning: str) -> None:
        until = self.count(beginning) + 5
        while self.count(beginning) < until and all(thread.is_alive() for thread in self._threads[:2]):
            self._ending.wait(0.01)

    def _numbers(self, begin: int, step: int) -> Iterator[int]:
        """The calls of a thread of its own."""
        for number in range(begin, self._held, step):
            if self._ending.is_set():
                return
            yield number

    def _record(self) -> None:
        with Database(self._url) as database:
            store, number = Store(database, lambda: NOW), 0
            while not self._ending.is_set():
                names = [f"w{number + further}" for further in range(3)]
                began = time.monotonic()
                store.write([store.prepare(Batch.of([full_call(name) for name in names]))])
                self.longest = max(self.longest, time.monotonic() - began)
                self.ledger.update(dict.fromkeys(names))
                number += len(names)

    def _host(self) -> None:
        """As the guide's application does, with a pool and prepared statements of its own."""
        engine, number = create_engine(self._url.replace("postgresql://", "postgresql+psycopg://")), 0
        while not self._ending.is_set():
            at = NOW.replace(tzinfo=None)
            call = AIRequestLog(request_id=f"h{number}", task="chat", prompt_length=0, provider_used="x",
                                created_at=at)  # fmt: skip
            try:
                with Session(engine) as session:
                    session.add(call)
                    session.commit()
            except NotSupportedError as error:  # once, for what was prepared before
                assert "cached plan must not change result type" in str(error)  # noqa: PT017
                continue
            self.ledger[f"h{number}"] = None
            number += 1
        engine.dispose()

    def _rate(self) -> None:
        with Database(self._url) as database:
            for number in self._numbers(0, 2):
                rate = "UPDATE ai_request_logs SET user_feedback = 'f' WHERE request_id = :name"
                run(database, rate, name=f"held-{number}")
                self.ledger[f"held-{number}"] = "f"

    def _clean(self) -> None:
        call = "(SELECT id FROM ai_request_logs WHERE request_id = :name)"
        parts = [f"DELETE FROM {name} WHERE request_log_id IN {call}" for name in TABLES[1:4]]  # noqa: S608
        with Database(self._url) as database:
            for number in self._numbers(1, 2):
                gone = "DELETE FROM ai_request_logs WHERE request_id = :name"
                run(database, *parts, gone, name=f"held-{number}")
                del self.ledger[f"held-{number}"]


def test_writers_lose_and_duplicate_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH", 50)
    write(database, *(full_call(f"held-{number}", number % 5) for number in range(400)))
    with Writers(database.url.render_as_string(hide_password=False), 400) as writers:
        widen(database)
        writers.wait_for_more("w")
        writers.wait_for_more("h")
    assert dict(ask(database, "SELECT request_id, user_feedback FROM ai_request_logs")) == writers.ledger
    recorded = ask(database, "SELECT id FROM ai_request_logs WHERE request_id !~ '^h[0-9]' ORDER BY id")
    for name in TABLES[1:3]:
        assert ask(database, f"SELECT request_log_id FROM {name} ORDER BY 1") == recorded  # noqa: S608
    assert ask(database, "SELECT count(*) - count(DISTINCT id) FROM ai_request_logs") == [(0,)]
    assert writers.longest < 1.0
    assert widths(database) == {"bigint"}
    assert wrong(database) == left_over(database) == []


def test_writers_need_no_other_rights(database: Database) -> None:
    role = f"writer_{database.url.database}"
    run(
        database,
        f"CREATE ROLE {role}",
        f"GRANT INSERT ON ai_request_logs TO {role}",
        f"GRANT USAGE ON SEQUENCE ai_request_logs_id_seq TO {role}",
    )
    insert = "INSERT INTO ai_request_logs (request_id, task, prompt_length, provider_used) VALUES (:name, 'chat', 0, 'x')"
    done = list[str]()

    def write_as_role(number: int) -> None:
        done.append(f"theirs-{number}")
        run(database, f"SET LOCAL ROLE {role}", insert, name=done[-1])

    try:
        partitions.make_ahead(database, datetime.now(UTC))
        widen(database, write_as_role)
        write_as_role(-1)
        query = "SELECT request_id FROM ai_request_logs WHERE request_id LIKE 'theirs-%' ORDER BY id"
        assert [name for (name,) in ask(database, query)] == done
    finally:
        run(database, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_emptying_a_table_is_refused(database: Database) -> None:
    before = rows(database)

    def empty(_done: int) -> None:
        with psycopg.connect(_address(database)) as connection:
            for table in TABLES:
                with pytest.raises(psycopg.errors.ObjectInUse, match=f"{table} is being copied"):
                    connection.execute(f"TRUNCATE {table}")
                connection.rollback()

    widen(database, empty)
    assert rows(database) == before


def _address(database: Database) -> str:
    return database.url.set(drivername="postgresql").render_as_string(hide_password=False)


def test_a_transaction_that_is_left_open_is_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(database)
    with psycopg.connect(_address(database)) as other:
        pauses: list[float] = []

        def wait(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                other.rollback()

        monkeypatch.setattr(widening, "sleep", wait)
        widen(database, lambda _done: other.execute("SELECT count(*) FROM ai_request_logs").close())
    assert pauses == [0.02, 0.04, 0.08]
    assert rows(database) == before
    assert widths(database) == {"bigint"}


def test_what_is_interrupted_leaves_nothing(database: Database) -> None:
    before = rows(database)

    def interrupt(done: int) -> None:
        if done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        widen(database, interrupt)
    assert rows(database) == before
    assert widths(database) == {"integer"}
    assert wrong(database) == left_over(database) == []
    widen(database)
    assert rows(database) == before


_KILLED = """
import os, signal, sys
from cajanegra.storage.database import Database
from cajanegra.storage.partitioning import partition
from records import NOW

def die(done, of):
    if done >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

with Database(sys.argv[1]) as database:
    partition(database, bigint=True, now=NOW, on_progress=die)
"""


def _copies_check(database: Database) -> health.Check | None:
    return next((check for check in health.checks(database) if check.name == "copies"), None)


def test_a_killed_conversion_hinders_nobody_and_is_done_again(database: Database) -> None:
    assert _copies_check(database) is None
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, _address(database), "5"],
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert killed.returncode == -9
    check = _copies_check(database)
    assert check is not None
    assert "cajanegra db partition --bigint" in check.mend
    later = NOW + 30 * DAY  # for which the copy has no partition
    store = Store(database, lambda: later)
    store.write([store.prepare(Batch.of([full_call("later", -0.5)]))])
    before = rows(database)
    widen(database)
    assert rows(database) == before
    assert wrong(database) == left_over(database) == []
    assert _copies_check(database) is None


def test_what_a_killed_conversion_leaves_goes_as_doctor_says(database: Database, layout: str) -> None:
    subprocess.run(
        [sys.executable, "-c", _KILLED, _address(database), "0"],
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    check = _copies_check(database)
    assert check is not None
    if layout == "plain":
        with pytest.raises(SchemaError, match=r"ai_request_logs has triggers \(cajanegra_copying, "):
            partition(database, now=NOW)
    run(database, check.mend.rpartition(", or ")[2])
    assert left_over(database) == []
    assert _copies_check(database) is None


def test_one_at_a_time(database: Database) -> None:
    refused: list[str] = []

    def again(_done: int) -> None:
        with pytest.raises(StorageError) as error:
            widen(database)
        refused.append(str(error.value))

    widen(database, again)
    assert "another 'cajanegra db partition --bigint' is running" in refused[0]
    assert wrong(database) == left_over(database) == []
