"""Pictures of every view in both themes and languages, to be looked at: ``make screenshots``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

from playwright.sync_api import sync_playwright
from sqlalchemy import text

from api_service import served
from browser.conftest import CHROMIUM, Language, Site, Theme, settled
from browser.seeded import seed
from cajanegra.storage import migrate
from cajanegra.storage.database import Database

VIEWS = {
    "overview": "/",
    "calls": "/calls",
    "call": "/calls/{call}",
    "errors": "/errors",
    "pattern": "/errors/ollama_rate_limit",
    "recovery": "/recovery",
    "models": "/models",
    "health": "/status",
    "settings": "/settings",
}
_TROUBLED = """
SELECT l.request_id FROM ai_request_logs l JOIN ai_error_recovery r ON r.request_log_id = l.id
JOIN cajanegra_contents c ON c.request_log_id = l.id GROUP BY l.request_id ORDER BY count(*) DESC, 1 LIMIT 1
"""
CALLS = 2_000
HOURS = 26.0
SIZES = {"wide": (1280, 860), "narrow": (390, 844)}


def main(into: Path) -> None:
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        url = f"sqlite:///{Path(directory) / 'calls.db'}"
        with Database(url) as database:
            migrate.upgrade(database)
        service = stack.enter_context(served("standalone", url))
        now = datetime.now(UTC)
        seed(service.database, now=now, calls=CALLS, hours=HOURS)
        playwright = stack.enter_context(sync_playwright())
        program = next(filter(None, map(shutil.which, CHROMIUM)))
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        site = Site(service, browser, now - timedelta(hours=HOURS), now)
        with service.database.engine.connect() as connection:
            call = connection.execute(text(_TROUBLED)).scalar_one()
        for size in SIZES:
            for theme in get_args(Theme):
                for language in get_args(Language):
                    _take(site, into, size, theme, language, call)
        browser.close()


def _take(site: Site, into: Path, size: str, theme: Theme, language: Language, call: str) -> None:
    width, height = SIZES[size]
    with site.visit(theme=theme, language=language, width=width, height=height) as page:
        for name, path in VIEWS.items():
            page.goto(path.format(call=call))
            settled(page)
            page.wait_for_timeout(300)  # until the charts are drawn
            page.screenshot(path=into / f"{name}-{size}-{theme}-{language}.png", full_page=name != "calls")


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    main(directory)
    sys.stdout.write(f"look at {directory}\n")
