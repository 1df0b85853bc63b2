"""First load, long tasks, scrolling, live tail, as Chromium measures them: ``make bench-dashboard``."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from api_service import served
from benchmarks.scale.rows import BEGIN, END, fill
from browser.conftest import CHROMIUM, settled
from cajanegra.storage import migrate
from cajanegra.storage.database import Database
from cajanegra.storage.rollups.rebuilding import rebuild
from records import call_record, write_now

MAX_BYTES = 350 * 1024
MAX_INTERACTIVE = 1_000
MAX_TASK = 100
SCROLLED = 100_000
TAIL_PER_SECOND = 200
TAIL_SECONDS = 15
_RANGE = f"{BEGIN:%Y-%m-%dT%H:%M:%SZ}..{END:%Y-%m-%dT%H:%M:%SZ}"
_WATCH = """
window.tasks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.tasks.push(entry.duration);
}).observe({ type: "longtask", buffered: true });
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite:///{directory / 'calls.db'}"
        with Database(url) as database:
            migrate.upgrade(database)
            fill(database, arguments.rows)
            rebuild(database, END)
        service = stack.enter_context(served("standalone", url))
        playwright = stack.enter_context(sync_playwright())
        program = next(filter(None, map(shutil.which, CHROMIUM)))
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = browser.new_context(base_url=service.url, viewport={"width": 1280, "height": 860})
        context.set_default_timeout(120_000)
        context.add_init_script(_WATCH)
        page = context.new_page()
        print(f"{arguments.rows:,} calls, SQLite, {browser.version}")
        _first_load(page)
        _interactions(page)
        _scroll(page, min(SCROLLED, arguments.rows))
        _tail(page, service.database)
        browser.close()


def _first_load(page: Page) -> None:
    for name in ("cold", "warm"):
        page.goto(f"/?range={_RANGE}")
        page.locator("dl dd").first.wait_for()
        shown = page.evaluate("performance.now()")
        settled(page)
        entries: list[dict[str, Any]] = page.evaluate(
            "performance.getEntriesByType('resource').map((one) => "
            "({ name: one.name, size: one.encodedBodySize, sent: one.transferSize }))"
        )
        size = sum(entry["size"] for entry in entries if entry["name"].endswith(".js"))
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        print(f"first load, {name}: {_judged(size / 1024, MAX_BYTES / 1024)} KiB of JavaScript, compressed")
        print(f"  first paint after {paint:.0f} ms, numbers after {_judged(shown, MAX_INTERACTIVE)} ms")
        _print_tasks(page, "  longest task")


def _interactions(page: Page) -> None:
    for name in ("model", "module", "tenant"):
        page.evaluate("window.tasks = []")
        page.get_by_role("radiogroup", name="Grouped by").get_by_text(name, exact=True).click()
        settled(page)
        _print_tasks(page, f"group by {name}: longest task")


def _scroll(page: Page, rows: int) -> None:
    page.goto(f"/calls?range={_RANGE}&columns=time,request_id,status,tenant,model,duration")
    settled(page)
    lost: list[str] = []  # of this view: leaving another one ends what it had asked for
    page.on("requestfailed", lambda request: lost.append(f"{request.url} {request.failure}"))
    page.evaluate("window.tasks = []")
    grid = page.get_by_role("grid")
    begin, loaded, pages = time.monotonic(), 0, 0
    while loaded < rows:
        grid.evaluate("(element) => { element.scrollTop = element.scrollHeight; }")
        page.wait_for_timeout(10)
        height = grid.evaluate("(element) => element.scrollHeight")
        loaded, pages = int(height // 34) - 1, pages + 1
    seconds = time.monotonic() - begin
    print(f"scrolled {loaded:,} rows in {seconds:.1f} s, {len(lost)} requests failed", *lost)
    _print_tasks(page, "  longest task")
    heap = page.evaluate("performance.memory.usedJSHeapSize")
    print(f"  {heap / 2**20:.0f} MiB of memory")


def _tail(page: Page, database: Database) -> None:
    page.goto("/calls?live=on&columns=time,request_id")
    page.wait_for_timeout(2_000)
    page.evaluate("window.tasks = []")
    writing = threading.Thread(target=_write, args=(database,))
    writing.start()
    writing.join()
    total = TAIL_PER_SECOND * TAIL_SECONDS
    expect(page.get_by_text(f"Following: {total:,} calls so far")).to_be_visible(timeout=20_000)
    print(f"live tail: {total:,} calls in {TAIL_SECONDS} s, all shown")
    _print_tasks(page, "  longest task")


def _write(database: Database) -> None:
    begin = time.monotonic()
    for tick in range(TAIL_SECONDS * 5):
        now = datetime.now(UTC)
        some = range(TAIL_PER_SECOND // 5)
        write_now(database, *(call_record(f"tail-{tick}-{n}", created_at=now) for n in some))
        time.sleep(max(0.0, begin + (tick + 1) / 5 - time.monotonic()))


def _print_tasks(page: Page, label: str) -> None:
    tasks: list[float] = page.evaluate("window.tasks")
    over = sum(task > MAX_TASK for task in tasks)
    print(f"{label} {_judged(max(tasks, default=0.0), MAX_TASK)} ms, {over} over {MAX_TASK} ms")


def _judged(value: float, most: float) -> str:
    return f"{value:.0f} (at most {most:.0f}: {'yes' if value <= most else 'NO'})"


if __name__ == "__main__":
    main()
