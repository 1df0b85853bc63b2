"""``cajanegra chat``: one question, answered and recorded."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cajanegra.cli import render
from cajanegra.cli.options import settings_for, with_database, with_json
from cajanegra.errors import CajanegraError

if TYPE_CHECKING:
    from cajanegra.client import AIClient


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
    with AIClient(settings_for(database_url)) as ai:
        if streamed and not as_json:
            asyncio.run(_stream(ai, arguments))
        else:
            _answer(ai, arguments, as_json=as_json)
        kept = ai.recorder.flush() and not ai.recorder.stats.lost
    if not kept:
        raise CajanegraError("the call could not be recorded; 'cajanegra doctor' says why")


def _answer(ai: AIClient, arguments: dict[str, Any], *, as_json: bool) -> None:
    begun = time.monotonic()
    reply = ai.chat_sync(**arguments)
    if as_json:
        shown = {name: value for name, value in render.fields(reply).items() if name not in ("raw", "steps")}
        click.echo(render.to_json(shown))
        return
    click.echo(reply.text)
    told = f"{reply.provider}, {reply.model}, {reply.status}, attempts: {reply.attempts}"
    click.secho(f"{told}, {(time.monotonic() - begun) * 1000:.0f} ms, {reply.request_id}", dim=True, err=True)


async def _stream(ai: AIClient, arguments: dict[str, Any]) -> None:
    async with ai.stream(**arguments) as stream:
        async for chunk in stream:
            click.echo(chunk.text, nl=False)
            sys.stdout.flush()
        click.echo()
        click.secho(stream.request_id, dim=True, err=True)
