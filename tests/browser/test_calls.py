"""The list of calls: narrowed, searched, paged in both directions, followed live."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote

from playwright.sync_api import Page, expect

from browser.conftest import Site, settled
from browser.figures import number, rows
from cajanegra.domain.principal import ALL_TENANTS
from records import call_record, write_now


def _facet(page: Page, title: str, value: str) -> str:
    group = page.locator("section").filter(has=page.get_by_role("heading", name=title, exact=True))
    return group.get_by_role("button", name=value).inner_text().replace("\n", " ")


def test_facets_count_as_sql_does_and_narrow_the_list(site: Site) -> None:
    query = "SELECT count(*) FROM ai_request_logs WHERE {within} AND provider_used = 'openai'"
    openai, imports = number(site, query), number(site, f"{query} AND module = 'imports'")
    with site.visit() as page:
        page.goto(f"/calls?range={site.range}")
        settled(page)
        assert _facet(page, "Provider", "openai") == f"openai {openai}"
        page.get_by_role("button", name=f"openai {openai}").click()
        page.get_by_text(f"{openai} calls, all there are").wait_for()
        page.get_by_role("button", name=f"imports {imports}").click()
        page.get_by_text(f"{imports} calls, all there are").wait_for()
        assert "provider=openai" in page.url
        assert "module=imports" in page.url
        page.get_by_role("button", name="Remove filter Module").click()
        page.get_by_text(f"{openai} calls, all there are").wait_for()


def test_the_url_holds_the_whole_view(site: Site) -> None:
    (code, count), *_ = rows(
        site,
        "SELECT error_code, count(*) FROM ai_request_logs WHERE {within} AND error_code IS NOT NULL "
        "GROUP BY 1 ORDER BY 2 DESC, 1",
    )
    with site.visit() as page:
        page.goto(f"/calls?range={site.range}&error_code={code}&columns=time,error,request_id")
        page.get_by_text(f"{count} calls, all there are").wait_for()
        heads = page.get_by_role("columnheader").all_inner_texts()
        assert heads == ["Begun", "Message", "Request id"]
        page.get_by_role("button", name="Saved views").click()
        page.get_by_role("textbox", name="Name").fill("mine")
        page.get_by_role("button", name="Save this view").click()
        url = page.url
        page.keyboard.press("Escape")
        page.get_by_role("link", name="Overview").click()
        page.get_by_role("link", name="Calls", exact=True).first.click()
        page.get_by_role("button", name="Saved views").click()
        page.get_by_role("button", name="mine", exact=True).click()
        page.wait_for_url(lambda now: unquote(now) == unquote(url))


def test_words_are_searched_for(site: Site) -> None:
    with site.visit() as page:
        page.goto(f"/calls?range={site.range}")
        page.get_by_role("searchbox").fill("DOC-00007")
        page.keyboard.press("Enter")
        page.get_by_text("1 calls, all there are").wait_for()
        page.get_by_role("searchbox").fill("nobody said this")
        page.keyboard.press("Enter")
        page.get_by_text("No call matches").wait_for()


def test_every_call_is_reached_by_scrolling_and_by_keys(site: Site) -> None:
    total = number(site, "SELECT count(*) FROM ai_request_logs WHERE {within}")
    (oldest,) = rows(
        site, "SELECT request_id FROM ai_request_logs WHERE {within} ORDER BY created_at LIMIT 1"
    )[0]
    with site.visit() as page:
        page.goto(f"/calls?range={site.range}&columns=time,request_id")
        settled(page)
        grid = page.get_by_role("grid")
        grid.focus()
        for _ in range(3):  # pages are asked for as the end comes near
            page.keyboard.press("End")
            settled(page)
        page.get_by_text(f"{total} calls, all there are").wait_for()
        page.keyboard.press("End")
        expect(page.get_by_role("gridcell", name=oldest, exact=True)).to_be_visible()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name=oldest, level=1).wait_for()


def test_calls_are_followed_as_they_are_written(site: Site) -> None:
    names = [f"live-{site.database.dialect}-{n}" for n in range(3)]
    now = datetime.now(UTC)
    with site.visit(ALL_TENANTS) as page:
        with page.expect_response("**/live?*"):
            page.goto("/calls?live=on&columns=time,request_id&module=followed")
        page.wait_for_timeout(600)  # the stream is complete from its "begin" on, which nobody sees
        write_now(site.database, call_record(names[0], created_at=now, module="followed"))
        expect(page.get_by_role("gridcell", name=names[0], exact=True)).to_be_visible()
        page.get_by_role("button", name="Pause").click()
        write_now(site.database, call_record(names[1], created_at=now, module="followed"))
        write_now(site.database, call_record(names[2], created_at=now, module="other"))
        page.get_by_text("1 new call waits").wait_for()
        assert page.get_by_role("gridcell", name=names[1]).count() == 0
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("gridcell", name=names[1], exact=True)).to_be_visible()
        assert page.get_by_role("gridcell", name=names[2]).count() == 0
