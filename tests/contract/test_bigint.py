"""Ids of 64 bits: tables are copied with their rows, names, rights and settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cajanegra.errors import SchemaError, StorageError, UsageError
from cajanegra.storage import migrate, optional_indexes, partitions
from cajanegra.storage.database import Database
from cajanegra.storage.partitioning import partition
from cajanegra.storage.secure import Confined, secure
from databases import Databases
from records import NOW, call_record, write
from wide_ids import DAY, TABLES, ask, fill, full_call, left_over, rows, run, widen, widths, wrong

pytestmark = pytest.mark.postgres


@pytest.fixture(params=["plain", "partitioned"])
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database(layout: str, postgres_url: str) -> Iterator[Database]:
    """With ids of 32 bits, rows in all tables, and a call of each of the last nine days."""
    with Database(postgres_url) as found:
        fill(found, layout)
        yield found


def test_rows_are_what_they_were(database: Database) -> None:
    before = rows(database)
    assert all(before.values())
    steps: list[tuple[int, int]] = []
    done = partition(database, bigint=True, now=NOW, on_progress=lambda *step: steps.append(step))
    assert sorted(done.widened) == sorted(TABLES)
    assert rows(database) == before
    assert widths(database) == {"bigint"}
    assert wrong(database) == left_over(database) == []
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    assert migrate.upgrade(database).state == "current"
    write(database, full_call("next"))
    assert rows(database)["ai_request_logs"][-1].id == before["ai_request_logs"][-1].id + 1
    again = partition(database, bigint=True, now=NOW)
    assert (again.state, again.widened, again.made) == ("current", [], [])


def test_a_request_id_that_comes_again_is_recognised(database: Database) -> None:
    widen(database)
    write(
        database,
        call_record("new-3", created_at=NOW),
        call_record("new-3", tenant_id="globex", created_at=NOW),
    )
    names = [name for (name,) in ask(database, "SELECT request_id FROM ai_request_logs")]
    assert len(names) == len(set(names)) == 12


def test_only_postgresql_has_narrow_ids(sqlite_url: str) -> None:
    with Database(sqlite_url) as database, pytest.raises(UsageError, match="only PostgreSQL has partitions"):
        partition(database, bigint=True)


def test_old_days_share_a_partition(postgres_url: str) -> None:
    with Database(postgres_url) as database:
        ages = (400, 200, 91, 89, 0)
        write(database, *(call_record(f"r{age}", created_at=NOW - age * DAY) for age in ages))
        run(database, "UPDATE ai_request_logs SET created_at = NULL WHERE request_id = 'r0'")
        first = (NOW - 400 * DAY).replace(tzinfo=None)  # which our own writers take for a mistake
        run(database, "UPDATE ai_request_logs SET created_at = :at WHERE request_id = 'r400'", at=first)
        widen(database)
        where = dict(ask(database, "SELECT request_id, tableoid::regclass::text FROM ai_request_logs"))
        oldest = partitions.name_of((NOW - 400 * DAY).date())
        assert where["r400"] == where["r200"] == where["r91"] == oldest
        assert where["r89"] == partitions.name_of((NOW - 89 * DAY).date())
        assert where["r0"] == partitions.name_of(NOW.date())  # by its updated_at
        assert wrong(database) == []


def test_a_conversion_without_copying_that_was_killed_is_no_hindrance(postgres_url: str) -> None:
    with Database(postgres_url) as database:
        fill(database, "plain")
        run(
            database,
            "CREATE UNIQUE INDEX cajanegra_partition_key ON ai_request_logs (id, created_at)",
            "ALTER TABLE ai_request_logs ADD CONSTRAINT cajanegra_partition_bound"
            f" CHECK (created_at < '{(NOW + DAY).date()}') NOT VALID",
        )
        widen(database)
        partitions.make_days(database, [(NOW + 9 * DAY).date()])
        write(database, call_record("next", created_at=NOW))
        run(
            database,
            "UPDATE ai_request_logs SET created_at = created_at + interval '9 days' WHERE request_id = 'next'",
        )
        assert ask(database, "SELECT relname FROM pg_class WHERE relname LIKE 'cajanegra_partition%'") == []
        assert wrong(database) == left_over(database) == []


def catalogue(database: Database) -> dict[str, set[Any]]:
    """What hangs on the tables, partitions aside."""
    values = {"tables": list(TABLES)}
    queries = {
        "columns": "SELECT attrelid::regclass, attname, attnotnull, pg_get_expr(adbin, adrelid),"
        " col_description(attrelid, attnum) FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid"
        " AND adnum = attnum WHERE attnum > 0 AND attrelid::regclass::text = ANY (:tables)",
        "constraints": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid::regclass::text = ANY (:tables)",
        "indexes": "SELECT indexrelid::regclass, pg_get_indexdef(indexrelid), indisvalid FROM pg_index"
        " WHERE indrelid::regclass::text = ANY (:tables)",
        "tables": "SELECT oid::regclass, relkind, relowner::regrole,"
        " coalesce(relacl, acldefault('r', relowner))::text, reloptions, relrowsecurity,"
        " obj_description(oid, 'pg_class') FROM pg_class WHERE oid::regclass::text = ANY (:tables)",
        "sequences": "SELECT name, pg_get_serial_sequence(name, 'id') FROM unnest(CAST(:tables AS text[])) AS of(name)",
        "policies": "SELECT polrelid::regclass, polname, pg_get_expr(polqual, polrelid) FROM pg_policy",
        "column grants": "SELECT attrelid::regclass, attname, attacl::text FROM pg_attribute"
        " WHERE attacl IS NOT NULL AND attrelid::regclass::text = ANY (:tables)",
    }
    return {name: {str(row) for row in ask(database, query, **values)} for name, query in queries.items()}


def test_names_rights_and_settings_are_those_of_a_conversion_without_copying(
    postgres_databases: Databases, layout: str
) -> None:
    found = []
    for bigint in (False, True):
        with postgres_databases.migrated() as url, Database(url) as database:
            role = f"reader_{database.url.database}"
            try:
                fill(database, layout)
                run(database, f"CREATE ROLE {role}", f"GRANT SELECT, INSERT ON ai_error_recovery TO {role}",
                    f"GRANT UPDATE (user_feedback) ON ai_request_logs TO {role} WITH GRANT OPTION",
                    "COMMENT ON TABLE ai_error_recovery IS '100 % of the steps'",
                    "COMMENT ON COLUMN ai_request_logs.task IS 'what for'",
                    "ALTER TABLE cajanegra_contents SET (fillfactor = 90, autovacuum_enabled = false)",
                    "ALTER TABLE ai_error_recovery ADD COLUMN theirs INTEGER DEFAULT 7 CHECK (theirs > 0)",
                    "CREATE INDEX theirs ON ai_error_recovery (lower(action_taken)) WHERE step_number % 2 = 0")  # fmt: skip
                optional_indexes.add(database, ["user"])
                secure(database, confine=[Confined(f"acme_{role}", "acme")], create_roles=True)
                partition(database, bigint=bigint, now=NOW)
                assert wrong(database) == []
                found.append({
                    part: {one.replace(role, "role") for one in rows} for part, rows in catalogue(database).items()
                })  # fmt: skip
                types = ask(database, "SELECT DISTINCT data_type::text FROM pg_sequences WHERE sequencename = ANY"
                            " (:names)", names=[f"{name}_id_seq" for name in TABLES])  # fmt: skip
                assert types == [("bigint" if bigint else "integer",)]
            finally:
                run(database, f"DROP OWNED BY {role}, acme_{role}", f"DROP ROLE {role}, acme_{role}")
    assert found[1] == found[0]


def test_a_role_that_owns_the_tables_converts_them(postgres_url: str) -> None:
    with Database(postgres_url) as admin:
        name = word = f"owner_{admin.url.database}"
        give = [f"ALTER TABLE {table} OWNER TO {name}" for (table,) in ask(admin, "SELECT tablename FROM pg_tables"
                " WHERE schemaname = 'public'")]  # fmt: skip
        run(
            admin,
            f"CREATE ROLE {name} LOGIN PASSWORD '{word}'",
            f"GRANT CREATE ON SCHEMA public TO {name}",
            *give,
        )
        try:
            fill(admin, "plain")
            with Database(
                admin.url.set(username=name, password=word).render_as_string(hide_password=False)
            ) as own:
                with pytest.raises(
                    StorageError, match=f'GRANT CREATE ON DATABASE "?{admin.url.database}"? TO {name}'
                ):
                    widen(own)
                run(admin, f"GRANT CREATE ON DATABASE {admin.url.database} TO {name}")
                before = rows(own)
                widen(own)
                assert rows(own) == before
            widen(admin)
            assert wrong(admin) == left_over(admin) == []
            owners = ask(admin, "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relkind IN ('r', 'p', 'S')"
                         " AND relnamespace = 'public'::regnamespace")  # fmt: skip
            assert owners == [(name,)]
        finally:
            run(
                admin,
                f"REASSIGN OWNED BY {name} TO CURRENT_USER",
                f"DROP OWNED BY {name}",
                f"DROP ROLE {name}",
            )


def test_tables_may_be_in_any_schema_and_sequences_anybodys(empty_postgres_url: str) -> None:
    with Database(empty_postgres_url) as admin:
        run(admin, 'CREATE SCHEMA "Erp"')
    with Database(f'{empty_postgres_url}?options=-csearch_path%3D"Erp",public') as database:
        migrate.upgrade(database)
        fill(database, "plain")
        run(
            database,
            "ALTER SEQUENCE ai_request_logs_id_seq OWNED BY NONE",
            "CREATE TABLE public.ai_request_logs ()",
        )
        before = rows(database)
        widen(database)
        assert rows(database) == before
        types = (
            "SELECT DISTINCT schemaname, data_type::text FROM pg_sequences WHERE sequencename = ANY (:names)"
        )
        assert ask(database, types, names=[f"{name}_id_seq" for name in TABLES]) == [("Erp", "bigint")]
        write(database, full_call("next"))
        assert wrong(database) == left_over(database) == []


@pytest.mark.parametrize(
    ("statement", "undo", "said"),
    [
        ("CREATE TABLE bills (step INTEGER REFERENCES ai_error_recovery (id))", "DROP TABLE bills", "foreign keys"),
        ("CREATE VIEW steps AS SELECT * FROM ai_error_recovery", "DROP VIEW steps", r"views \(steps\)"),
        ("CREATE POLICY theirs ON cajanegra_contents", "DROP POLICY theirs ON cajanegra_contents", "policies"),
        ("CREATE PUBLICATION theirs FOR TABLE ai_error_recovery", "DROP PUBLICATION theirs", "publications"),
    ],
)  # fmt: skip
def test_what_would_be_lost_stands_in_the_way(
    database: Database, statement: str, undo: str, said: str
) -> None:
    before = rows(database)
    run(database, statement)
    with pytest.raises(SchemaError, match=said):
        widen(database)
    run(database, undo)
    once = iter([statement])
    with pytest.raises(SchemaError, match=said):  # it may come meanwhile, too
        widen(database, lambda _done: run(database, *([*once])))
    assert left_over(database) == []
    assert widths(database) == {"integer"}
    run(database, undo)
    widen(database)
    assert rows(database) == before


def test_what_is_altered_meanwhile_is_not_copied_away(database: Database) -> None:
    once = iter(["ALTER TABLE ai_error_recovery ADD COLUMN theirs INTEGER"])
    with pytest.raises(StorageError, match="ai_error_recovery was altered while it was copied; do it again"):
        widen(database, lambda _done: run(database, *([*once])))
    widen(database)
    assert wrong(database) == left_over(database) == []
    assert ask(database, "SELECT DISTINCT theirs FROM ai_error_recovery") == [(None,)]
