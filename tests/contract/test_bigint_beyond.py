"""Ids beyond 2^31: everything that records, reads, keeps or deletes calls takes them as any other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from api_client import settings_for
from api_service import served
from cajanegra import Recorder
from cajanegra.domain.principal import ALL_TENANTS, Role
from cajanegra.errors import StorageError
from cajanegra.models import AIErrorRecovery, AIRequestLog
from cajanegra.storage import (
    erasure,
    health,
    holds,
    migrate,
    pattern_detail,
    reads,
    steps,
    tail,
    totals,
)
from cajanegra.storage.backup import backup, restore
from cajanegra.storage.database import Database
from cajanegra.storage.filters import CallFilter
from cajanegra.storage.keeping import Policy
from cajanegra.storage.retention import cleanup
from cajanegra.storage.steps import StepFilter
from command import Command
from databases import Databases
from records import NOW
from wide_ids import TABLES, ask, fill, left_over, rows, run, widen, wrong

pytestmark = pytest.mark.postgres
FIRST = 2**31
RECORDED = ("answered", "recovered", "failed")


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    """Converted, with calls whose ids, and whose steps', contents' and links', are beyond 2^31."""
    with Database(postgres_url) as found:
        fill(found, "plain")
        widen(found)
        go_beyond(found)
        record(found)
        yield found


def go_beyond(database: Database) -> None:
    for name in TABLES:
        run(database, f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {FIRST - 1})")


def record(database: Database) -> None:
    with Recorder(settings_for(database, capture={"content": "full"})) as recorder:
        for request_id in RECORDED:
            with recorder.call(
                task="chat", provider="ollama", model="m", prompt="Hola", tenant_id="acme",
                user_id="u1", request_id=request_id,
            ) as call:  # fmt: skip
                if request_id == "recovered":
                    call.step(
                        "fallback",
                        action="ollama -> openai",
                        error=TimeoutError("timed out"),
                        successful=True,
                    )
                if request_id == "failed":
                    call.fail(ConnectionError("refused"))
                else:
                    call.finish(text="Buenas", tokens_used=7)
        recorder.feedback("answered", "thumbs_up", tenant_id="acme")
        assert recorder.flush(10)


def test_calls_are_recorded_and_read(database: Database) -> None:
    ids = {name: [row.id for row in those if row.id >= FIRST] for name, those in rows(database).items()}
    assert ids["ai_request_logs"] == [FIRST, FIRST + 1, FIRST + 2]
    assert all(ids[name][0] == FIRST for name in TABLES[:4])
    found = reads.call(database, "acme", "recovered")
    assert found is not None
    assert found.call["id"] == found.steps[0]["request_log_id"] == FIRST + 1
    assert (found.prompt, found.answer) == ("Hola", "Buenas")
    answered = reads.call(database, "acme", "answered")
    assert answered is not None
    assert answered.call["user_feedback"] == "thumbs_up"
    page = steps.steps(database, CallFilter("acme"), StepFilter(), limit=1)
    assert page.items[0]["request_id"] == "recovered"
    pattern = found.patterns[0]["error_pattern"]
    samples = pattern_detail.detail(database, ALL_TENANTS, pattern, now=NOW).samples
    assert samples[0]["request_id"] == "recovered"
    followed, done = tail.written(database, CallFilter("acme"), FIRST - 1, FIRST + 2)
    assert ([row["request_id"] for row in followed], done) == ([*RECORDED], FIRST + 2)
    end = totals.newest(database)
    counted, _reached = totals.between(database, totals.Mark(FIRST - 1, FIRST - 1), end)
    assert sum(counted.calls.values()) == 3
    assert wrong(database) == []
    assert [check for check in health.checks(database) if check.state == "failed"] == []


def test_the_guides_models_ask_for_them(database: Database) -> None:
    with Session(database.engine) as session:
        call = session.get(AIRequestLog, (FIRST + 1))
        assert call is not None
        assert call.request_id == "recovered"
        step = session.query(AIErrorRecovery).filter(AIErrorRecovery.request_log_id.in_([1, call.id])).all()
        assert {one.request_log_id for one in step} >= {FIRST + 1}
        own = AIRequestLog(
            id=2**40, request_id="own", task="chat", prompt_length=0, provider_used="x",
            created_at=NOW.replace(tzinfo=None),
        )  # fmt: skip
        session.add(own)
        session.add(AIErrorRecovery(request_log_id=2**40, strategy_name="retry"))
        session.commit()
        session.query(AIRequestLog).filter(AIRequestLog.id > 2**39).delete()
        session.commit()
        assert session.get(AIRequestLog, 2**40) is None


def test_they_are_served_and_shown(database: Database, tmp_path: Path) -> None:
    url = database.url.render_as_string(hide_password=False)
    with served("standalone", url) as service:
        assert service.get("/recovered").json()["steps"][0]["strategy_name"] == "fallback"
        first = service.get("", tenant_id="acme", limit=2).json()
        more = service.get("", tenant_id="acme", limit=2, cursor=first["next_cursor"]).json()
        names = [item["request_id"] for item in first["items"] + more["items"]]
        assert set(RECORDED) <= set(names)
        assert service.get("/recoveries").json()["items"][0]["request_id"] == "recovered"
        for path in (
            "/recoveries/statistics",
            "/recoveries/flow",
            "/recoveries/corrections",
            "/errors",
            "/storage",
        ):
            assert service.get(path).status_code == 200, path
        assert "recovered" in service.get("/export", format="csv").text
        assert service.get("/export", format="parquet").status_code == 200
        with service.client(ALL_TENANTS, Role.ADMIN) as admin:
            given = admin.post("/answered/feedback", json={"feedback": "thumbs_down"})
            assert given.is_success, given.text
    cajanegra = Command(tmp_path, url)
    assert cajanegra("logs", "show", "recovered", "--json").json["id"] == FIRST + 1
    assert cajanegra("logs", "list", "--json").json["items"][0]["request_id"] in RECORDED
    assert cajanegra("db", "verify").code == 0
    assert cajanegra("db", "sizes").code == 0


def test_they_are_held_erased_and_cleaned_up(database: Database) -> None:
    hold = holds.place(database, reason="case 17", tenant_id="acme", request_id="failed", now=NOW)
    receipt = erasure.erase(database, "acme", user_id="u1", now=NOW)
    assert (receipt.counts["calls"], receipt.counts["steps"], receipt.counts["held"]) == (2, 1, 1)
    far = NOW + timedelta(days=60)
    assert cleanup(database, ALL_TENANTS, policy=Policy(timedelta(days=7)), now=far).calls > 0
    assert ask(database, "SELECT id, request_id FROM ai_request_logs") == [(FIRST + 2, "failed")]
    assert holds.lift(database, hold.id)
    assert cleanup(database, ALL_TENANTS, policy=Policy(timedelta(days=7)), now=far).calls == 1
    for name in TABLES[:4]:
        assert ask(database, f"SELECT count(*) FROM {name}") == [(0,)]  # noqa: S608


def test_a_backup_goes_where_ids_are_wide(
    database: Database, postgres_databases: Databases, tmp_path: Path
) -> None:
    file = tmp_path / "calls.dump"
    backup(database, file)
    before = rows(database)
    restore(database, file, force=True)
    assert rows(database) == before
    with postgres_databases.migrated() as url, Database(url) as other:
        with pytest.raises(StorageError, match="out of range for type integer"):
            restore(other, file)
        widen(other)
        restore(other, file)
        assert rows(other) == before
        record_more = ask(other, "SELECT last_value FROM ai_request_logs_id_seq")
        assert record_more[0][0] >= FIRST + 2


def test_they_go_with_the_tables(database: Database) -> None:
    migrate.downgrade(database, "base", drop_data=True)
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' UNION SELECT sequencename FROM pg_sequences"
    assert ask(database, query) == [("cajanegra_version",)]
    migrate.upgrade(database)
    assert wrong(database) == left_over(database) == []
