"""Signing in, and what the session shows of whom."""

from __future__ import annotations

from browser.conftest import Site
from cajanegra.domain.principal import ALL_TENANTS, Role


def test_a_key_is_exchanged_for_a_session(site: Site) -> None:
    key = site.service.headers("acme", Role.READER)["Authorization"].removeprefix("Bearer ")
    with site.visit(None, allowed=("401",)) as page:
        page.goto("/calls?range=7d")
        page.get_by_label("Key", exact=True).fill("cn_nothing")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("The key was not accepted").wait_for()
        page.get_by_label("Key", exact=True).fill(key)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Calls", level=1).wait_for()
        assert page.url.endswith("/calls?range=7d")
        assert key not in page.evaluate("JSON.stringify({...localStorage}) + document.cookie")
        page.get_by_role("button", name="Account").click()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Key", exact=True).wait_for()
        assert page.request.get("/api/v1/session").status == 401


def test_only_admins_are_led_to_the_keys(site: Site) -> None:
    for role, count in ((Role.READER, 0), (Role.ADMIN, 1)):
        with site.visit(ALL_TENANTS, role) as page:
            page.goto("/")
            page.get_by_role("link", name="Calls", exact=True).first.wait_for()
            assert page.get_by_role("link", name="Keys and settings").count() == count
