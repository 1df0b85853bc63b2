"""The recovery view shows the numbers that SQL gives."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import Site, settled
from browser.figures import FAILED, RECOVERED, milliseconds, number, rows

_STEPS = """SELECT strategy_name, was_successful, recovery_time_ms, recovery_result FROM ai_error_recovery
    WHERE request_log_id IN (SELECT id FROM ai_request_logs WHERE {within}%s)"""
_STRATEGIES = {"retry": "Retry", "fallback": "Fallback", "simplify": "Simplify"}


def _steps(site: Site, more: str = "") -> list[tuple[str, bool, int, Any]]:
    found = rows(site, _STEPS % more)
    return [
        (strategy, worked == "true", ms, json.loads(result) if isinstance(result, str) else result)
        for strategy, worked, ms, result in found
    ]


def _figure(page: Page, label: str) -> str:
    found = page.locator("dl > div").filter(has=page.get_by_text(label, exact=True)).locator("dd > *").first
    return found.inner_text()


def test_its_numbers_are_those_of_the_database(site: Site) -> None:
    steps = _steps(site)
    count = "SELECT count(*) FROM ai_request_logs WHERE {within}"
    failed, recovered = number(site, f"{count} AND {FAILED}"), number(site, f"{count} AND {RECOVERED}")
    worked = sum(success for _strategy, success, _ms, _result in steps)
    with site.visit() as page:
        page.goto(f"/recovery?range={site.range}")
        settled(page)
        assert _figure(page, "Failures") == str(len(steps) + failed)
        assert _figure(page, "Recovery steps") == str(len(steps))
        assert (
            _figure(page, "Steps that worked").rstrip("%") == f"{float(f'{100 * worked / len(steps):.1f}'):g}"
        )
        for label, value in (("Calls recovered", recovered), ("Calls given up", failed)):
            told = page.locator("dl > div").filter(has=page.get_by_text(label, exact=True))
            expect(told.locator("dd > *").first).to_have_text(str(value))


def test_every_failure_flows_from_its_kind_to_an_outcome(site: Site) -> None:
    ways = Counter(
        (result["trigger"]["kind"], _STRATEGIES[strategy], "Answered" if success else "Failed again")
        for strategy, success, _ms, result in _steps(site)
    )
    given_up = f"SELECT error_code, count(*) FROM ai_request_logs WHERE {{within}} AND {FAILED} GROUP BY 1"  # noqa: S608
    ways.update({(kind, "Nothing more", "Given up"): calls for kind, calls in rows(site, given_up)})
    with site.visit() as page:
        page.goto(f"/recovery?range={site.range}")
        settled(page)
        drawn = page.get_by_role("img", name=f"{ways.total()} failed attempts")
        expect(drawn).to_be_visible()
        for outcome in ("Answered", "Failed again", "Given up"):
            size = sum(calls for (_kind, _strategy, end), calls in ways.items() if end == outcome)
            expect(drawn.get_by_text(f"{outcome} {size}", exact=True)).to_be_visible()
        page.get_by_role("button", name="From failure to outcome: As a table").click()
        page.wait_for_url("**flow=table*")
        flow = page.get_by_role("region", name="From failure to outcome")
        listed = {
            tuple(cells[:3]): int(cells[3])
            for line in flow.get_by_role("row").all()[1:]
            if (cells := line.get_by_role("cell").all_inner_texts())
        }
        assert listed == dict(ways)


def test_strategies_are_judged_at_each_provider(site: Site) -> None:
    times: dict[tuple[str, str], list[int]] = {}
    for strategy, _success, ms, result in _steps(site, " AND tenant_id = 'acme'"):
        times.setdefault((_STRATEGIES[strategy], result["provider"]), []).append(ms)
    with site.visit("acme") as page:
        page.goto(f"/recovery?range={site.range}")
        settled(page)
        table = page.get_by_role("region", name="By strategy and provider")
        for (strategy, provider), taken in times.items():
            row = table.get_by_role("row").filter(has_text=strategy).filter(has_text=provider)
            expect(row).to_be_visible()
            cells = row.get_by_role("cell").all_inner_texts()
            median = sorted(taken)[(len(taken) + 1) // 2 - 1]
            assert cells[1] == str(len(taken))
            # Counts per hour know it within 1 %, and three digits are shown.
            assert median == pytest.approx(milliseconds(cells[3]), rel=0.015)


def test_it_says_that_nothing_had_to_be_recovered(site: Site) -> None:
    with site.visit() as page:
        page.goto("/recovery?range=2020-01-01T00:00Z..2020-01-02T00:00Z")
        page.get_by_text("No attempt failed in this time").wait_for()
        page.get_by_text("No correction is enabled").wait_for()
