"""The reference pages say what the code has: every setting, every failure kind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cajanegra import settings
from cajanegra.domain.call import CallStatus
from cajanegra.domain.failure import FailureKind

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("[database]", settings.Database),
        ("[[providers]]", settings.Provider),
        ("[recovery]", settings.Recovery),
        ("[capture]", settings.Capture),
        ("[spool]", settings.Spool),
        ("[retention]", settings.Retention),
        ("[knowledge]", settings.Knowledge),
        ("[[knowledge.entries]]", settings.KnowledgeEntry),
    ],
)
def test_every_setting_is_documented(heading: str, section: type[settings.Database]) -> None:
    page = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    text = page.partition(f"## `{heading}`")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
    assert sorted(documented) == sorted(section.__struct_fields__)


def test_every_failure_kind_and_status_is_in_the_glossary() -> None:
    page = (REFERENCE / "glossary.md").read_text(encoding="utf-8")
    for word in (*FailureKind, *CallStatus):
        assert f"`{word}`" in page
