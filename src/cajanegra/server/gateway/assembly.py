"""Builds the gateway from what the server has."""

from __future__ import annotations

from typing import Any

from cajanegra.ports import OpenCall
from cajanegra.server.authentication import Authentication
from cajanegra.server.context import Context
from cajanegra.server.gateway.callers import Callers
from cajanegra.server.gateway.gateway import Gateway
from cajanegra.server.gateway.limits import Limits
from cajanegra.server.gateway.upstream import Upstream
from cajanegra.settings import Settings
from cajanegra.storage.database import Database


class _Record:
    """Writes calls down with the server's recorder, which is made when the first one comes."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def call(self, **asked: Any) -> OpenCall:
        return self._context.recorder.call(**asked)


def new_upstream(settings: Settings, context: Context) -> Upstream:
    """The providers of some settings, whose calls the server's recorder writes down.

    Raises:
        SettingsError: the settings are wrong, or a provider's key is not in the environment.
    """
    return Upstream(settings, _Record(context))


def new_gateway(context: Context, authentication: Authentication, keys: Database) -> Gateway:
    """The gateway.

    Args:
        context: has settings and recorder.
        authentication: of the REST API.
        keys: the database with the keys and what they have used.

    Raises:
        SettingsError: the settings are wrong, or a provider's key is not in the environment.
    """
    return Gateway(
        new_upstream(context.settings, context),
        Callers(authentication),
        Limits(keys),
        max_body_bytes=context.settings.server.max_body_bytes,
    )
