"""What is worth an alert."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cajanegra.alerts.rules import Rule, pattern_alerts, rule_alerts
from cajanegra.domain.alert import PATTERN_ALERTS, Alert, PatternState, Traffic

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def state(**known: Any) -> PatternState:
    usual: dict[str, Any] = {
        "pattern": "openai_rate_limit",
        "error_code": "rate_limit",
        "template": "Slow down <*>",
        "probable_cause": "Too many.",
        "suggested_action": "Fewer.",
        "marks": ("new",),
        "total": 3,
        "recent": 3,
        "expected": None,
        "first_occurred": NOW - timedelta(hours=1),
        "last_occurred": NOW,
        "regressed_at": None,
    }
    return PatternState(**(usual | known))


def alerts(rule: Rule, *traffic: Traffic) -> list[Alert]:
    return list(rule_alerts(rule, traffic, NOW))


def failed(count: int, provider: str = "openai", kind: str = "timeout", module: str | None = None) -> Traffic:
    return Traffic(provider, module, kind, f"{provider}_{kind}", count)


def answered(count: int, provider: str = "openai", module: str | None = None) -> Traffic:
    return Traffic(provider, module, None, None, count)


def test_an_alert_of_a_pattern_says_why_and_what_to_do() -> None:
    (found,) = pattern_alerts([state()], ["new"], NOW)
    assert (found.kind, found.subject, found.probable_cause, found.suggested_action) == (
        "new",
        "openai_rate_limit",
        "Too many.",
        "Fewer.",
    )


def test_only_the_marks_that_are_wanted_are_told() -> None:
    both = state(marks=("regressed", "escalating"), regressed_at=NOW)
    assert [found.kind for found in pattern_alerts([both], PATTERN_ALERTS, NOW)] == [
        "regressed",
        "escalating",
    ]
    assert [found.kind for found in pattern_alerts([both], ["escalating"], NOW)] == ["escalating"]
    assert not [*pattern_alerts([state(marks=("quiet",))], PATTERN_ALERTS, NOW)]


def test_a_pattern_is_new_once_and_comes_back_each_time() -> None:
    def episode(known: PatternState, now: datetime) -> str:
        (found,) = pattern_alerts([known], PATTERN_ALERTS, now)
        return found.episode

    later = NOW + timedelta(minutes=5)
    assert episode(state(), NOW) == episode(state(first_occurred=NOW), later)
    once, again = (state(marks=("regressed",), regressed_at=at) for at in (NOW, later))
    assert episode(once, NOW) == episode(once, later) != episode(again, later)


def test_so_many_failures_in_some_minutes() -> None:
    rule = Rule("many", minutes=5, failures=10)
    assert not alerts(rule, failed(9), answered(1000))
    (found,) = alerts(rule, failed(6), failed(4, "ollama"), answered(1000))
    assert (found.kind, found.subject, found.recent, found.attempts) == ("failures", "many", 10, 1010)
    assert (found.pattern, found.error_code) == ("openai_timeout", "timeout")


def test_a_share_of_failures_needs_enough_attempts() -> None:
    rule = Rule("bad", minutes=5, rate=0.5, min_attempts=10)
    assert not alerts(rule, failed(9))
    assert not alerts(rule, failed(4), answered(6))
    (found,) = alerts(rule, failed(5), answered(5))
    assert (found.kind, found.rate) == ("error_rate", 0.5)


def test_each_provider_or_module_is_looked_at_for_itself() -> None:
    traffic = (
        failed(8, "ollama", module="chat"),
        answered(2, "ollama", "chat"),
        answered(90, module="imports"),
    )
    (found,) = alerts(Rule("bad", minutes=5, rate=0.5, min_attempts=10, per="provider"), *traffic)
    assert (found.subject, found.provider, found.module) == ("bad/ollama", "ollama", None)
    (found,) = alerts(Rule("bad", minutes=5, rate=0.5, min_attempts=10, per="module"), *traffic)
    assert (found.subject, found.provider, found.module) == ("bad/chat", None, "chat")
    assert not alerts(Rule("bad", minutes=5, rate=0.5, min_attempts=10), *traffic)


def test_filters_say_which_attempts_and_which_failures_count() -> None:
    traffic = (failed(3), failed(3, kind="auth"), failed(3, "ollama"), failed(3, module="chat"))
    assert alerts(Rule("x", 5, failures=1, provider="ollama"), *traffic)[0].recent == 3
    assert alerts(Rule("x", 5, failures=1, error_code="auth"), *traffic)[0].recent == 3
    assert alerts(Rule("x", 5, failures=1, module="chat"), *traffic)[0].recent == 3
    assert alerts(Rule("x", 5, failures=1), *traffic)[0].recent == 12


def test_what_says_nothing_of_a_provider_counts_only_for_rules_that_name_it() -> None:
    traffic = failed(50, kind="interrupted"), failed(50, kind="cancelled")
    assert not alerts(Rule("x", 5, failures=1), *traffic)
    assert alerts(Rule("x", 5, failures=1, error_code="interrupted"), *traffic)[0].recent == 50


TRAFFIC = st.lists(
    st.builds(
        Traffic,
        st.sampled_from(["openai", "ollama"]),
        st.sampled_from([None, "chat"]),
        st.sampled_from([None, "timeout", "cancelled"]),
        st.sampled_from([None, "p1", "p2"]),
        st.integers(1, 50),
    )
)


@given(TRAFFIC, st.floats(0.01, 1), st.integers(1, 100), st.sampled_from([None, "provider", "module"]))
def test_an_alert_always_holds_what_its_rule_says(
    traffic: list[Traffic], rate: float, least: int, per: Any
) -> None:
    for found in alerts(Rule("x", 5, rate=rate, min_attempts=least, per=per), *traffic):
        assert found.attempts is not None
        assert found.rate is not None
        assert found.attempts >= least
        assert rate <= found.rate <= 1
