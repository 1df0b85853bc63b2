"""The overview shows the numbers that SQL gives, and each of them leads to its calls."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import Site, settled
from browser.figures import FAILED, RECOVERED, milliseconds, number, percentile, rows

_COUNT = "SELECT count(*) FROM ai_request_logs WHERE {within}"


def _figure(page: Page, label: str) -> str:
    found = (
        page.locator("dl > div").filter(has=page.get_by_text(label, exact=True)).locator("dd > a, dd > span")
    )
    return found.first.inner_text()


def test_its_numbers_are_those_of_the_database(site: Site) -> None:
    total, failed = number(site, _COUNT), number(site, f"{_COUNT} AND {FAILED}")
    recovered = number(site, f"{_COUNT} AND {RECOVERED}")
    with site.visit() as page:
        page.goto(f"/?range={site.range}")
        settled(page)
        assert _figure(page, "Calls") == f"{total:,}"
        assert _figure(page, "Failure rate") == _share(failed / total)
        assert _figure(page, "Recovered") == _share(recovered / (failed + recovered))
        page.get_by_text(f"{failed} calls without an answer").wait_for()
        for label, share in (("Time, p50", 0.5), ("Time, p95", 0.95), ("Time, p99", 0.99)):
            exact = percentile(site, share)  # counts per hour know it within 1 %, and three digits are shown
            assert exact == pytest.approx(milliseconds(_figure(page, label)), rel=0.015)
        for by, column in (("provider", "provider_used"), ("module", "module"), ("tenant", "tenant_id")):
            page.get_by_role("radiogroup", name="Grouped by").get_by_text(by, exact=True).click()
            table = page.get_by_role("group", name=f"Calls by {by}")
            groups = f"SELECT {column}, count(*) FROM ai_request_logs WHERE {{within}} GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608
            for value, calls in rows(site, groups):
                line = table.get_by_role("row").filter(
                    has=page.get_by_role("rowheader", name=value, exact=True)
                )
                expect(line.get_by_role("cell").first).to_have_text(f"{calls:,}")
        assert "by=tenant" in page.url


def test_every_number_leads_to_its_calls(site: Site) -> None:
    failed = number(site, f"{_COUNT} AND {FAILED}")
    of_globex = number(site, f"{_COUNT} AND {FAILED} AND tenant_id = 'globex'")
    with site.visit() as page:
        page.goto(f"/?range={site.range}&by=tenant")
        page.locator("dl").get_by_role("link").nth(1).click()
        expect(page.get_by_text(f"{failed} calls, all there are")).to_be_visible()
        page.go_back()
        line = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="globex"))
        line.get_by_role("link", name=str(of_globex), exact=True).first.click()
        expect(page.get_by_text(f"{of_globex} calls, all there are")).to_be_visible()
        assert "tenant=globex" in page.url
        expect(page.get_by_role("combobox", name="Tenant")).to_have_value("globex")


def test_a_stroke_over_a_chart_narrows_the_range(site: Site) -> None:
    with site.visit() as page:
        page.goto(f"/?range={site.range}")
        settled(page)
        chart = page.get_by_role("img", name="Calls by outcome")
        place = chart.locator(".u-over").bounding_box()
        assert place
        y = place["y"] + place["height"] / 2
        page.mouse.move(place["x"] + place["width"] * 0.25, y)
        page.mouse.down()
        page.mouse.move(place["x"] + place["width"] * 0.5, y, steps=4)
        page.mouse.up()
        page.wait_for_url(lambda url: site.range not in url)
        begin, _, end = re.findall(r"range=([^&]*)", page.url)[0].replace("%3A", ":").partition("..")
        assert f"{site.since:%Y-%m-%dT%H:%M}" < begin < end < f"{site.until:%Y-%m-%dT%H:%M}"
        settled(page)
        page.go_back()
        page.wait_for_url(lambda url: site.range in unquote(url))


def test_the_charts_can_be_read_without_seeing_them(site: Site) -> None:
    total = number(site, "SELECT count(*) FROM ai_request_logs WHERE {within}")
    with site.visit() as page:
        page.goto(f"/?range={site.range}")
        settled(page)
        page.get_by_role("button", name="Calls by outcome: As a table").click()
        cells = page.get_by_role("table", name="Calls by outcome").get_by_role("cell").all_inner_texts()
        assert sum(int(text) for text in cells if text.isdigit()) == total
        page.get_by_role("button", name="Calls by outcome: As a chart").click()
        chart = page.get_by_role("img", name="Calls by outcome")
        chart.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.wait_for_url("**/calls?*")


def _share(value: float) -> str:
    return f"{float(f'{value * 100:.1f}'):g}%"
