"""An error storm arrives, is understood and corrected, the next one recovers; the pattern is resolved, and returns."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from llmock.scenarios import Fail
from llmock.testing import LLMockServer
from playwright.sync_api import Browser, Locator, Page, expect

from api_service import served
from browser.conftest import Site, settled
from cajanegra import AIClient, Settings
from cajanegra.errors import CallError
from cajanegra.storage.database import Database

PATTERN = "p0_content_filter_01195b"
STORM = 6
PROMISE = 5.0
"""Seconds within which every process obeys a correction."""


class Application:
    """Makes calls that may ask two of three providers, of which the last answers."""

    def __init__(self, url: str, providers: str) -> None:
        self._threads = ThreadPoolExecutor(1)  # Playwright has an event loop in the test's own
        settings = Settings(database={"url": url}, providers=json.loads(providers), recovery={"attempts": 2})
        self._client = self._threads.submit(AIClient, settings).result()

    def call(self) -> str | None:
        """One call: who answered it."""
        return self._threads.submit(self._call).result()

    def storm(self) -> list[str | None]:
        """Some calls, which are in the database afterwards."""
        answered = [self.call() for _ in range(STORM)]
        assert self._client.recorder.flush(timeout=20)
        return answered

    def close(self) -> None:
        self._threads.submit(self._client.close).result()
        self._threads.shutdown()

    def _call(self) -> str | None:
        try:
            return self._client.chat_sync(
                "Clasifica: factura 17", task="classification", tenant_id="acme"
            ).provider
        except CallError:
            return None


@pytest.fixture
def providers() -> Iterator[str]:
    """Three providers: two refuse every call."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(LLMockServer()) for _ in range(3)]
        for server in found[:2]:  # what the request is to blame for lets nobody rest
            server.state.scenarios.add(Fail(400, code="content_policy_violation", times=None))
        yield json.dumps(
            [
                {"name": f"p{place}", "base_url": server.base_url("openai"), "models": ["gpt-4o"]}
                for place, server in enumerate(found)
            ]
        )


@pytest.fixture
def storm_site(database: Database, browser: Browser, providers: str) -> Iterator[Site]:
    url = database.url.render_as_string(hide_password=False)
    with served("standalone", url, providers) as service:
        now = datetime.now(UTC)
        yield Site(service, browser, now - timedelta(hours=1), now + timedelta(hours=1))


@pytest.fixture
def application(database: Database, providers: str) -> Iterator[Application]:
    found = Application(database.url.render_as_string(hide_password=False), providers)
    yield found
    found.close()


def test_a_storm_is_understood_corrected_recovered_and_comes_back(
    storm_site: Site, application: Application
) -> None:
    assert application.storm() == [None] * STORM
    with storm_site.visit() as page:
        page.goto("/errors")
        row = _row(page)
        expect(row.get_by_text("new", exact=True)).to_be_visible()
        expect(row.get_by_role("cell", name=str(STORM), exact=True)).to_be_visible()
        expect(row.get_by_role("cell", name="0%", exact=True)).to_be_visible()

        row.get_by_role("link", name=PATTERN).click()
        page.get_by_text("Probable cause").wait_for()
        remedies = page.get_by_role("region", name="What recovers it")
        expect(remedies.get_by_role("row").filter(has_text="p1/gpt-4o")).to_contain_text("0%")

        page.get_by_role("combobox", name="Provider").click()
        page.get_by_role("option", name="p2").click()
        page.get_by_role("button", name="Enable").click()
        page.get_by_text("Enabled: fall back to p2", exact=True).wait_for()
        _until_obeyed(application)
        assert application.storm() == ["p2"] * STORM

        page.reload()
        settled(page)
        expect(remedies.get_by_role("row").filter(has_text="p2/gpt-4o")).to_contain_text("100%")
        page.get_by_role("link", name="Recovery").click()
        effect = (
            page.get_by_role("region", name="What corrections did")
            .get_by_role("row")
            .filter(has_text=PATTERN)
        )
        expect(effect).to_contain_text("fall back to p2")
        expect(effect.get_by_role("img").nth(1)).to_have_attribute("aria-label", re.compile("^100%"))

        effect.get_by_role("link", name=PATTERN).click()
        page.get_by_role("button", name="Resolve").click()
        page.get_by_role("heading", level=1).get_by_text("resolved").wait_for()
        page.get_by_role("link", name="Errors", exact=True).click()
        expect(page.get_by_role("tab", name="Resolved 1")).to_be_visible()
        expect(page.get_by_role("link", name=PATTERN)).to_have_count(0)

        assert application.storm() == ["p2"] * STORM
        page.get_by_role("button", name="Refresh").click()
        expect(_row(page).get_by_text("regressed", exact=True)).to_be_visible()
        _row(page).get_by_role("link", name=PATTERN).click()
        history = page.get_by_role("region", name="History").get_by_role("listitem")
        expect(history.first).to_contain_text("failed again after it was resolved")
        expect(history.last).to_contain_text("correction enabled: fall back to p2")


def _row(page: Page) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=PATTERN))


def _until_obeyed(application: Application) -> None:
    until = time.monotonic() + PROMISE
    while application.call() != "p2":
        assert time.monotonic() < until, "the correction is not obeyed"
