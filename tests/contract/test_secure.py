"""Row-level security, seen through connections that know nothing of our code."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from cajanegra.domain.principal import ALL_TENANTS, Principal, Role, Scope
from cajanegra.errors import StorageError, UsageError
from cajanegra.server import logs_router
from cajanegra.server.access import Access
from cajanegra.server.context import Context
from cajanegra.settings import Settings
from cajanegra.storage import health
from cajanegra.storage.check import Check
from cajanegra.storage.database import Database
from cajanegra.storage.rollups.folding import fold
from cajanegra.storage.scoped import within
from cajanegra.storage.secure import Confined, secure, unsecure
from cajanegra.storage.secure_rules import INTERNAL, OF_ALL_TENANTS, OPEN, RULES, readable
from cajanegra.storage.tables import Base
from cajanegra.storage.verify import verify
from records import NOW, call_record, occurrence, recovered_call, write

pytestmark = pytest.mark.postgres

PASSWORD = secrets.token_hex(8)


def test_every_table_has_a_rule() -> None:
    tables = set(Base.metadata.tables)
    assert tables - {*RULES, *INTERNAL, *OPEN} == set()
    assert {*RULES, *OPEN} <= tables
    assert not INTERNAL & {*RULES, *OPEN}
    for name in OPEN:
        assert not {"tenant_id", "request_log_id", "pattern"} & set(Base.metadata.tables[name].columns.keys())
    for name, hidden in OF_ALL_TENANTS.items():
        assert hidden < set(Base.metadata.tables[name].columns.keys())


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    """Calls of acme, of globex and of nobody; one pattern that both met, one of each, one merged."""
    with Database(postgres_url) as database:
        write(
            database,
            *(
                recovered_call(
                    f"{tenant}-{number}",
                    tenant_id=tenant,
                    prompt="what is it?",
                    answer="an invoice",
                    occurrences=[occurrence(), occurrence(f"{tenant}_own"), occurrence(f"{tenant}_merged")],
                )
                for tenant in ("acme", "globex")
                for number in range(3)
            ),
            call_record("of-nobody", tenant_id=None, occurrences=[occurrence("of_nobody")]),
        )
        fold(database, NOW)
        run(
            database,
            "UPDATE cajanegra_patterns SET merged_into = 'target_of_' || pattern WHERE pattern LIKE '%merged'",
            "UPDATE ai_error_analysis SET error_pattern = 'target_of_' || error_pattern"
            " WHERE error_pattern LIKE '%merged'",
            "INSERT INTO cajanegra_pattern_changes (pattern, change, changed_at) VALUES ('acme_own', 'x', now())",
            "INSERT INTO cajanegra_waiting (kind, request_id, tenant_id, payload) VALUES ('x', 'r', 'acme', '{}')",
            "INSERT INTO cajanegra_tracks (track, position) VALUES ('t', 1)",
            "INSERT INTO cajanegra_rollup_deltas (tenant_id, calls)"
            " SELECT tenant, decode('78019b000000910091', 'hex')"  # no call, packed
            " FROM unnest(ARRAY['acme', 'globex']) AS tenant",
            "INSERT INTO cajanegra_keys (prefix, key_hash, role, tenant_id) VALUES ('p', 'h', 'reader', 'acme')",
            "INSERT INTO cajanegra_sessions (token_hash, key_id, expires_at) VALUES ('h', 1, now())",
            "INSERT INTO cajanegra_provider_states VALUES ('s', 'a', 'm', 'p', 'k', now(), 1, now())",
        )
        yield database


def run(database: Database, *statements: str) -> None:
    with database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def owner_sees(database: Database, query: str) -> list[Any]:
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


NewRole = Callable[[], str]


@pytest.fixture
def new_role(database: Database) -> Iterator[NewRole]:
    """Makes roles that may log in and nothing else."""
    made: list[str] = []

    def make() -> str:
        name = f"cajanegra_test_{secrets.token_hex(4)}"
        run(database, f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        made.append(name)
        return name

    yield make
    for name in made:
        run(database, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def connect(database: Database, role: str) -> psycopg.Connection[Any]:
    """A connection that logged in as the role."""
    return psycopg.connect(url_of(database, role))


def url_of(database: Database, role: str) -> str:
    url = database.url.set(drivername="postgresql", username=role, password=PASSWORD)
    return url.render_as_string(hide_password=False)


MINE = {
    "ai_request_logs": "tenant_id = 'acme'",
    "ai_error_recovery": "request_log_id IN (SELECT id FROM ai_request_logs WHERE tenant_id = 'acme')",
    "cajanegra_contents": "request_log_id IN (SELECT id FROM ai_request_logs WHERE tenant_id = 'acme')",
    "cajanegra_occurrences": "tenant_id = 'acme'",
    "ai_error_analysis": "error_pattern IN ('ollama_timeout', 'acme_own', 'target_of_acme_merged')",
    "cajanegra_patterns": "pattern IN ('ollama_timeout', 'acme_own', 'acme_merged')",
    "cajanegra_pattern_tenants": "tenant_id = 'acme'",
    "cajanegra_pattern_hours": "tenant_id = 'acme'",
    "cajanegra_pattern_facets": "tenant_id = 'acme'",
    "cajanegra_pattern_changes": "false",
    "cajanegra_provider_states": "false",
    "cajanegra_rollups": "tenant_id = 'acme'",
    "cajanegra_rollup_deltas": "tenant_id = 'acme'",
}
"""What acme may see, in words that do not come from the rules."""


def seen(connection: psycopg.Connection[Any], table: str, tenant: str | None) -> list[Any]:
    columns = readable(table, tenant) or Base.metadata.tables[table].columns.keys()
    query = f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608 - names of the models
    return sorted(map(repr, connection.execute(query.encode()).fetchall()))


def rightly_seen(database: Database, table: str, tenant: str | None, rows: str) -> list[Any]:
    columns = readable(table, tenant) or Base.metadata.tables[table].columns.keys()
    query = f"SELECT {', '.join(columns)} FROM {table} WHERE {rows}"  # noqa: S608 - names of the models
    return sorted(map(repr, owner_sees(database, query)))


@pytest.mark.parametrize("table", sorted(RULES))
def test_a_role_of_a_tenant_sees_that_tenant_in_every_table(
    database: Database, new_role: NewRole, table: str
) -> None:
    role = new_role()
    secure(database, confine=[Confined(role, "acme")])
    expected = rightly_seen(database, table, "acme", MINE[table])
    assert expected or MINE[table] == "false"
    assert len(expected) < len(rightly_seen(database, table, "acme", "true"))
    with connect(database, role) as connection:
        assert seen(connection, table, "acme") == expected


def test_a_role_of_a_tenant_cannot_become_another(database: Database, new_role: NewRole) -> None:
    role, other = new_role(), new_role()
    secure(database, confine=[Confined(role, "acme"), Confined(other, "globex")])
    with connect(database, role) as connection:
        for statement in (
            "SET cajanegra.tenant = 'globex'",
            "SELECT set_config('cajanegra.tenant', 'globex', false)",
        ):
            connection.execute(statement.encode())
            connection.commit()
            rows = connection.execute("SELECT DISTINCT tenant_id FROM ai_request_logs").fetchall()
            assert rows == [("acme",)]
        for statement in (
            f"SET ROLE {other}",
            "SET row_security = off; SELECT * FROM ai_request_logs",
            "ALTER TABLE ai_request_logs DISABLE ROW LEVEL SECURITY",
            "DROP POLICY cajanegra_setting ON ai_request_logs",
            f"CREATE POLICY mine ON ai_request_logs TO {role} USING (true)",
            "SELECT occurrence_count FROM ai_error_analysis",
            "SELECT failures FROM cajanegra_patterns",
            "SELECT * FROM cajanegra_keys",
            "SELECT * FROM cajanegra_waiting",
            "INSERT INTO cajanegra_tracks (track, position) VALUES ('x', 1)",
            "UPDATE ai_request_logs SET tenant_id = 'acme'",
            "DELETE FROM ai_request_logs",
            "TRUNCATE ai_request_logs",
        ):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject)):
                connection.execute(statement.encode())
            connection.rollback()
    with connect(database, role) as connection:
        assert connection.execute("SELECT DISTINCT tenant_id FROM ai_request_logs").fetchall() == [("acme",)]


@pytest.mark.parametrize("table", sorted(RULES))
def test_a_transaction_sees_the_tenant_that_it_names(
    database: Database, new_role: NewRole, table: str
) -> None:
    role = new_role()
    secure(database, confine=[Confined(role)])
    with connect(database, role) as connection:
        assert seen(connection, table, None) == []
        with connection.transaction():
            connection.execute("SELECT set_config('cajanegra.tenant', 'acme', true)")
            assert seen(connection, table, None) == rightly_seen(database, table, None, MINE[table])
        connection.commit()
        # The same connection, as a pool gives it to the next: what was named is forgotten.
        assert seen(connection, table, None) == []


def test_our_own_reads_name_whose_rows_they_want(database: Database, new_role: NewRole) -> None:
    role = new_role()
    secure(database, confine=[Confined(role)])

    def tenants(where: Database) -> set[str | None]:
        with where.engine.connect() as connection:
            return set(connection.scalars(text("SELECT tenant_id FROM ai_request_logs")))

    with Database(url_of(database, role)) as confined:
        assert tenants(confined) == set()
        assert tenants(within(confined, "acme")) == {"acme"}
        assert tenants(within(confined, "globex")) == {"globex"}
        assert tenants(confined) == set()
    assert (
        tenants(within(database, "acme"))
        == tenants(within(database, ALL_TENANTS))
        == {"acme", "globex", None}
    )


def test_a_handler_that_forgets_its_filter_shows_nobody_elses_rows(
    database: Database, new_role: NewRole
) -> None:
    role = new_role()
    secure(database, confine=[Confined(role)])
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    context = Context(Settings(database={"url": url, "tenant_url": url_of(database, role)}))

    def unfiltered(scope: Scope) -> int:
        access = Access(context, Principal(ALL_TENANTS, Role.READER), scope)
        with access.reads.engine.connect() as connection:
            return len(connection.scalars(text("SELECT id FROM ai_request_logs")).all())

    assert (unfiltered("acme"), unfiltered("initech"), unfiltered(ALL_TENANTS)) == (3, 0, 7)
    context.close()


DAY = "since=2026-11-24T00:00:00Z&until=2026-11-25T00:00:00Z"
READ = (
    "",
    "/recent?hours=720",
    f"/statistics?group_by=module&{DAY}",
    f"/timeseries?{DAY}",
    "/providers",
    "/slow",
    "/storage",
    "/errors",
    "/errors/ollama_timeout",
    "/errors/globex_own",
    "/recoveries",
    "/recoveries/statistics",
    "/export?format=ndjson",
    "/acme-0",
    "/globex-0",
)


@pytest.mark.parametrize("path", READ)
def test_the_api_answers_a_tenant_alike_through_the_wall(
    database: Database, new_role: NewRole, path: str
) -> None:
    role = new_role()
    secure(database, confine=[Confined(role)])
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def answer(**named: str) -> tuple[int, str]:
        app = FastAPI()
        settings = Settings(database={"url": url, **named})
        app.include_router(logs_router(settings, principal=lambda: Principal("acme", Role.READER)))
        with TestClient(app) as client:
            given = client.get(f"/api/v1/ai/logs{path}")
            return given.status_code, given.text

    status, body = answer(tenant_url=url_of(database, role))
    assert status == (404 if "globex" in path else 200), body
    assert "globex" not in body
    assert (status, body) == answer()


def test_rights_to_write_reach_no_further_than_the_tenant(database: Database, new_role: NewRole) -> None:
    role = new_role()
    secure(database, confine=[Confined(role, "acme")])
    run(database, f"GRANT INSERT, UPDATE, DELETE ON ai_request_logs TO {role}")
    run(database, f"GRANT USAGE ON SEQUENCE ai_request_logs_id_seq TO {role}")
    row = "INSERT INTO ai_request_logs (request_id, tenant_id, task, prompt_length, provider_used) VALUES "
    with connect(database, role) as connection:
        connection.execute(f"{row} ('new', 'acme', 'chat', 1, 'openai')".encode())
        assert connection.execute("UPDATE ai_request_logs SET user_feedback = 'thumbs_up'").rowcount == 4
        assert connection.execute("DELETE FROM ai_request_logs WHERE tenant_id = 'globex'").rowcount == 0
        connection.commit()
        for statement in (
            f"{row} ('theirs', 'globex', 'chat', 1, 'openai')",
            f"{row} ('nobodys', NULL, 'chat', 1, 'openai')",
            "UPDATE ai_request_logs SET tenant_id = 'globex'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                connection.execute(statement.encode())
            connection.rollback()


def test_recording_and_cleaning_go_on_as_before(database: Database, new_role: NewRole) -> None:
    writer = new_role()
    every = ", ".join(Base.metadata.tables)
    run(database, f"GRANT SELECT, INSERT, UPDATE, DELETE ON {every} TO {writer}")
    run(database, f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {writer}")
    with pytest.raises(UsageError, match=f"{writer} may use the tables and would see no row any more"):
        secure(database)
    assert find(database).detail.startswith("off")
    secure(database, exempt=[writer])
    assert find(database).state == "ok"
    with Database(url_of(database, writer)) as recording:
        assert write(recording, recovered_call("new-1"), call_record("new-2", tenant_id="globex")) == 2
        assert write(recording, recovered_call("new-1")) == 0
    assert write(database, call_record("new-3")) == 1
    assert len(owner_sees(database, "SELECT id FROM ai_request_logs")) == 10


def test_twice_changes_nothing_and_off_leaves_nothing(database: Database, new_role: NewRole) -> None:
    role, reader = new_role(), new_role()
    before = catalogue(database)
    secure(database, confine=[Confined(role, "acme"), Confined(reader)])
    on = catalogue(database)
    assert on != before
    done = secure(database)
    assert catalogue(database) == on
    assert done.confined == sorted([Confined(role, "acme"), Confined(reader)], key=lambda one: one.role)
    assert done.tables == len(Base.metadata.tables) - len(OPEN)
    secure(database, release=[role])
    with connect(database, role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT id FROM ai_error_analysis")
    assert secure(database, confine=[Confined(reader, "globex")]).confined == [Confined(reader, "globex")]
    with connect(database, reader) as connection:
        assert connection.execute("SELECT DISTINCT tenant_id FROM ai_request_logs").fetchall() == [
            ("globex",)
        ]
    unsecure(database)
    assert catalogue(database) == before
    assert unsecure(database).statements == []


def catalogue(database: Database) -> list[Any]:
    """What PostgreSQL keeps of policies and privileges."""
    return owner_sees(
        database,
        "SELECT relname, relrowsecurity, CASE WHEN cardinality(relacl) > 1 THEN relacl::text END, attname, attacl::text,"
        " polname, polroles, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)"
        " FROM pg_class c LEFT JOIN pg_policy ON polrelid = c.oid"
        " LEFT JOIN pg_attribute a ON attrelid = c.oid AND cardinality(attacl) > 0"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1, 4, 6",
    )


def test_what_somebody_else_secured_stays_so(database: Database, new_role: NewRole) -> None:
    role = new_role()
    run(
        database,
        f"CREATE POLICY of_the_host ON ai_request_logs TO {role} USING (module = 'imports')",
        "ALTER TABLE ai_request_logs ENABLE ROW LEVEL SECURITY",
    )
    before = catalogue(database)
    assert find(database).detail.startswith("off")
    secure(database)
    assert find(database).state == "ok"
    unsecure(database)
    assert catalogue(database) == before


def test_what_cannot_be_confined_is_refused(database: Database, new_role: NewRole) -> None:
    role, group = new_role(), new_role()
    owner = database.url.username or owner_sees(database, "SELECT current_user")[0][0]
    with pytest.raises(UsageError, match=f"{owner} cannot be confined: it is a superuser"):
        secure(database, confine=[Confined(owner, "acme")])
    with pytest.raises(UsageError, match="there is no role nobody_here; --create-roles makes it"):
        secure(database, confine=[Confined("nobody_here", "acme")])
    with pytest.raises(UsageError, match="the tenant of acme_bi is empty"):
        secure(database, confine=[Confined("acme_bi", "")])
    with pytest.raises(UsageError, match=f"{role} is not confined; there is: nobody"):
        secure(database, release=[role])
    with pytest.raises(UsageError, match=f"{role} is named in two ways"):
        secure(database, confine=[Confined(role)], release=[role])
    run(database, f"GRANT {group} TO {role}")
    with pytest.raises(UsageError, match=f"{role} cannot be confined: it is a member of {group}"):
        secure(database, confine=[Confined(role, "acme"), Confined(group, "globex")])
    run(database, f"REVOKE {group} FROM {role}", f"ALTER ROLE {role} BYPASSRLS")
    with pytest.raises(UsageError, match=f"{role} cannot be confined: it has BYPASSRLS"):
        secure(database, confine=[Confined(role, "acme")])
    assert find(database).detail.startswith("off")


def test_a_group_confines_its_members(database: Database, new_role: NewRole) -> None:
    group, member = new_role(), new_role()
    run(database, f"GRANT {group} TO {member}")
    secure(database, confine=[Confined(group, "acme")])
    with connect(database, member) as connection:
        assert connection.execute("SELECT count(*) FROM ai_request_logs").fetchone() == (3,)
    assert find(database).state == "ok"


def test_missing_roles_are_made_when_asked(database: Database) -> None:
    role = f"cajanegra_test_{secrets.token_hex(4)}"
    try:
        secure(database, confine=[Confined(role, "acme")], create_roles=True)
        made = owner_sees(database, "SELECT rolname, rolcanlogin FROM pg_roles")
        assert (role, False) in made
    finally:
        run(database, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_dry_run_changes_nothing_and_its_sql_does_the_same(database: Database, new_role: NewRole) -> None:
    role = new_role()
    before = catalogue(database)
    shown = secure(database, confine=[Confined(role, "o'hara 100%")], dry_run=True).statements
    assert catalogue(database) == before
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        for statement in shown:
            connection.execute(statement.encode())
    by_hand = catalogue(database)
    unsecure(database)
    secure(database, confine=[Confined(role, "o'hara 100%")])
    assert catalogue(database) == by_hand
    assert secure(database).confined == [Confined(role, "o'hara 100%")]


def test_an_overlong_tenant_is_the_one_that_is_stored(database: Database, new_role: NewRole) -> None:
    role, tenant = new_role(), "acme-" * 20
    write(database, call_record("long", tenant_id=tenant))
    secure(database, confine=[Confined(role, tenant)])
    with connect(database, role) as connection:
        assert connection.execute("SELECT request_id FROM ai_request_logs").fetchall() == [("long",)]


def test_only_the_owner_can(database: Database, new_role: NewRole) -> None:
    refused = pytest.raises(StorageError, match="must be owner of table ai_request_logs; it takes the owner")
    with Database(url_of(database, new_role())) as other, refused:
        secure(other)


def test_sqlite_is_refused(sqlite_url: str) -> None:
    with Database(sqlite_url) as database:
        for change in (secure, unsecure):
            with pytest.raises(UsageError, match="row-level security is PostgreSQL's"):
                change(database)


def find(database: Database) -> Check:
    return next(check for check in health.checks(database) if check.name == "row-level security")


def mends(check: Check) -> list[str]:
    return check.mend.removeprefix("as the owner: ").removesuffix("; then cajanegra db secure").split("; ")


def test_doctor_and_verify_tell_what_is_wrong(database: Database, new_role: NewRole) -> None:
    role, setting = new_role(), new_role()
    assert (find(database).state, find(database).detail[:3]) == ("ok", "off")
    assert not [finding for finding in verify(database) if finding.kind == "security"]
    secure(database, confine=[Confined(role, "acme"), Confined(setting)])
    assert find(database).state == "ok"
    assert f"{role} (acme)" in find(database).detail
    assert {finding.state for finding in verify(database)} == {"present"}

    run(database, "ALTER TABLE cajanegra_contents DISABLE ROW LEVEL SECURITY")
    assert find(database).detail == "cajanegra_contents row-level security missing"
    wrong = [finding for finding in verify(database) if finding.state != "present"]
    assert [(item.table, item.kind, item.state) for item in wrong] == [
        ("cajanegra_contents", "security", "missing")
    ]
    secure(database)

    run(database, "COMMENT ON POLICY cajanegra_setting ON ai_error_recovery IS 'of-an-older-version'")
    assert find(database).detail == f"ai_error_recovery policy for {setting} another rule"
    run(database, "DROP POLICY cajanegra_setting ON ai_error_recovery")
    assert find(database).detail == f"ai_error_recovery policy for {setting} missing"
    secure(database)
    assert find(database).state == "ok"

    run(database, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    check = find(database)
    assert check.state == "failed"
    assert "read all of ai_error_analysis" in check.detail
    assert "use cajanegra_keys" in check.detail
    run(database, *mends(check))
    secure(database)
    assert find(database).state == "ok"
    with connect(database, role) as connection:
        assert seen(connection, "ai_error_analysis", "acme")

    run(
        database,
        "CREATE TABLE ai_request_logs_p20260101 () INHERITS (ai_request_logs)",
        "CREATE VIEW of_all AS SELECT tenant_id FROM ai_request_logs",
        "CREATE MATERIALIZED VIEW of_all_kept AS SELECT tenant_id FROM ai_request_logs",
        "CREATE VIEW of_whom_reads WITH (security_invoker) AS SELECT tenant_id FROM ai_request_logs",
        f"GRANT SELECT ON ai_request_logs_p20260101, of_all, of_all_kept, of_whom_reads TO {role}",
    )
    check = find(database)
    assert f"{role} may read ai_request_logs_p20260101, read of_all, read of_all_kept, which" in check.detail
    run(database, *mends(check))
    assert find(database).state == "ok"
    with connect(database, role) as connection:
        assert connection.execute("SELECT DISTINCT tenant_id FROM of_all").fetchall() == [("acme",)]

    run(database, f"ALTER ROLE {role} BYPASSRLS")
    assert find(database).detail == f"{role} is not confined: it has BYPASSRLS"
    run(database, f"ALTER ROLE {role} NOBYPASSRLS")
    other = new_role()
    run(database, f"GRANT SELECT ON ai_request_logs TO {other}")
    assert find(database).detail == f"{other} may use the tables and sees no row"
