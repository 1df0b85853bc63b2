"""``/api/v1/keys``: admins make keys, see which there are, and revoke them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from cajanegra.domain.keys import MOST, KeyLimits
from cajanegra.domain.principal import ALL_TENANTS, AllTenants, Principal, Role, Scope
from cajanegra.server.api.models import Moment
from cajanegra.server.api.queries import Moment as GivenMoment
from cajanegra.server.api.queries import Text
from cajanegra.server.authentication import Authentication
from cajanegra.server.context import Context
from cajanegra.server.problems import ProblemError, ProblemRoute, responses
from cajanegra.storage import keys
from cajanegra.storage.fitting import fit_identity

_MAX_MODELS = 200


class Limits(BaseModel):
    """What a key may use the gateway for; `null` and an empty list are no limit."""

    model_config = ConfigDict(extra="forbid")

    models: Annotated[
        list[Text], Field(max_length=_MAX_MODELS, description="With `*` and `?` for any letters.")
    ] = []
    requests_per_minute: Annotated[int | None, Field(gt=0, le=MOST)] = None
    tokens_per_minute: Annotated[int | None, Field(gt=0, le=MOST)] = None
    monthly_budget: Annotated[float | None, Field(gt=0, le=MOST, description="US dollars.")] = None


class NewKey(BaseModel):
    """The key that is wanted."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"tenant_id": "acme", "role": "reader"}]}
    )

    tenant_id: Annotated[
        Text | None,
        Field(description="Whose rows it sees; `null` is all tenants. A tenant's admin: its own."),
    ]
    role: Role
    name: Annotated[Text | None, Field(max_length=100, description="What it is for.")] = None
    expires_at: Annotated[GivenMoment | None, Field(description="From when on it is refused.")] = None
    limits: Limits | None = None


class KeyListed(BaseModel):
    """What is known of a key; the key itself is not."""

    prefix: str = Field(description="Its beginning, which names it.", examples=["cn_k3v9x2m4p7"])
    name: str | None
    role: Role
    tenant_id: str | None = Field(description="`null` is all tenants.")
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    last_used_at: Moment | None = Field(description="Exact to ten minutes.")
    limits: Limits | None

    @classmethod
    def of(cls, key: keys.Key) -> Self:
        """From what is stored."""
        return cls(
            prefix=key.prefix,
            name=key.name,
            role=key.role,
            tenant_id=None if isinstance(key.scope, AllTenants) else key.scope,
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
            limits=_told(key.limits),
        )


class KeyMade(KeyListed):
    """A key at the only moment when its text is known."""

    key: str = Field(description="The key itself. It is shown this once.")


class Keys(BaseModel):
    """Keys, newest first; 1,000 at most."""

    items: list[KeyListed]


def keys_router(context: Context, authentication: Authentication) -> APIRouter:
    """The routes of the keys. An admin of one tenant has to do with that tenant's keys alone."""
    router = APIRouter(route_class=ProblemRoute, tags=["keys"])

    def admin(
        principal: Principal = Depends(authentication),  # noqa: B008 - an annotation would not find it
    ) -> Principal:
        if not principal.may(Role.ADMIN):
            raise ProblemError(403, f"this needs the role admin, and the key has {principal.role}")
        return principal

    caller = Depends(admin)

    @router.get("/keys", responses=responses(401, 403, 422, 429, 503))
    def list_keys(
        principal: Principal = caller,
        invalid: Annotated[bool, Query(description="Those that are revoked or expired, too.")] = False,
    ) -> Keys:
        """The keys that are valid."""
        found = keys.listed(context.database, scope=principal.scope, invalid=invalid, now=datetime.now(UTC))
        return Keys(items=[KeyListed.of(key) for key in found])

    @router.post("/keys", status_code=201, responses=responses(401, 403, 422, 429, 503))
    def make_key(given: NewKey, principal: Principal = caller) -> KeyMade:
        """Make a key. Its text is in this answer, and nowhere else.

        The first key of all has to be an admin's of all tenants: from then on nobody is let in without one.
        """
        scope = _scope(principal, given.tenant_id)
        is_first = not keys.is_any(context.database)
        if is_first and not (isinstance(scope, AllTenants) and given.role == Role.ADMIN):
            raise ProblemError(
                422,
                "the first key has to be an admin's of all tenants: once there is one, "
                "nobody is let in without a key",
            )
        key, secret = keys.create(
            context.database,
            scope=scope,
            role=given.role,
            now=datetime.now(UTC),
            name=given.name,
            expires_at=given.expires_at,
            limits=_meant(given.limits),
        )
        return KeyMade(key=secret.text, **dict(KeyListed.of(key)))

    @router.delete("/keys/{prefix}", responses=responses(401, 403, 404, 422, 429, 503))
    def revoke_key(
        prefix: Annotated[str, Path(pattern="^cn_[a-z0-9]{10}$", examples=["cn_k3v9x2m4p7"])],
        principal: Principal = caller,
    ) -> KeyListed:
        """Revoke a key and end its sessions; every server refuses it within two seconds."""
        now = datetime.now(UTC)
        mine = keys.listed(context.database, scope=principal.scope, beginning=prefix, invalid=True, now=now)
        if not mine:
            raise ProblemError(404, "there is no key of this name")
        return KeyListed.of(keys.revoke(context.database, prefix, now))

    return router


def _scope(principal: Principal, tenant_id: str | None) -> Scope:
    """Whom a new key may be for."""
    wanted: Scope = ALL_TENANTS if tenant_id is None else tenant_id
    if isinstance(principal.scope, AllTenants):
        return wanted
    if isinstance(wanted, AllTenants) or fit_identity(wanted) != principal.scope:
        raise ProblemError(403, "an admin of one tenant makes keys for that tenant alone")
    return wanted


def _meant(limits: Limits | None) -> KeyLimits | None:
    if limits is None:
        return None
    given = KeyLimits(
        models=tuple(limits.models),
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
        monthly_budget=limits.monthly_budget,
    )
    return None if given.are_none else given


def _told(limits: KeyLimits | None) -> Limits | None:
    if limits is None:
        return None
    return Limits(
        models=list(limits.models),
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
        monthly_budget=limits.monthly_budget,
    )
