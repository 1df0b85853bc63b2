"""A tenant's key sees its own, and nothing of the others, on every view."""

from __future__ import annotations

import pytest

from browser.conftest import Site, settled
from browser.figures import number
from cajanegra.domain.principal import Role

_OTHERS = ("globex", "initech")
_PATHS = ("/", "/?by=tenant", "/calls", "/errors", "/recovery", "/models", "/status")


@pytest.mark.parametrize("role", [Role.READER, pytest.param(Role.ADMIN, marks=pytest.mark.long)])
def test_a_tenants_key_sees_only_its_own(site: Site, role: Role) -> None:
    query = "SELECT count(*) FROM ai_request_logs WHERE {within} AND tenant_id = 'acme'"
    own = number(site, query)
    theirs = number(site, "SELECT min(request_id) FROM ai_request_logs WHERE tenant_id = 'globex'")
    with site.visit("acme", role, allowed=("404", "403")) as page:
        for path in _PATHS:
            joint = "&" if "?" in path else "?"
            page.goto(f"{path}{joint}range={site.range}")
            settled(page)
            seen = page.locator("body").inner_text()
            assert not any(name in seen for name in _OTHERS), path
            assert page.get_by_role("combobox", name="Tenant").count() == 0
        page.goto(f"/?range={site.range}")
        page.locator("dl").get_by_text(f"{own:,}", exact=True).wait_for()
        page.goto(f"/calls/{theirs}")
        page.get_by_text("There is no such call").wait_for()
        page.goto(f"/?range={site.range}&tenant=globex")
        page.get_by_text("this key belongs to one tenant").first.wait_for()


def test_one_who_sees_all_looks_at_one_tenant(site: Site) -> None:
    own = number(site, "SELECT count(*) FROM ai_request_logs WHERE {within} AND tenant_id = 'globex'")
    with site.visit() as page:
        page.goto(f"/?range={site.range}")
        page.get_by_role("combobox", name="Tenant").click()
        page.get_by_role("option", name="globex").click()
        page.locator("dl").get_by_text(f"{own:,}", exact=True).wait_for()
        page.get_by_role("link", name="Calls", exact=True).first.click()
        page.wait_for_url("**tenant=globex**")
