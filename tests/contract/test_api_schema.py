"""The OpenAPI document is true: whatever it allows to send, nothing is answered that it does not say."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api_service import LOGS, Service
from cajanegra.domain.principal import ALL_TENANTS, Role
from records import call_record, recovered_call, write_now

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_ENDLESS = f"{LOGS}/live"
"""Its answer never ends; its own tests read it."""


@schemathesis.serializer("application/x-ndjson")
def as_lines(_context: Any, value: Any) -> bytes:
    return str(value).encode(errors="replace")


# schemathesis asks the random module while it makes a case, which Hypothesis warns of.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
def test_what_is_answered_is_what_the_document_says(service: Service) -> None:
    write_now(service.database, call_record("a"), recovered_call("b"))
    schema = schemathesis.openapi.from_dict(service.app.openapi())
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    finite = [one for one in operations if one.path != _ENDLESS]
    tried = {f"{one.method.upper()} {one.path.removeprefix(LOGS)}" for one in finite}
    assert {
        "GET ",
        "POST ",
        "DELETE ",
        "GET /{request_id}",
        "PATCH /errors/{pattern}",
        "GET /export",
    } <= tried
    # Without a key last: who fails too often has to wait.
    for headers in (service.headers(ALL_TENANTS, Role.ADMIN), service.headers("acme"), {}):
        for operation in finite:
            _try(operation, service.url, headers)


def _try(operation: Any, url: str, headers: dict[str, str]) -> None:
    @settings(
        max_examples=2,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=operation.as_strategy())
    def send(case: Any) -> None:
        answer = case.call(base_url=url, headers=headers, timeout=60)
        case.validate_response(answer, checks=_CHECKS)

    send()
