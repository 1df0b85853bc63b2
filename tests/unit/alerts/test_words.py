"""What alerts say to people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from cajanegra.alerts.words import WORDS, Language, details, title
from cajanegra.domain.alert import Alert, AlertKind, Delivery

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def full(kind: AlertKind) -> Alert:
    return Alert(
        kind=kind,
        subject="s",
        at=NOW,
        pattern="openai_rate_limit",
        template="Slow down",
        probable_cause="Because.",
        suggested_action="Do.",
        total=7,
        first_occurred=NOW,
        last_occurred=NOW,
        recent=5,
        expected=1.0,
        rule="night",
        provider="openai",
        minutes=5,
        attempts=10,
    )


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("kind", get_args(AlertKind))
def test_every_alert_is_told_in_every_language(kind: AlertKind, language: Language) -> None:
    said = "\n".join(
        [title(full(kind), language), *details(Delivery("1", "ops", full(kind), more=3), language)]
    )
    assert "Because." in said
    assert "{" not in said
    assert "None" not in said


def test_the_languages_have_the_same_words() -> None:
    assert WORDS["en"].keys() == WORDS["es"].keys()


def test_a_rate_is_told_in_percent_with_its_place() -> None:
    assert title(full("error_rate"), "en") == "night: 50% of 10 attempts failed in 5 min, provider openai"
    assert title(full("error_rate"), "es") == "night: falló el 50% de 10 intentos en 5 min, proveedor openai"
