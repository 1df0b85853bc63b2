"""Models and cost shows the numbers that SQL gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import Site, settled
from browser.figures import rows

_CALLS = "SELECT {column}, status, tokens_used, response_metadata FROM ai_request_logs WHERE {within}"


def _calls(site: Site, column: str) -> list[tuple[str, str, int, dict[str, Any]]]:
    found = rows(site, _CALLS.replace("{column}", column))
    return [
        (value, status, tokens or 0, json.loads(told) if isinstance(told, str) else told)
        for value, status, tokens, told in found
    ]


def _compact(value: float) -> str:
    if value < 1000:
        return f"{value:g}"
    for size, unit in ((1_000_000, "M"), (1000, "K")):
        if value >= size:
            return f"{float(f'{value / size:.3g}'):g}{unit}"
    raise AssertionError(value)


def _figure(page: Page, label: str) -> str:
    found = page.locator("dl > div").filter(has=page.get_by_text(label, exact=True)).locator("dd > *").first
    return found.inner_text()


@pytest.mark.parametrize(
    ("by", "column"),
    [
        ("Model", "provider_model"),
        ("Provider", "provider_used"),
        ("Tenant", "tenant_id"),
        ("User", "user_id"),
    ],
)
def test_its_numbers_are_those_of_the_database(site: Site, by: str, column: str) -> None:
    calls = _calls(site, column)
    with site.visit() as page:
        page.goto(f"/models?range={site.range}")
        settled(page)
        page.get_by_role("radiogroup", name="Grouped by").get_by_text(by, exact=True).click()
        settled(page)
        assert _figure(page, "Tokens") == _compact(sum(tokens for *_rest, tokens, _told in calls))
        table = page.get_by_role("region", name=f"By {by.lower()}")
        for value in sorted({value for value, *_rest in calls})[:6]:
            own = [one for one in calls if one[0] == value]
            row = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name=value, exact=True))
            expect(row.get_by_role("cell").first).to_have_text(f"{len(own):,}")
            cells = row.get_by_role("cell").all_inner_texts()
            assert cells[1] == _compact(sum(tokens for *_value, tokens, _told in own))
            for place, key in ((2, "input_tokens"), (3, "cached_tokens"), (4, "output_tokens")):
                assert cells[place] == _compact(sum(told.get(key, 0) for *_value, told in own)), key
            cost = sum(told.get("cost", 0) for *_value, told in own)
            assert cells[6] == (f"${float(f'{cost:.3g}'):g}" if cost else "\N{EN DASH}")


def test_unknown_prices_are_listed(site: Site) -> None:
    unpriced = [
        tokens
        for _model, status, tokens, told in _calls(site, "provider_model")
        if status in ("success", "fallback") and "cost" not in told
    ]
    with site.visit() as page:
        page.goto(f"/models?range={site.range}")
        settled(page)
        row = page.get_by_role("region", name="Unknown prices").get_by_role("row").filter(has_text="ollama")
        cells = row.get_by_role("cell").all_inner_texts()
        assert cells[1:] == ["llama3.2", str(len(unpriced)), _compact(sum(unpriced))]
        row.get_by_role("link", name="llama3.2").click()
        page.wait_for_url("**/calls?*model=llama3.2*")


def test_cost_over_time_adds_up(site: Site) -> None:
    cost = sum(told.get("cost", 0) for *_rest, told in _calls(site, "provider_model"))
    with site.visit() as page:
        page.goto(f"/models?range={site.range}&measure=cost")
        settled(page)
        page.get_by_role("button", name="Cost over time: As a table").click()
        cells = page.get_by_role("table", name="Cost over time").get_by_role("cell").all_inner_texts()
        shown = sum(float(text[1:]) for text in cells if text.startswith("$"))
        assert shown == pytest.approx(cost, rel=0.02)


def test_a_tenant_is_not_grouped_by_tenants(site: Site) -> None:
    with site.visit("acme") as page:
        page.goto(f"/models?range={site.range}")
        settled(page)
        expect(page.get_by_role("radiogroup", name="Grouped by")).to_have_text("ModelProviderUser")
        page.goto("/models?range=2020-01-01T00:00Z..2020-01-02T00:00Z")
        page.get_by_text("No call in this time").wait_for()
