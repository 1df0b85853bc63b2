"""Goes on with a streamed answer that was cut off, where a target can be asked to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from cajanegra.domain.call import ChatRequest
from cajanegra.domain.failure import Failure
from cajanegra.domain.moves import is_repeatable
from cajanegra.recovery.simplify import answer_limit, with_shorter_answer

WAYS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "message": ({}, {}),
    "prefix": ({"prefix": True}, {}),
    "continue_final_message": ({}, {"continue_final_message": True, "add_generation_prompt": False}),
}
"""How a service is asked to go on with the assistant's last message: what is added to that message, and to
the request. Some do so by themselves (llama.cpp), some by the message's ``prefix`` (Mistral, DeepSeek), some
by parameters (vLLM, SGLang).
"""
LEAST_ECHO = 8
"""Characters from which on a repetition of the beginning is taken for one, and left out."""
_NOT_PLAIN = ("tools", "functions", "audio", "modalities", "prediction")


def can_go_on(request: ChatRequest, failure: Failure) -> bool:
    """Whether an answer to a request is plain text, which was cut off by what may pass."""
    parameters = request.parameters
    form = parameters.get("response_format")
    is_text = form is None or (isinstance(form, Mapping) and form.get("type") == "text")
    one = parameters.get("n") in (None, 1)
    return is_repeatable(failure) and is_text and one and not any(parameters.get(name) for name in _NOT_PLAIN)


def going_on(request: ChatRequest, begun: str, way: str, density: float) -> ChatRequest:
    """The request to go on behind the text that there is.

    Args:
        request: as the application made it.
        begun: what has been delivered of its answer.
        way: one of ``WAYS``.
        density: tokens per character; so many fewer are asked for.
    """
    of_message, of_request = WAYS[way]
    longest = answer_limit(request)
    if longest is not None:
        shorter = with_shorter_answer(request, max(longest - round(len(begun) * density), 1))
        request = request if shorter is None else shorter.request
    message = {"role": "assistant", "content": begun, **of_message}
    return replace(
        request,
        messages=[*request.messages, message],
        parameters={**request.parameters, **of_request},
        begun=begun,
    )


class Echo:
    """Leaves out the beginning of an answer where who goes on with it repeats it first, as some do.

    Args:
        begun: what has been delivered.
    """

    def __init__(self, begun: str) -> None:
        self._begun = begun if len(begun) >= LEAST_ECHO else ""
        self._held = ""

    def take(self, text: str, *, last: bool) -> str:
        """What is new, now that this has come too.

        Args:
            text: what has come.
            last: whether it is the end, so that nothing is held back any more.
        """
        if not self._begun:
            return text
        held, self._held = self._held + text, ""
        if held == self._begun:
            self._begun = ""
            return ""
        if self._begun.startswith(held) and not last:
            self._held = held
            return ""
        new = held.removeprefix(self._begun)
        self._begun = ""
        return new
