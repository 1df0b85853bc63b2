"""A real browser before a real server with two days of calls behind it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from api_service import Service, served
from browser.seeded import seed
from cajanegra.domain.principal import ALL_TENANTS, Role, Scope
from cajanegra.server.dashboard import FILES
from cajanegra.storage.database import Database
from conftest import BOTH
from databases import Databases

AXE = Path(__file__).parents[2] / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

Theme = Literal["light", "dark"]
Language = Literal["en", "es"]
_PATIENCE = 15_000
"""Milliseconds that something may take to be shown on a busy machine."""
expect.set_options(timeout=_PATIENCE)
_LOCALES = {"en": "en-GB", "es": "es-ES"}


@dataclass
class Site:
    """The dashboard as people find it.

    Attributes:
        service: what answers.
        browser: that looks.
        since: begin of the time in which the calls were made, and its end.
    """

    service: Service
    browser: Browser
    since: datetime
    until: datetime

    @property
    def database(self) -> Database:
        return self.service.database

    @property
    def range(self) -> str:
        """All calls, as a view's URL says it."""
        return f"{self.since:%Y-%m-%dT%H:%M:%SZ}..{self.until:%Y-%m-%dT%H:%M:%SZ}"

    @contextlib.contextmanager
    def visit(
        self,
        scope: Scope | None = ALL_TENANTS,
        role: Role = Role.ADMIN,
        *,
        theme: Theme = "light",
        language: Language = "en",
        width: int = 1280,
        height: int = 860,
        allowed: tuple[str, ...] = (),
    ) -> Iterator[Page]:
        """A page of somebody who has signed in; nobody has with the scope ``None``.

        At the end nothing may have been complained of: no error in the console, no failed request, but for
        those with one of the words that are ``allowed``.
        """
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            locale=_LOCALES[language],
            timezone_id="Europe/Madrid",
            base_url=self.service.url,
            reduced_motion="reduce",
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        complaints = _listen(context)
        try:
            if scope is not None:
                key = self.service.headers(scope, role)["Authorization"].removeprefix("Bearer ")
                assert context.request.post("/api/v1/session", data={"key": key}).ok
            context.set_default_timeout(_PATIENCE)
            page = context.new_page()
            yield page
            found = [one for one in complaints if not any(word in one for word in allowed)]
            assert found == []
        finally:
            context.close()


def _listen(context: BrowserContext) -> list[str]:
    complaints: list[str] = []
    context.on(
        "console",
        lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None,
    )
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on(
        "requestfailed",
        # A request that a page has no use for any more is cancelled, and a stream ends with its page.
        lambda request: (
            complaints.append(f"{request.url} {request.failure}")
            if request.failure != "net::ERR_ABORTED"
            else None
        ),
    )
    context.on(
        "response",
        lambda response: (
            complaints.append(f"{response.status} {response.url}") if response.status >= 400 else None
        ),
    )
    return complaints


def settled(page: Page) -> None:
    """Wait until what a page asks for has come, and is shown."""
    page.locator("h1").first.wait_for()
    page.wait_for_load_state("networkidle")
    expect(page.locator(".mantine-Loader-root")).to_have_count(0)


def violations(page: Page, *rules: str) -> list[str]:
    """What axe-core finds wrong with a page, of whatever impact: by all its rules, or by some."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate(
        "(rules) => axe.run(document, rules.length ? {runOnly: rules} : {}).then((result) => result.violations)",
        list(rules),
    )
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]} {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program of a browser that this machine has."""
    if not (FILES / "index.html").exists():
        pytest.skip("the dashboard is not built: 'make dashboard' does so where npm is")
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip("there is no Chromium; on Debian: apt-get install chromium")
    return found


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Gone before other tests begin: it has an event loop that runs in this thread."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def browser(chromium: str, playwright: Playwright) -> Iterator[Browser]:
    # As root, as in most containers, Chromium runs without its sandbox only. It sees our own pages alone.
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture(scope="session", params=BOTH)
def seeded(
    request: pytest.FixtureRequest,
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Service, datetime]]:
    """A server on a database, the same for all tests: they leave it as it is; and when it was seeded."""
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        if request.param == "sqlite":
            path = tmp_path_factory.mktemp("browser") / "calls.db"
            shutil.copyfile(sqlite_template, path)
            url = f"sqlite:///{path}"
        else:
            databases: Databases = request.getfixturevalue("postgres_databases")
            url = stack.enter_context(databases.migrated())
        service = stack.enter_context(served("standalone", url))
        now = datetime.now(UTC)
        seed(service.database, now=now)
        service.headers("acme")  # where nobody has a key yet, nobody is asked for one
        yield service, now


@pytest.fixture(scope="package")
def site(browser: Browser, seeded: tuple[Service, datetime]) -> Site:
    """The dashboard of a server that is the same for all tests."""
    service, now = seeded
    return Site(service, browser, now - timedelta(hours=48), now)
