"""A pattern's view shows the numbers that SQL gives, and what is decided there is done."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from browser.conftest import Site, settled
from browser.figures import number, rows
from cajanegra.domain.principal import ALL_TENANTS, Role

NAME = "ollama_timeout"


def _figure(page: Page, label: str) -> str:
    found = page.locator("dl > div").filter(has=page.get_by_text(label, exact=True)).locator("dd > *").first
    return found.inner_text()


def test_its_numbers_are_those_of_the_database(site: Site) -> None:
    failures, recovered = rows(
        site, "SELECT failures, recovered FROM cajanegra_patterns WHERE pattern = :name", name=NAME
    )[0]
    tenants = rows(
        site, "SELECT tenant_id, failures FROM cajanegra_pattern_tenants WHERE pattern = :name", name=NAME
    )
    with site.visit() as page:
        page.goto(f"/errors/{NAME}?range=7d")
        settled(page)
        assert _figure(page, "Failures") == f"{failures:,}"
        assert _figure(page, "Recovered").rstrip("%") == f"{float(f'{100 * recovered / failures:.1f}'):g}"
        expect(page.get_by_text("no answer within <*> s")).to_be_visible()
        hits = page.get_by_role("region", name="Whom it hits")
        for tenant, count in tenants:
            line = hits.locator("dl > div").filter(has_text=tenant)
            expect(line.locator("dd").first).to_have_text(f"{count:,}")
        page.get_by_role("button", name="Failures: As a table").click()
        cells = page.get_by_role("table", name="Failures").get_by_role("cell").all_inner_texts()
        assert sum(int(text) for text in cells[1::2]) == failures


def test_what_recovers_it_is_judged_with_its_uncertainty(site: Site) -> None:
    trigger = (
        "recovery_result -> 'trigger' ->> 'pattern'"
        if site.database.dialect == "postgresql"
        else "json_extract(recovery_result, '$.trigger.pattern')"
    )
    query = f"""SELECT count(*), sum(CASE WHEN was_successful = 'true' THEN 1 ELSE 0 END)
        FROM ai_error_recovery WHERE strategy_name = 'retry' AND {trigger} = :name"""  # noqa: S608
    steps, worked = rows(site, query, name=NAME)[0]
    with site.visit() as page:
        page.goto(f"/errors/{NAME}")
        settled(page)
        remedies = page.get_by_role("region", name="What recovers it")
        row = remedies.get_by_role("row").filter(has=page.get_by_role("rowheader", name="Retry"))
        expect(row.get_by_role("cell").nth(1)).to_have_text(str(steps))
        label = row.get_by_role("img").get_attribute("aria-label") or ""
        rate, lowest, highest = (
            float(text) for text in re.findall(r"([\d.]+)%", label.replace("95% cert", ""))
        )
        assert rate == float(f"{100 * worked / steps:.1f}")
        assert lowest < rate < highest


def test_its_calls_are_linked(site: Site) -> None:
    with site.visit(ALL_TENANTS, Role.READER) as page:
        page.goto(f"/errors/{NAME}")
        settled(page)
        assert page.get_by_role("button", name="Resolve").count() == 0
        first = page.get_by_role("region", name="Latest calls").get_by_role("link").nth(1)
        name = first.inner_text()
        first.click()
        page.wait_for_url(f"**/calls/{name}*")


def test_a_tenant_is_told_neither_message_nor_history(site: Site) -> None:
    own = number(
        site,
        "SELECT failures FROM cajanegra_pattern_tenants WHERE pattern = :name AND tenant_id = 'globex'",
        name=NAME,
    )
    with site.visit("globex", Role.READER) as page:
        page.goto(f"/errors/{NAME}")
        settled(page)
        assert _figure(page, "Failures") == f"{own:,}"
        assert page.get_by_text("no answer within <*> s").count() == 0
        assert page.get_by_role("region", name="History").count() == 0


def test_patterns_are_merged_and_split(site: Site) -> None:
    count = "SELECT occurrence_count FROM ai_error_analysis WHERE error_pattern = :name"
    one, other = (number(site, count, name=name) for name in (NAME, "ovhcloud_timeout"))
    with site.visit() as page:
        page.goto("/errors/ovhcloud_timeout")
        settled(page)
        page.get_by_role("button", name="Merge into another").click()
        page.get_by_role("combobox", name="The pattern to merge it into").click()
        page.get_by_role("option", name=NAME, exact=True).click()
        page.get_by_role("button", name="Merge", exact=True).click()
        page.get_by_role("heading", level=1).get_by_text(NAME).wait_for()
        settled(page)
        assert _figure(page, "Failures") == f"{one + other:,}"
        page.get_by_role("button", name="Split ovhcloud_timeout off").click()
        page.get_by_role("heading", level=1).get_by_text("ovhcloud_timeout").wait_for()
    assert number(site, count, name=NAME) == one


def test_a_correction_that_makes_no_sense_is_refused(site: Site) -> None:
    with site.visit(allowed=("422",)) as page:
        page.goto(f"/errors/{NAME}")
        settled(page)
        page.get_by_text("Simplify", exact=True).click()
        page.get_by_role("textbox", name="Parameters to leave out").fill("response_format")
        page.get_by_role("button", name="Enable").click()
        page.get_by_text("'response_format' is never left out").wait_for()
    enabled = "SELECT auto_correction_enabled FROM ai_error_analysis WHERE error_pattern = :name"
    assert number(site, enabled, name=NAME) is None


def test_an_unknown_pattern_is_said_to_be_none(site: Site) -> None:
    with site.visit(allowed=("404",)) as page:
        page.goto("/errors/no_such")
        page.get_by_text("there is no error pattern of this name").wait_for()
