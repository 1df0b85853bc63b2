"""One call, with its attempts to scale, its text, and its neighbours."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from browser.conftest import Site, settled
from browser.figures import duration, number, rows
from cajanegra.domain.principal import ALL_TENANTS, Role


def test_its_attempts_are_drawn_to_scale(site: Site) -> None:
    request_id, total, steps = rows(
        site,
        "SELECT l.request_id, l.processing_time_ms, sum(r.recovery_time_ms) FROM ai_request_logs l "
        "JOIN ai_error_recovery r ON r.request_log_id = l.id WHERE {within} "
        "GROUP BY l.request_id, l.processing_time_ms HAVING count(*) = 2 ORDER BY 1 LIMIT 1".replace(
            "{within}", "l.created_at >= :since AND l.created_at < :until"
        ),
    )[0]
    with site.visit() as page:
        page.goto(f"/calls/{request_id}")
        settled(page)
        bars = page.locator("ol li").get_by_role("img")
        assert bars.count() == 3
        page.get_by_text(f"to scale, {duration(total)} in all").wait_for()
        first = bars.first.locator("span").nth(1).bounding_box()
        track = bars.first.bounding_box()
        assert first
        assert track
        assert (
            first["width"] / track["width"] == round((total - steps) / total, 9)
            or abs(first["width"] / track["width"] - (total - steps) / total) < 0.01
        )


def test_content_is_shown_as_chat_and_as_json(site: Site) -> None:
    with site.visit() as page:
        page.goto("/calls/call-000010")
        page.get_by_text("You are the assistant of an ERP. Answer briefly.").wait_for()
        page.get_by_text("JSON", exact=True).click()
        shown = json.loads(page.get_by_label("Prompt and answer").locator("pre").inner_text())
        assert shown["prompt"][0]["role"] == "system"
        assert page.url.endswith("tab=json")
        page.goto("/calls/call-000011")
        page.get_by_text("Not captured").wait_for()


def test_neighbours_are_those_of_the_list(site: Site) -> None:
    failed = [
        name
        for (name,) in rows(
            site,
            "SELECT request_id FROM ai_request_logs WHERE {within} AND status = 'error' ORDER BY created_at DESC",
        )
    ]
    with site.visit() as page:
        page.goto(f"/calls?range={site.range}&status=error&columns=request_id")
        page.get_by_role("link", name=failed[0], exact=True).click()
        page.get_by_role("heading", name=failed[0], level=1).wait_for()
        expect(page.get_by_role("button", name="Newer call")).to_be_disabled()
        page.get_by_role("button", name="Older call").click()
        page.get_by_role("heading", name=failed[1], level=1).wait_for()
        settled(page)
        page.keyboard.press("j")
        page.get_by_role("heading", name=failed[2], level=1).wait_for()
        page.get_by_role("link", name="All calls").click()
        page.get_by_text(f"{len(failed)} calls, all there are").wait_for()


def test_a_call_is_copied_as_a_command(site: Site) -> None:
    with site.visit() as page:
        page.goto("/calls/call-000010")
        page.get_by_role("button", name="Copy as curl").click()
        command = page.evaluate("navigator.clipboard.readText()")
        assert "/v1/chat/completions" in command
        assert "supplier 4711" in command


def test_feedback_comes_into_the_record(site: Site) -> None:
    with site.visit() as page:
        page.goto("/calls/call-000012")
        page.get_by_text("Bad answer").click()
        page.get_by_label("The right answer").fill("invoice, not receipt")
        page.get_by_role("button", name="Send feedback").click()
        page.get_by_text("Kept. It is in the record in a moment.").wait_for()
    query = "SELECT correction_applied FROM ai_request_logs WHERE request_id = 'call-000012'"
    for _ in range(100):
        if number(site, query) == "invoice, not receipt":
            break
        with site.visit(None) as page:
            page.wait_for_timeout(50)
    assert number(site, query) == "invoice, not receipt"


def test_a_call_that_is_not_there_is_said_to_be_none(site: Site) -> None:
    with site.visit(ALL_TENANTS, Role.READER, allowed=("404",)) as page:
        page.goto("/calls/nothing")
        page.get_by_text("There is no such call").wait_for()
