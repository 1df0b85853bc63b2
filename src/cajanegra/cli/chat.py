"""``cajanegra chat``: one question, answered and recorded."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from cajanegra.cli import render
from cajanegra.cli.options import opened, settings_for, with_database, with_json
from cajanegra.domain.principal import ALL_TENANTS
from cajanegra.errors import CajanegraError, CallError

if TYPE_CHECKING:
    from cajanegra.client import AIClient

WRITE_WITHIN = 5.0
"""Seconds that the database has to take the call; the answer is shown before."""


@click.command()
@click.argument("text")
@click.option("--system", help="Instructions that come before the question.")
@click.option("--model", metavar="NAME", help="An alias, provider/model, or a model's name.")
@click.option("--temperature", type=float, help="Sampling temperature.")
@click.option("--max-tokens", type=int, help="Longest answer in tokens.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Deadline, recovery included.")
@click.option("--task", default="chat", show_default=True, help="What the call is for.")
@click.option("--tenant", "tenant_id", metavar="ID", help="On whose behalf.")
@click.option("--module", metavar="NAME", help="The part of the application that asks.")
@click.option("--user", "user_id", metavar="ID", help="The person who asks.")
@click.option("--stream", "streamed", is_flag=True, help="Show the answer as it comes.")
@with_database
@with_json
def chat(
    text: str, system: str | None, streamed: bool, database_url: str | None, as_json: bool, **arguments: Any
) -> None:
    """Ask the configured providers, and record the call. TEXT of - is read from standard input.

    \b
    Try:  cajanegra chat "Say hello in Spanish"
          cajanegra chat - < question.txt
    """
    from cajanegra.client import AIClient

    question = sys.stdin.read() if text == "-" else text
    if system is not None:
        arguments["messages"] = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    else:
        arguments["prompt"] = question
    failure, request_id = None, ""
    with _warnings() as said, AIClient(settings_for(database_url)) as ai:
        try:
            if streamed and not as_json:
                request_id = asyncio.run(_stream(ai, arguments))
            else:
                _answer(ai, arguments, as_json=as_json)
        except CallError as error:
            failure = error
        ai.recorder.close(WRITE_WITHIN)
        stats = ai.recorder.stats
    if stats.lost or stats.refused or stats.dropped or stats.waiting:
        what = f"{failure} The call" if failure else "the call"
        _summary, _colon, reason = said[-1].partition(": ") if said else ("", "", "")
        raise CajanegraError(
            f"{what} is not in the database: {reason or 'see cajanegra doctor'}"
            + ("; it stays in the spool: cajanegra spool drain" if stats.waiting else "")
        )
    if failure is not None:
        raise failure
    if request_id:
        _tell_of_recorded(request_id, database_url)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What the library logs meanwhile, kept from the terminal."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("cajanegra")
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)


def _answer(ai: AIClient, arguments: Mapping[str, Any], *, as_json: bool) -> None:
    begun = time.monotonic()
    reply = ai.chat_sync(**arguments)
    if as_json:
        shown = {name: value for name, value in render.fields(reply).items() if name not in ("raw", "steps")}
        click.echo(render.to_json(shown))
        return
    click.echo(_for_output(reply.text))
    elapsed = (time.monotonic() - begun) * 1000
    _tell(reply.provider, reply.model, reply.status, reply.attempts, elapsed, reply.request_id)


async def _stream(ai: AIClient, arguments: Mapping[str, Any]) -> str:
    shown = False
    async with ai.stream(**arguments) as stream:
        try:
            async for chunk in stream:
                click.echo(_for_output(chunk.text), nl=False)
                sys.stdout.flush()
                shown = shown or bool(chunk.text)
        finally:
            click.echo(nl=shown)
        return stream.request_id


def _tell_of_recorded(request_id: str, database_url: str | None) -> None:
    from cajanegra.storage import reads

    with opened(database_url) as database:
        found = reads.call(database, ALL_TENANTS, request_id)
    if found is not None:
        row = found.call
        attempts = (row["response_metadata"] or {}).get("attempts", 1)
        provider, model = row["provider_used"], row["provider_model"]
        _tell(provider, model, row["status"], attempts, row["processing_time_ms"] or 0, request_id)


def _tell(provider: str, model: str | None, status: str, attempts: int, ms: float, request_id: str) -> None:
    told = f"{provider}, {model or '-'}, {status}, attempts: {attempts}, {ms:,.0f} ms, {request_id}"
    click.secho(render.printable(told), dim=True, err=True)


def _for_output(text: str) -> str:
    """An answer as it came, but on a terminal without what the terminal would obey."""
    return render.printable(text) if sys.stdout.isatty() else text
