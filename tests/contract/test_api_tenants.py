"""Whatever the others have, a tenant's answers are byte for byte the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from api_service import Service, emptied
from cajanegra.domain.record import CallRecord
from cajanegra.errors import UsageError
from cajanegra.storage.pattern_changes import set_status
from records import NOW, call_record, occurrence, step_record, write

OURS = "acme"
LATER = timedelta(hours=2)
_SINCE, _UNTIL = NOW - timedelta(hours=3), NOW + timedelta(hours=1)
_WINDOW = f"since={_SINCE:%Y-%m-%dT%H:%M:%SZ}&until={_UNTIL:%Y-%m-%dT%H:%M:%SZ}"
_PATTERNS = ("ollama_timeout", "openai_rate_limit")
_IDS = ("a", "b", "c", "errors", "x" * 60)
_PATHS = (
    "?limit=2",
    "?status=error",
    "?outcome=recovered",
    "?outcome=failed",
    "?q=secret",
    "?pattern=ollama_timeout",
    *(f"/{name}" for name in _IDS),
    *(f"/{name}/neighbours" for name in _IDS),
    f"/facets?{_WINDOW}",
    f"/recent?{_WINDOW}",
    f"/slow?{_WINDOW}",
    *(f"/statistics?{_WINDOW}&group_by={by}" for by in ("provider", "model", "tenant", "error_code")),
    f"/timeseries?{_WINDOW}&bucket=15m&group_by=module",
    f"/providers?{_WINDOW}",
    *(f"/statistics/usage?{_WINDOW}&group_by={by}" for by in ("model", "user")),
    "/storage",
    "/recoveries?limit=1",
    f"/recoveries/flow?{_WINDOW}",
    f"/recoveries/targets?{_WINDOW}",
    "/recoveries/corrections",
    f"/recoveries/statistics?{_WINDOW}",
    *(f"/errors?sort={sort}&limit=1" for sort in ("count", "last", "first")),
    "/errors?sort=trend",
    "/errors?status=open",
    "/errors?text=secret",
    *(f"/errors/{name}" for name in _PATTERNS),
    *(f"/errors/{name}/{of}" for name in _PATTERNS for of in (f"hours?{_WINDOW}", "remedies")),
    "/export",
    "/export?format=csv",
)


def calls(tenants: Sequence[str | None]) -> st.SearchStrategy[CallRecord]:
    def call(
        tenant: str | None,
        name: str,
        minutes: int,
        status: str,
        module: str | None,
        patterns: list[str],
        ms: int,
    ) -> CallRecord:
        at = NOW - timedelta(minutes=minutes)
        met = [occurrence(name, at=at) for name in patterns]
        failed = status in ("error", "timeout")
        return call_record(
            name,
            tenant_id=tenant,
            created_at=at,
            status=status,
            module=module,
            processing_time_ms=ms,
            error_code="timeout" if failed else None,
            error_message=f"the secret of {tenant}" if failed else None,
            fallback_used="openai" if status == "fallback" else None,
            steps=[step_record(i) for i in range(1, len(met) + 1)],
            occurrences=met,
            request_metadata={"given_request_id": "z"} if ms == 7 else {},
            response_metadata={
                "attempts": 1,
                "patterns": patterns,
                "cost": ms / 1000,
                "cost_currency": "USD",
            },
        )

    return st.builds(
        call,
        st.sampled_from(tenants),
        st.sampled_from(_IDS),
        st.sampled_from([0, 1, 1, 30, 90]),
        st.sampled_from(["success", "fallback", "error", "timeout"]),
        st.sampled_from([None, "imports"]),
        st.lists(st.sampled_from(_PATTERNS), max_size=2),
        st.sampled_from([5, 7, 400]),
    )


@settings(
    max_examples=4,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a smaller example would take long to find
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    own=st.lists(calls([OURS]), min_size=1, max_size=5),
    before=st.lists(calls(["globex", None]), min_size=1, max_size=5),
    beside=st.lists(calls(["globex", "initech"]), max_size=3),
    after=st.lists(calls(["globex", OURS]), max_size=4),
    resolved=st.booleans(),
)
def test_a_tenants_answers_do_not_depend_on_the_others(
    running_service: Service,
    own: list[CallRecord],
    before: list[CallRecord],
    beside: list[CallRecord],
    after: list[CallRecord],
    resolved: bool,
) -> None:
    later = _later(after)
    ours = [call for call in later if call.tenant_id == OURS]
    alone = _answers(running_service, [own], ours, resolved=resolved)
    among = _answers(running_service, [before, [*beside[:1], *own, *beside[1:]]], later, resolved=resolved)
    different = {
        path: (alone.get(path), answer) for path, answer in among.items() if answer != alone.get(path)
    }
    assert different == {}
    assert among.keys() == alone.keys()


def _later(calls: Sequence[CallRecord]) -> list[CallRecord]:
    """The same, begun after something was decided."""
    return [
        replace(
            call,
            request_id=f"later-{number}",
            created_at=call.created_at + LATER.total_seconds(),
            occurrences=[replace(met, at=met.at + LATER) for met in call.occurrences],
        )
        for number, call in enumerate(calls)
    ]


def _answers(
    service: Service, batches: Sequence[Sequence[CallRecord]], after: Sequence[CallRecord], *, resolved: bool
) -> Mapping[str, tuple[int, bytes]]:
    emptied(service)
    for batch in batches:
        write(service.database, *batch)
    for name in _PATTERNS if resolved else ():
        with suppress(UsageError):  # nobody met it
            set_status(service.database, name, "resolved", NOW + timedelta(minutes=2))
    for call in after:
        write(service.database, call, at=NOW + LATER)
    found = {}
    with service.client(OURS) as client:
        client.client.headers["X-Request-Id"] = "the-same"
        for path in _PATHS:
            answer = client.get(path)
            found[path] = (answer.status_code, answer.content)
        page = client.get("?limit=2").json()
        while page["next_cursor"]:
            answer = client.get("", params={"limit": 2, "cursor": page["next_cursor"]})
            found[page["next_cursor"]] = (answer.status_code, answer.content)
            page = answer.json()
    return found
