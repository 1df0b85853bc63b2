"""``cajanegra doctor``: everything that can be checked, with what mends it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from cajanegra.cli import render
from cajanegra.cli.options import opened, settings_for, with_database, with_json
from cajanegra.errors import SettingsError

if TYPE_CHECKING:
    from cajanegra.settings import Provider, Settings
    from cajanegra.storage.check import Check

REACH_TIMEOUT = 3.0
"""Seconds to wait for a provider's port."""
_MARKS = {"ok": "✓", "warning": "!", "failed": "✗"}


@click.command()
@with_database
@with_json
def doctor(database_url: str | None, as_json: bool) -> None:
    """Check settings, database, tables and providers, and say how to mend what is wrong."""
    from cajanegra.storage.health import checks

    settings = settings_for(database_url)
    with opened(database_url) as database:
        found = [_settings_check(settings), *checks(database), *_provider_checks(settings)]
        found += _alert_checks(settings)
    if as_json:
        click.echo(render.to_json([render.fields(check) for check in found]))
    else:
        for check in found:
            click.echo(_line(check))
    failed = sum(check.state == "failed" for check in found)
    warnings = sum(check.state == "warning" for check in found)
    if not as_json:
        click.echo(f"\n{render.counted(len(found), 'check')}: {failed} failed, {warnings} to look at.")
    if failed:
        click.get_current_context().exit(1)


def _line(check: Check) -> str:
    colour = {"ok": "green", "warning": "yellow", "failed": "red"}[check.state]
    mark = click.style(f"{_MARKS[check.state]} {check.state:<7}", fg=colour)
    mend = f"\n            mend: {check.mend}" if check.mend else ""
    return f"{mark}  {check.name}: {check.detail}{mend}"


def _settings_check(settings: Settings) -> Check:
    from cajanegra.storage.check import Check

    return Check(
        "settings", "ok", str(settings.file) if settings.file else "no file: environment and defaults"
    )


def _provider_checks(settings: Settings) -> Iterator[Check]:
    from cajanegra.storage.check import Check

    if not settings.chain:
        mend = "add [[providers]] to cajanegra.toml, or set OLLAMA_HOST or OPENAI_API_KEY"
        yield Check("providers", "warning", "none is configured", mend)
    for provider in settings.chain:
        yield _reachable(provider)
        if provider.api_key_env is not None and not os.environ.get(provider.api_key_env):
            mend = f"set {provider.api_key_env} in the environment of the process that makes the calls"
            yield Check(f"key of {provider.name}", "failed", f"{provider.api_key_env} is not set", mend)
        if not provider.models:
            mend = f"set models of provider {provider.name!r}, or name a model in each call"
            yield Check(f"models of {provider.name}", "warning", "none is configured", mend)


def _alert_checks(settings: Settings) -> Iterator[Check]:
    from cajanegra.bootstrap import new_targets
    from cajanegra.storage.check import Check

    if not settings.alerts.targets:
        return
    try:
        names = ", ".join(new_targets(settings))
        yield Check("alerts", "ok", f"tell {names}; 'cajanegra alerts test' tries it")
    except SettingsError as error:
        mend = "set it in the environment of the processes that record, and of cron"
        yield Check("alerts", "failed", str(error), mend)


def _reachable(provider: Provider) -> Check:
    from cajanegra.storage.check import Check

    name = f"provider {provider.name}"
    try:
        url = urlsplit(provider.base_url)
        host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        return Check(name, "failed", f"{provider.base_url} is no URL", "correct its base_url")
    try:
        with socket.create_connection((host, port), timeout=REACH_TIMEOUT):
            return Check(name, "ok", f"{host}:{port} answers")
    except (socket.gaierror, UnicodeError):
        return Check(name, "failed", f"{host} does not resolve", "check the host name in base_url")
    except TimeoutError:
        mend = "see that no firewall stands between, and that the port in base_url is right"
        return Check(name, "failed", f"{host}:{port} does not answer within {REACH_TIMEOUT:g} s", mend)
    except OSError as error:
        mend = "start it with 'ollama serve'" if provider.kind == "ollama" else "see that it runs at base_url"
        return Check(name, "failed", f"{host}:{port}: {error.strerror or error}", mend)
