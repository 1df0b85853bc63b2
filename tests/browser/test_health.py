"""The health view shows the numbers that SQL gives, and a tenant nothing of others."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import delete, insert, text

from browser.conftest import AXE, Site, settled, violations
from browser.figures import FAILED, duration, number, rows
from cajanegra.domain.principal import ALL_TENANTS, Role, Scope
from cajanegra.ports import ProviderState
from cajanegra.storage import runs
from cajanegra.storage.provider_states import ProviderStates
from cajanegra.storage.retention import CleanupReport
from cajanegra.storage.tables import RETENTION_RUNS


def _figure(page: Page, label: str) -> str:
    found = page.locator("dl > div").filter(has=page.get_by_text(label, exact=True)).locator("dd > *").first
    return found.inner_text()


def test_its_numbers_are_those_of_the_database(site: Site) -> None:
    with site.visit(ALL_TENANTS, Role.READER) as page:
        page.goto(f"/status?range={site.range}")
        settled(page)
        assert (_figure(page, "State"), _figure(page, "Version")) == ("well", version("cajanegra"))
        assert (_figure(page, "Database"), _figure(page, "Dropped")) == ("answers", "0")
        query = "SHOW server_version" if site.database.dialect == "postgresql" else "SELECT sqlite_version()"
        name = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[site.database.dialect]
        expect(page.get_by_text(f"{name} {number(site, query).split()[0]}", exact=True)).to_be_visible()
        tables = page.get_by_role("region", name="Tables and indexes")
        for name in ("ai_request_logs", "ai_error_recovery", "cajanegra_contents", "cajanegra_occurrences"):
            cells = tables.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))
            count = number(site, f"SELECT count(*) FROM {name}")  # noqa: S608 - names of ours
            expect(cells.get_by_role("cell").first).to_have_text(f"{count:,}")
        providers = page.get_by_role("region", name="Providers now")
        query = f"""SELECT provider_used, count(*), sum(CASE WHEN {FAILED} THEN 1 ELSE 0 END)
            FROM ai_request_logs WHERE {{within}} GROUP BY 1"""  # noqa: S608
        for name, calls, failed in rows(site, query):
            row = providers.get_by_role("row").filter(
                has=page.get_by_role("rowheader", name=name, exact=True)
            )
            texts = row.get_by_role("cell").all_inner_texts()
            share = f"{float(f'{100 * failed / calls:.1f}'):g}%"
            assert (texts[2], texts[3]) == (f"{calls:,}", share), name


def test_growth_is_forecast(site: Site) -> None:
    calls = number(site, "SELECT count(*) FROM ai_request_logs")
    with site.visit() as page:
        page.goto("/status")
        settled(page)
        growth = page.get_by_role("region", name="Growth")
        expect(growth).to_contain_text(re.compile("measured over 4[67]"))
        shown = int(_figure(page, "Calls a day"))
        assert abs(shown - calls / 47 * 24) <= 2
        expect(growth.get_by_text("Kept for 7 days")).to_be_visible()


def test_a_provider_that_rests_is_said_to_and_why(site: Site) -> None:
    now = time.time()
    held = ProviderState(
        "key-1", "gpt-4o-mini", "openai", "rate_limit", now + 60, asked=True, observed_at=now
    )
    ProviderStates(site.database).publish([held])
    try:
        with site.visit() as page:
            page.goto("/status")
            settled(page)
            row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="openai", exact=True))
            expect(row).to_contain_text("resting")
            expect(row).to_contain_text("gpt-4o-mini: rate_limit until")
    finally:
        with site.database.transaction() as connection:
            connection.execute(text("DELETE FROM cajanegra_provider_states"))


def test_a_tenant_sees_its_own_rows_and_no_spool(site: Site) -> None:
    own = number(site, "SELECT count(*) FROM ai_request_logs WHERE tenant_id = 'globex'")
    with site.visit("globex", Role.READER) as page:
        page.goto(f"/status?range={site.range}")
        settled(page)
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="ai_request_logs"))
        expect(row.get_by_role("cell")).to_have_text([f"{own:,}"])
        assert page.get_by_text("Writer lag").count() == 0
        page.get_by_text("shown to those who see all").wait_for()
        assert page.get_by_text(re.compile("^(PostgreSQL|SQLite) ")).count() == 0


# Retention

ENDED: tuple[runs.State, ...] = ("done", "cut_short", "failed", "died")


@contextlib.contextmanager
def _with_runs(site: Site) -> Iterator[None]:
    """Runs of every outcome, the last of which goes on; twelve, so that the oldest two are not shown."""
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    made = []
    for age in range(12, 0, -1):
        state = ENDED[age % len(ENDED)] if age > 1 else "running"
        began = now - timedelta(hours=age)
        heard = began + timedelta(milliseconds=age * 1_234)
        report = CleanupReport(
            calls=age * 12_345, steps=age * 4, contents=age * 678, links=age * 91, rollups=age * 7,
            partitions=age % 3, freed_bytes=age % 3 * 8_000_000,
        )  # fmt: skip
        made.append(
            {
                "started_by": "server" if age % 2 else "command",
                "state": state,
                "counts": asdict(report),
                "error": "the database went away" if state == "failed" else None,
                "began_at": began,
                "updated_at": heard,
                "ended_at": None if state == "running" else heard,
            }
        )
    with site.database.transaction() as connection:
        connection.execute(insert(RETENTION_RUNS), made)
    try:
        yield
    finally:
        with site.database.transaction() as connection:
            connection.execute(delete(RETENTION_RUNS))


def test_what_retention_has_deleted_is_what_the_database_says(site: Site) -> None:
    said = {
        "done": "done",
        "cut_short": "cut short",
        "failed": "failed",
        "died": "died",
        "running": "running",
    }
    with _with_runs(site), site.visit() as page:
        page.goto("/status")
        settled(page)
        panel = page.get_by_role("region", name="Retention runs")
        expect(panel).to_contain_text("stay 7 days by default")
        shown = panel.get_by_role("row").all()[1:]
        names = ("calls", "contents", "links", "rollups", "partitions", "freed_bytes")
        counts = ", ".join(f"CAST(counts ->> '{name}' AS bigint)" for name in names)
        query = f"SELECT started_by, state, {counts} FROM cajanegra_retention_runs ORDER BY id DESC LIMIT 10"  # noqa: S608
        found = rows(site, query)
        assert len(shown) == len(found) == 10
        history = runs.history(site.database, 10)
        for row, run, (by, state, *freed) in zip(shown, history, found, strict=True):
            cells = row.get_by_role("cell").all_inner_texts()
            assert cells[0] == {"server": "the server", "command": "command or cron"}[by]
            assert cells[1].startswith(said[state]), state
            took = (run.ended_at or run.updated_at) - run.began_at
            assert cells[2] == duration(took // timedelta(milliseconds=1))
            assert cells[3:8] == [f"{count:,}" for count in freed[:5]]
            assert cells[8].split()[0] == f"{freed[5] // 1_000_000}"
        local = history[0].began_at.astimezone(ZoneInfo("Europe/Madrid"))
        expect(shown[0].get_by_role("rowheader")).to_have_text(
            f"{local.day} {local:%b}".replace("Sep", "Sept") + f"{local:, %H:%M}"
        )
        expect(shown[0]).to_contain_text("heard of")
        expect(panel.get_by_text("the database went away").first).to_be_visible()
        expect(panel.get_by_text("the next goes on").first).to_be_visible()


def test_without_a_run_it_says_how_to_have_one(site: Site) -> None:
    with site.visit() as page:
        page.goto("/status")
        settled(page)
        panel = page.get_by_role("region", name="Retention runs")
        expect(panel).to_contain_text("No run has deleted anything yet")
        expect(panel.get_by_text("serve = true")).to_be_visible()


@pytest.mark.skipif(
    not AXE.exists(), reason="axe-core is not installed: 'make dashboard' does so where npm is"
)
def test_runs_are_for_everybody_to_read(site: Site) -> None:
    with _with_runs(site), site.visit(language="es", width=390) as page:
        page.goto("/status")
        settled(page)
        expect(page.get_by_role("group", name="Limpiezas")).to_contain_text("interrumpida")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.emulate_media(color_scheme="dark")
        expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
        assert violations(page) == []


@pytest.mark.parametrize(("scope", "role"), [(ALL_TENANTS, Role.READER), ("acme", Role.ADMIN)])
def test_runs_are_shown_to_admins_of_all_tenants_alone(site: Site, scope: Scope, role: Role) -> None:
    with site.visit(scope, role) as page:
        page.goto("/status")
        settled(page)
        page.get_by_role("region", name="Tables and indexes").wait_for()
        assert page.get_by_role("region", name="Retention runs").count() == 0
