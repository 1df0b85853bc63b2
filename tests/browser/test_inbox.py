"""The inbox shows the numbers that SQL gives, and is worked through by keyboard."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from browser.conftest import Site, settled
from browser.figures import rows
from cajanegra.domain.principal import ALL_TENANTS, Role

_COUNTS = """
SELECT a.error_pattern, a.occurrence_count, p.recovered,
       (SELECT count(*) FROM cajanegra_pattern_tenants t WHERE t.pattern = a.error_pattern)
FROM ai_error_analysis a JOIN cajanegra_patterns p ON p.pattern = a.error_pattern
WHERE a.resolution_status = 'open' ORDER BY a.occurrence_count DESC, a.error_pattern
"""


def _row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def test_its_numbers_are_those_of_the_database(site: Site) -> None:
    found = rows(site, _COUNTS)
    with site.visit() as page:
        page.goto("/errors?sort=count")
        settled(page)
        expect(page.get_by_role("tab", name=f"Open {len(found)}")).to_be_visible()
        names = page.locator("#patterns tbody a").all_inner_texts()
        assert names == [name for name, *_counts in found]
        for name, failures, recovered, tenants in found:
            cells = _row(page, name).get_by_role("cell").all_inner_texts()
            share = f"{round(100 * recovered / failures)}%"
            assert (cells[3], cells[4], cells[6]) == (f"{failures:,}", share, str(tenants)), name


def test_a_tenant_sees_its_own_counts_and_decides_nothing(site: Site) -> None:
    own = rows(site, "SELECT pattern, failures FROM cajanegra_pattern_tenants WHERE tenant_id = 'initech'")
    with site.visit("initech", Role.ADMIN) as page:
        page.goto("/errors?status=all")
        settled(page)
        expect(page.locator("#patterns tbody tr")).to_have_count(len(own))
        assert page.get_by_role("checkbox").count() == 0
        for name, failures in own:
            assert _row(page, name).get_by_role("cell").all_inner_texts()[2] == str(failures)


def test_its_url_holds_what_is_shown(site: Site) -> None:
    with site.visit(ALL_TENANTS, Role.READER) as page:
        page.goto("/errors")
        settled(page)
        page.get_by_role("textbox", name="Search").fill("rate_limit")
        page.wait_for_url("**/errors?*q=rate_limit*")
        page.get_by_role("combobox", name="Sort").click()
        page.get_by_role("option", name="Failed last").click()
        page.wait_for_url("**sort=last*")
        page.reload()
        settled(page)
        expect(page.get_by_role("textbox", name="Search")).to_have_value("rate_limit")
        names = page.locator("#patterns tbody a").all_inner_texts()
        assert names
        assert all("rate_limit" in name for name in names)
        page.get_by_role("tab", name="Resolved").click()
        page.get_by_text("No error pattern meets these conditions").wait_for()


def test_patterns_are_chosen_and_decided_about_by_keyboard(site: Site) -> None:
    with site.visit() as page:
        page.goto("/errors?sort=count")
        settled(page)
        names = page.locator("#patterns tbody a").all_inner_texts()
        page.get_by_role("link", name=names[0], exact=True).focus()
        for key in ("x", "j", "x", "j", "k"):
            page.keyboard.press(key)
        expect(page.get_by_text("2 selected")).to_be_visible()
        expect(page.get_by_role("link", name=names[1], exact=True)).to_be_focused()
        page.keyboard.press("r")
        expect(page.get_by_text("2 patterns: Resolved")).to_be_visible()
        expect(page.get_by_role("link", name=names[0], exact=True)).to_have_count(0)

        page.get_by_role("tab", name="Resolved 2").click()
        page.get_by_role("link", name=names[0], exact=True).focus()
        page.keyboard.press("a")
        page.keyboard.press("w")
        page.get_by_role("tab", name="Won't fix 2").click()
        page.get_by_role("link", name=names[0], exact=True).focus()
        page.keyboard.press("o")
        page.get_by_role("link", name=names[1], exact=True).focus()
        expect(page.get_by_role("link", name=names[0], exact=True)).to_have_count(0)
        page.keyboard.press("o")
        page.get_by_role("tab", name=f"Open {len(names)}").wait_for()


def test_keys_are_letters_where_text_is_typed(site: Site) -> None:
    with site.visit() as page:
        page.goto("/errors")
        settled(page)
        page.get_by_role("textbox", name="Search").press_sequentially("roar")
        page.wait_for_url("**q=roar*")
        expect(page.get_by_text("0 selected")).to_be_visible()
