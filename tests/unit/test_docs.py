"""The reference pages say what the code has: every setting, every failure kind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cajanegra.domain.call import CallStatus
from cajanegra.domain.failure import FailureKind
from cajanegra.settings import sections

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("[database]", sections.Database),
        ("[[providers]]", sections.Provider),
        ("[[providers.endpoints]]", sections.Endpoint),
        ("[recovery]", sections.Recovery),
        ("[capture]", sections.Capture),
        ("[spool]", sections.Spool),
        ("[server]", sections.Server),
        ("[retention]", sections.Retention),
        ("[[retention.rules]]", sections.RetentionRule),
        ("[knowledge]", sections.Knowledge),
        ("[[knowledge.entries]]", sections.KnowledgeEntry),
        ("[alerts]", sections.Alerts),
        ("[[alerts.targets]]", sections.AlertTarget),
        ("[[alerts.rules]]", sections.AlertRule),
    ],
)
def test_every_setting_is_documented(heading: str, section: type[sections.Database]) -> None:
    page = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    text = page.partition(f"## `{heading}`")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
    assert sorted(documented) == sorted(section.__struct_fields__)


def test_every_failure_kind_and_status_is_in_the_glossary() -> None:
    page = (REFERENCE / "glossary.md").read_text(encoding="utf-8")
    for word in (*FailureKind, *CallStatus):
        assert f"`{word}`" in page
