"""The check of row-level security: whether it is whole, and whether it holds for whom it is meant."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from cajanegra.storage import secure_state
from cajanegra.storage.check import Check
from cajanegra.storage.health_schema import some
from cajanegra.storage.secure_rules import Confined

_NAME = "row-level security"
_SECURE = "as the owner: cajanegra db secure"


def row_level_security(connection: Connection) -> Check:
    """Tables without it, roles that escape it, roles that see nothing, rights beyond the rules."""
    security = secure_state.read(connection)
    if not security.is_on:
        return Check(_NAME, "ok", "off: whoever may read the tables sees all tenants ('cajanegra db secure')")
    if wrong := [
        f"{table} {what} {found or 'missing'}" for table, what, found in secure_state.incomplete(security)
    ]:
        return Check(_NAME, "failed", some(wrong), _SECURE)
    confined = security.confined
    if leaking := _leaking(connection, confined):
        return leaking
    if blinded := secure_state.blinded(connection, confined):
        mend = f"cajanegra db secure --pass {blinded[0]}, or --confine {blinded[0]}=TENANT"
        return Check(_NAME, "failed", f"{some(blinded)} may use the tables and sees no row", mend)
    shown = some(f"{one.role} ({one.tenant or 'the tenant that it names'})" for one in confined)
    return Check(_NAME, "ok", f"on; confined: {shown or 'nobody'}")


def _leaking(connection: Connection, confined: Sequence[Confined]) -> Check | None:
    for one in confined:
        for reason in secure_state.escapes(connection, one, confined):
            return Check(_NAME, "failed", f"{one.role} is not confined: it {reason}", "take that from it")
        if excess := dict(secure_state.excess(connection, one)):
            detail = f"{one.role} may {some(excess)}, which tells of other tenants"
            mends = "; ".join(dict.fromkeys(excess.values()))
            return Check(_NAME, "failed", detail, f"as the owner: {mends}; then cajanegra db secure")
    return None
