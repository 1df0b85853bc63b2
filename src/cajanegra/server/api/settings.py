"""``/api/v1/settings``: what is in force, without its secrets."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from cajanegra.domain.principal import ALL_TENANTS, Principal, Role
from cajanegra.server.authentication import Authentication
from cajanegra.server.context import Context
from cajanegra.server.problems import ProblemError, ProblemRoute, responses
from cajanegra.settings.telling import told


class SettingTold(BaseModel):
    """One setting that is in force."""

    section: str = Field(examples=["recovery"])
    name: str = Field(description="In a list: of the entry, or its number.", examples=["timeout"])
    value: Any = Field(description="Passwords in it are masked.", examples=[60.0])
    is_default: bool = Field(description="Whether nobody has set it.")


class SettingsTold(BaseModel):
    """The settings that the server was started with."""

    version: str
    file: str | None = Field(description="The file that was read.")
    items: list[SettingTold]


def settings_router(context: Context, authentication: Authentication) -> APIRouter:
    """The route of the settings; it needs an admin's key of all tenants."""
    router = APIRouter(route_class=ProblemRoute, tags=["administration"])

    @router.get("/settings", responses=responses(401, 403, 429, 503))
    def show_settings(
        principal: Principal = Depends(authentication),  # noqa: B008, FAST002 - an annotation finds none
    ) -> SettingsTold:
        """The settings with which this process was started; passwords in them are masked."""
        if principal.scope is not ALL_TENANTS or not principal.may(Role.ADMIN):
            raise ProblemError(403, "the settings concern all tenants; give an admin's key of all")
        settings = context.settings
        return SettingsTold(
            version=version("cajanegra"),
            file=str(settings.file) if settings.file else None,
            items=[
                SettingTold(section=one.section, name=one.name, value=one.value, is_default=one.is_default)
                for one in told(settings)
            ],
        )

    return router
