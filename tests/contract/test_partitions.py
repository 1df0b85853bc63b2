"""Partitioned storage: converted with its rows, written and read as the plain one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.domain.record import Batch
from cajanegra.errors import SchemaError, UsageError
from cajanegra.models import AIRequestLog
from cajanegra.storage import migrate, optional_indexes, partitions, reads
from cajanegra.storage.backup import backup, restore
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.keeping import Policy
from cajanegra.storage.partitioning import partition
from cajanegra.storage.retention import cleanup
from cajanegra.storage.secure import Confined, secure
from cajanegra.storage.sizes import sizes
from cajanegra.storage.verify import verify
from cajanegra.storage.writes import Store
from databases import Databases
from records import NOW, call_record, recovered_call, write

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)


@pytest.fixture
def plain(postgres_url: str) -> Iterator[Database]:
    with Database(postgres_url) as found:
        yield found


@pytest.fixture
def database(plain: Database) -> Database:
    """Partitioned, with a call of each of the last five days from before."""
    write(plain, *(recovered_call(f"old-{age}", created_at=NOW - age * DAY) for age in range(5)))
    partition(plain, now=NOW)
    return plain


def ask(database: Database, query: str) -> list[Any]:
    with database.engine.connect() as connection:
        return list(connection.execute(text(query)))


def run(database: Database, *statements: str) -> None:
    with database.transaction() as connection:
        for statement in statements:
            connection.execute(text(statement))


def wrong(database: Database) -> list[Any]:
    return [finding for finding in verify(database) if finding.state != "present"]


def stored(database: Database) -> dict[str, str]:
    """Which call lies in which partition."""
    return dict(ask(database, "SELECT request_id, tableoid::regclass::text FROM ai_request_logs"))


def test_a_conversion_keeps_rows_names_and_settings(plain: Database) -> None:
    write(plain, *(recovered_call(f"r{age}", created_at=NOW - age * DAY) for age in range(5)))
    run(plain, "INSERT INTO ai_request_logs (request_id, task, prompt_length, provider_used, created_at,"
        " updated_at) VALUES ('untimed', 'chat', 0, 'openai', NULL, NULL)")  # fmt: skip
    before = ask(plain, "SELECT * FROM ai_request_logs WHERE created_at IS NOT NULL ORDER BY id")
    done = partition(plain, now=NOW)
    assert done.state == "converted"
    assert done.attached == f"ai_request_logs_p{NOW - 4 * DAY:%Y%m%d}"
    assert ask(plain, "SELECT * FROM ai_request_logs WHERE request_id <> 'untimed' ORDER BY id") == before
    assert ask(plain, "SELECT count(*) FROM ai_request_logs WHERE created_at IS NULL") == [(0,)]
    assert wrong(plain) == []
    assert migrate.upgrade(plain).state == "current"
    days = {(NOW + ahead * DAY).date() for ahead in range(2, partitions.AHEAD + 1)}
    assert [*done.made] == sorted(map(partitions.name_of, days))
    assert ask(plain, "SELECT pg_get_serial_sequence('ai_request_logs', 'id')") == [
        ("public.ai_request_logs_id_seq",)
    ]
    again = partition(plain, now=NOW)
    assert (again.state, again.attached, again.made) == ("current", None, [])


def test_only_postgresql_has_partitions(sqlite_url: str) -> None:
    with Database(sqlite_url) as database, pytest.raises(UsageError, match="only PostgreSQL has partitions"):
        partition(database)


def test_what_would_be_lost_stands_in_the_way(plain: Database) -> None:
    future = (
        "INSERT INTO ai_request_logs (request_id, task, prompt_length, provider_used, created_at)"
        " VALUES ('f', 'chat', 0, 'openai', '2999-01-01')"
    )
    for statement, undo, said in (
        (
            "CREATE TABLE bills (call INTEGER REFERENCES ai_request_logs (id))",
            "DROP TABLE bills",
            "foreign keys",
        ),
        (
            "CREATE VIEW of_today AS SELECT * FROM ai_request_logs",
            "DROP VIEW of_today",
            r"views \(of_today\)",
        ),
        (
            "CREATE UNIQUE INDEX theirs ON ai_request_logs (prompt_hash)",
            "DROP INDEX theirs",
            r"indexes \(theirs\)",
        ),
        (future, "DELETE FROM ai_request_logs", "1 calls were begun in the future"),
    ):
        run(plain, statement)
        with pytest.raises(SchemaError, match=said):
            partition(plain, now=NOW)
        run(plain, undo)
    assert partition(plain, now=NOW).state == "converted"


def test_a_conversion_that_was_cut_short_is_done_again(plain: Database) -> None:
    write(plain, call_record("a", created_at=NOW))

    def die(done: int, _of: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        partition(plain, now=NOW, on_progress=die)
    assert wrong(plain) == []
    write(plain, call_record("years-later", created_at=NOW))  # no CHECK is left that refuses anything
    assert ask(
        plain,
        "SELECT count(*) FROM pg_constraint WHERE conrelid = 'ai_request_logs'::regclass AND contype = 'c'",
    ) == [(0,)]
    assert partition(plain, now=NOW).state == "converted"


def test_writers_go_on_while_it_converts(plain: Database) -> None:
    url = plain.url.render_as_string(hide_password=False)
    ending, written = threading.Event(), list[str]()

    def work() -> None:
        with Database(url) as own:
            store = Store(own, lambda: NOW)
            while not ending.is_set():
                name = f"w{len(written)}"
                store.write([store.prepare(Batch.of([recovered_call(name, created_at=NOW)]))])
                written.append(name)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        partition(plain, now=NOW)
        so_far = len(written)
        while len(written) < so_far + 5 and thread.is_alive():
            ending.wait(0.01)
    finally:
        ending.set()
        thread.join()
    assert len(stored(plain)) == len(written) > so_far
    assert ask(plain, "SELECT count(*) FROM cajanegra_recent_calls") == [(len(written),)]
    assert wrong(plain) == []
    write_at(plain, NOW, call_record(written[0], created_at=NOW - DAY))
    assert len(stored(plain)) == len(written) + 1


def test_what_may_be_done_with_the_table_stays(plain: Database) -> None:
    role = f"reader_{plain.url.database}"
    run(plain, f"CREATE ROLE {role}", f"GRANT SELECT ON ai_request_logs TO {role}",
        "CREATE INDEX cajanegra_users ON ai_request_logs (user_id)")  # fmt: skip
    try:
        attached = partition(plain, now=NOW).attached
        may = f"SELECT has_table_privilege('{role}', c.oid, 'SELECT') FROM pg_class c WHERE relname = "  # noqa: S608
        assert ask(plain, f"{may}'ai_request_logs'") == [(True,)]
        assert ask(plain, f"{may}'{attached}'") == [(False,)]
        index = ask(plain, "SELECT relkind::text, indisvalid FROM pg_class JOIN pg_index ON indexrelid = oid"
                    " WHERE relname = 'cajanegra_users'")  # fmt: skip
        assert index == [("I", True)]
    finally:
        run(plain, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_row_level_security_holds_in_both(plain: Database) -> None:
    role = f"acme_{plain.url.database}"
    write(plain, recovered_call("a", created_at=NOW), recovered_call("b", tenant_id="globex", created_at=NOW))
    try:
        secure(plain, confine=[Confined(role, "acme")], create_roles=True)
        attached = partition(plain, now=NOW).attached
        write(
            plain, recovered_call("c", created_at=NOW), call_record("d", tenant_id="globex", created_at=NOW)
        )
        assert wrong(plain) == []
        with plain.transaction() as connection:
            connection.execute(text(f"SET LOCAL ROLE {role}"))
            seen = (
                connection.execute(text("SELECT request_id FROM ai_request_logs ORDER BY 1")).scalars().all()
            )
            assert seen == ["a", "c"]
            assert connection.execute(text("SELECT count(*) FROM ai_error_recovery")).scalar() == 2
        with pytest.raises(Exception, match="permission denied"), plain.transaction() as connection:  # noqa: PT012
            connection.execute(text(f"SET LOCAL ROLE {role}"))
            connection.execute(text(f"TABLE {attached}"))
        secure(plain)  # again, on partitioned storage
        assert wrong(plain) == []
    finally:
        run(plain, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_calls_land_in_their_day_whenever_they_come(database: Database) -> None:
    first = there(database)[0]
    later = NOW + 20 * DAY
    write_at(
        database,
        later,
        recovered_call("new", created_at=later),
        call_record("late", created_at=NOW - 300 * DAY),
    )
    assert partitions.drop(database, first)
    write_at(database, later, recovered_call("later-still", created_at=NOW - 40 * DAY))
    where = stored(database)
    assert where["new"] == partitions.name_of(later.date())
    assert where["later-still"] == partitions.name_of((NOW - 40 * DAY).date())
    assert "late" not in where  # it was in the first, which had whatever is earlier
    assert partitions.name_of((later + partitions.AHEAD * DAY).date()) in names(
        database
    )  # the days ahead, too
    assert wrong(database) == []


def write_at(database: Database, at: datetime, *calls: Any) -> int:
    store = Store(database, lambda: at)
    return store.write([store.prepare(Batch.of(calls))])


def there(database: Database) -> list[partitions.Partition]:
    with database.engine.connect() as connection:
        return partitions.partitions(connection)


def names(database: Database) -> list[str]:
    return [one.name for one in there(database)]


def test_the_same_call_again_changes_nothing(database: Database) -> None:
    calls = [recovered_call(f"r{i}", created_at=NOW - i * DAY, prompt="p", answer="a") for i in range(3)]
    assert write_at(database, NOW, *calls) == 3
    before = ask(database, "SELECT * FROM ai_request_logs ORDER BY id")
    assert write_at(database, NOW, *calls) == 0
    assert write_at(database, NOW, *calls, call_record("one-more", created_at=NOW)) == 1
    much_later = NOW + 30 * DAY
    assert write_at(database, much_later, *calls) == 0  # by id and time, when nothing else is known any more
    assert ask(database, "SELECT * FROM ai_request_logs WHERE request_id <> 'one-more' ORDER BY id") == before
    assert ask(database, "SELECT count(*) FROM ai_error_recovery") == [(8,)]


def test_a_request_id_that_comes_again_with_another_time_is_recognised(database: Database) -> None:
    write_at(database, NOW, call_record("mine", created_at=NOW - 2 * DAY))
    for again in (NOW, NOW - 3 * DAY):
        write_at(database, NOW, call_record("mine", created_at=again))
    write_at(database, NOW, call_record("old-3", created_at=NOW))  # from before the conversion
    write_at(database, NOW, call_record("mine", tenant_id="globex", created_at=NOW))
    ids = [name for (name,) in ask(database, "SELECT request_id FROM ai_request_logs")]
    assert len(ids) == len(set(ids)) == 5 + 1 + 2 + 1 + 1
    assert [name for name in ids if name in ("mine", "old-3")] == ["old-3", "mine"]
    theirs = reads.call(database, "globex", "mine")
    assert theirs is not None
    assert (theirs.call["request_id"], theirs.call["tenant_id"]) == ("mine", "globex")


def test_an_interrupted_call_is_put_right_in_its_partition(database: Database) -> None:
    at = NOW - 2 * DAY
    write_at(database, NOW, call_record("c", status="error", error_code="interrupted", created_at=at))
    assert write_at(database, NOW, recovered_call("c", created_at=at)) == 0
    found = reads.call(database, ALL_TENANTS, "c")
    assert found is not None
    assert (found.call["status"], len(found.steps)) == ("fallback", 1)


def test_two_writers_never_store_one_id_twice(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    counts: list[int] = []

    def work(number: int) -> None:
        with Database(url) as own:
            for i in range(20):
                at = NOW - timedelta(hours=number * 30)
                for _attempt in range(5):
                    try:
                        counts.append(write_at(own, NOW, call_record(f"same-{i}", created_at=at)))
                    except Exception as error:  # noqa: BLE001 - told to the test
                        assert "same call" in str(error), error  # noqa: PT017
                    else:
                        break

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    query = "SELECT count(*), count(DISTINCT request_id) FROM ai_request_logs WHERE request_metadata::text LIKE '%same-%' OR request_id LIKE 'same-%'"
    assert ask(database, query) == [(40, 40)]
    assert sum(counts) == 40


def test_pages_walk_an_index_and_windows_leave_out_partitions(database: Database) -> None:
    days = [
        call_record(f"d{n}-{i}", created_at=NOW - n * DAY - timedelta(minutes=i))
        for n in range(4)
        for i in range(50)
    ]
    partitions.make_days(database, [(NOW - n * DAY).date() for n in range(9)])
    write_at(
        database,
        NOW + 10 * DAY,
        *(call_record(f"n{i}", created_at=NOW + i * DAY) for i in range(2, 9)),
        *days,
    )
    page = reads.calls(database, CallFilter(ALL_TENANTS), limit=30)
    seen = [row["request_id"] for row in page.items]
    assert seen[:7] == [f"n{i}" for i in range(8, 1, -1)]
    more = reads.calls(database, CallFilter(ALL_TENANTS), limit=500, cursor=page.next_cursor)
    assert len(seen) + len(more.items) == 5 + 7 + 200
    assert not set(seen).intersection(row["request_id"] for row in more.items)
    query = (
        "EXPLAIN SELECT * FROM ai_request_logs WHERE created_at IS NOT NULL"
        " ORDER BY created_at DESC, request_id DESC LIMIT 51"
    )
    run(database, "ANALYZE ai_request_logs")
    with database.engine.connect() as connection:
        connection.execute(text("SET enable_seqscan = off"))  # the table is too small for an index to pay
        plan = "\n".join(connection.execute(text(query)).scalars())
    assert "Incremental Sort" in plan
    window = f"EXPLAIN SELECT count(*) FROM ai_request_logs WHERE created_at >= '{(NOW + 5 * DAY).date()}' AND created_at < '{(NOW + 7 * DAY).date()}'"  # noqa: S608
    assert sum("Seq Scan on" in line or "Scan using" in line for (line,) in ask(database, window)) == 2


def test_indexes_may_be_added_to_all_partitions(database: Database) -> None:
    assert optional_indexes.add(database, ["user", "pattern"]) == [
        "cajanegra_logs_user",
        "cajanegra_logs_pattern",
    ]
    assert optional_indexes.add(database, ["user"]) == []
    partitions.make_days(database, [(NOW + 50 * DAY).date()])
    query = "SELECT count(*), bool_and(indisvalid) FROM pg_index WHERE pg_get_indexdef(indexrelid) LIKE '%(user_id, created_at)%'"
    assert ask(database, query) == [(len(there(database)) + 1, True)]
    assert wrong(database) == []


def test_partitions_that_are_used_are_not_dropped_and_hold_nobody_up(database: Database) -> None:
    first = there(database)[0]
    with psycopg.connect(
        database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    ) as other:
        other.execute("SELECT count(*) FROM ai_request_logs")
        assert not partitions.drop(database, first, goes_on=lambda: False)
        write_at(database, NOW, call_record("meanwhile", created_at=NOW))
    assert first.name in names(database)
    assert partitions.drop(database, first)
    assert first.name not in names(database)


def test_the_guides_commands_see_the_rows(database: Database) -> None:
    sized = {size.table: size for size in sizes(database)}["ai_request_logs"]
    assert sized.rows == 5
    assert sized.total_bytes > 5 * 8192
    sizes_query = (
        "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        " AND tablename LIKE 'ai_%' AND pg_total_relation_size(schemaname || '.' || tablename) > 0"
    )
    assert ask(database, sizes_query)[0][0] >= 3
    with Session(database.engine) as session:  # as the guide's clean-up script does
        session.add(
            AIRequestLog(
                request_id="of a host", task="chat", prompt_length=0, provider_used="openai", created_at=NOW
            )
        )
        session.commit()
        old = session.query(AIRequestLog).filter(
            AIRequestLog.created_at < NOW.replace(tzinfo=None) - 3 * DAY - DAY / 2
        )
        assert old.delete() == 1
        session.commit()
    assert len(stored(database)) == 5
    report = cleanup(database, ALL_TENANTS, policy=Policy(timedelta(days=2, hours=1)), now=NOW)
    assert (report.calls, report.steps) == (1, 2)  # the step that the script has left, too
    assert len(stored(database)) == 4


def test_a_backup_goes_into_any_storage(
    database: Database, postgres_databases: Databases, tmp_path: Path
) -> None:
    write_at(database, NOW, *(call_record(f"n{i}", created_at=NOW + i * DAY) for i in range(2)))
    file = tmp_path / "calls.dump"
    backup(database, file)
    rows = ask(database, "SELECT * FROM ai_request_logs ORDER BY id")
    restore(database, file, force=True)
    assert ask(database, "SELECT * FROM ai_request_logs ORDER BY id") == rows
    with postgres_databases.migrated() as url, Database(url) as other:
        restore(other, file)
        assert ask(other, "SELECT * FROM ai_request_logs ORDER BY id") == rows
        run(other, "TRUNCATE ai_request_logs")
        partition(other, now=NOW - 60 * DAY)  # days for which there is no partition are in the backup
        restore(other, file, force=True)
        assert ask(other, "SELECT * FROM ai_request_logs ORDER BY id") == rows
        assert wrong(other) == []
