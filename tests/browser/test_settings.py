"""Admins make and revoke keys, and see the settings without their secrets."""

from __future__ import annotations

from browser.conftest import Site, settled
from cajanegra.domain.principal import ALL_TENANTS, Role


def test_a_key_is_made_shown_once_and_revoked(site: Site) -> None:
    with site.visit() as page:
        page.goto("/settings")
        page.get_by_role("button", name="Make a key").click()
        form = page.get_by_role("dialog")
        form.get_by_label("Name").fill("a test's key")
        form.get_by_label("Tenant").fill("acme")
        form.get_by_role("button", name="Make it").click()
        text = form.locator("pre").inner_text()
        assert text.startswith("cn_")
        form.get_by_role("button", name="Done").click()
        assert text not in page.content()
        line = page.get_by_role("row").filter(has_text=text[:13])
        line.get_by_text("acme").wait_for()
        line.get_by_role("button", name="Revoke").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        line.wait_for(state="detached")
        page.get_by_role("switch", name="Revoked and expired ones, too").click()
        line.get_by_text("revoked").wait_for()
        assert "show=all" in page.url


def test_the_settings_are_those_that_are_in_force(site: Site) -> None:
    with site.visit() as page:
        page.goto("/settings")
        settled(page)
        line = page.get_by_role("row").filter(has_text="recovery.attempts")
        assert "6" in line.inner_text()
        assert "default" in line.inner_text()
        assert (site.database.url.password or "***") not in page.content().replace("postgres", "")


def test_others_see_neither(site: Site) -> None:
    for scope, role in (("acme", Role.READER), (ALL_TENANTS, Role.READER)):
        with site.visit(scope, role) as page:
            page.goto("/settings")
            page.get_by_text("This is for admins").wait_for()
