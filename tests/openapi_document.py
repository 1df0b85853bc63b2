"""The OpenAPI document, which the dashboard's client is generated from: ``make openapi`` writes it down."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cajanegra import Settings
from cajanegra.server import create_app

PATH = Path(__file__).parent.parent / "dashboard" / "openapi.json"


def document() -> str:
    """The document of this version as the file has it."""
    app = create_app(Settings(database={"url": "sqlite:///nowhere.sqlite"}))
    return json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"wrote {PATH}\n")
