from __future__ import annotations

from typing import Any

import pytest

from cajanegra.domain.principal import ALL_TENANTS, Principal, Role
from cajanegra.errors import UsageError


@pytest.mark.parametrize("scope", [None, "", 0, False])
def test_nobody_sees_all_tenants_by_leaving_the_tenant_out(scope: Any) -> None:
    with pytest.raises(UsageError, match="ALL_TENANTS"):
        Principal(scope, Role.READER)


def test_a_role_may_be_given_by_its_name_and_no_other_word_is_one() -> None:
    given: Any = "reader"
    assert Principal("acme", given).role is Role.READER
    wrong: Any = "root"
    with pytest.raises(UsageError, match="writer, reader, admin"):
        Principal("acme", wrong)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.WRITER, {Role.WRITER}),
        (Role.READER, {Role.READER}),
        (Role.ADMIN, {Role.WRITER, Role.READER, Role.ADMIN}),
    ],
)
def test_an_admin_may_do_everything_and_the_others_what_they_are_for(role: Role, may: set[Role]) -> None:
    assert {wanted for wanted in Role if Principal(ALL_TENANTS, role).may(wanted)} == may
