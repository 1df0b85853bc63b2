"""axe-core finds nothing wrong with any view, in either theme, language and width."""

from __future__ import annotations

import pytest

from browser.conftest import AXE, Site, Theme, settled, violations

VIEWS = (
    "/",
    "/calls",
    "/calls/call-000010",
    "/errors",
    "/errors/ollama_timeout",
    "/recovery",
    "/models",
    "/status",
    "/settings",
    "/nothing",
)


@pytest.fixture(autouse=True)
def axe() -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: 'make dashboard' does so where npm is")


@pytest.mark.parametrize(
    ("theme", "rules"), [("light", ()), pytest.param("dark", ("color-contrast",), marks=pytest.mark.long)]
)
def test_no_view_has_a_violation(site: Site, theme: Theme, rules: tuple[str, ...]) -> None:
    with site.visit(theme=theme) as page:
        for path in VIEWS:
            page.goto(f"{path}?range={site.range}")
            settled(page)
            assert violations(page, *rules) == [], path


@pytest.mark.long
def test_no_view_has_a_violation_on_a_narrow_screen(site: Site) -> None:
    with site.visit(theme="light", language="es", width=390) as page:
        for path in VIEWS:
            page.goto(f"{path}?range={site.range}")
            settled(page)
            assert violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is too wide"


def test_what_opens_has_no_violation_either(site: Site) -> None:
    with site.visit() as page:
        page.goto("/calls")
        settled(page)
        for name in ("Time range: Last 24 hours", "Columns", "Saved views", "Preferences", "Account"):
            page.get_by_role("button", name=name).click()
            settled(page)
            assert violations(page) == [], name
            page.keyboard.press("Escape")
        page.goto("/settings")
        page.get_by_role("button", name="Make a key").click()
        page.get_by_role("dialog").wait_for()
        assert violations(page) == []


def test_the_sign_in_has_no_violation(site: Site) -> None:
    for theme in ("light", "dark"):
        with site.visit(None, theme=theme, allowed=("401",)) as page:
            page.goto("/")
            page.get_by_label("Key", exact=True).wait_for()
            assert violations(page) == []
