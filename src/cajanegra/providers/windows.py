"""How many tokens a conversation has, estimated from above and from below, without the model's tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

from cajanegra.domain.call import Message, prompt_text

_BYTES_PER_TOKEN = 3
"""English and Spanish have 3.5 to 5, code and numbers a little less: the estimate errs on the large side."""
_TOKENS_PER_MESSAGE = 16
_SMALLEST_WINDOW = 4096
_FIRST_IDEOGRAPH = "\u2e80"
_IDEOGRAPHS_PER_TOKEN = 4
_FEWEST_TOKENS = 128
"""Old servers leave cached tokens out of their count; a last turn on its own is shorter than this."""


def window_for(messages: Sequence[Message], other_bytes: int, answer_tokens: int, most: int | None) -> int:
    """A context window that holds the prompt and its answer.

    Powers of two, since a server loads the model anew whenever the window changes.

    Args:
        messages: the conversation.
        other_bytes: what else is put into the prompt, such as tools.
        answer_tokens: room for the answer.
        most: the largest window that may be used.
    """
    size = len(prompt_text(messages).encode(errors="replace")) + other_bytes
    wanted = size // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE * len(messages) + answer_tokens
    window = max(_SMALLEST_WINDOW, 1 << (wanted - 1).bit_length())
    return window if most is None else min(window, most)


def fewest_tokens(messages: Sequence[Message]) -> int:
    """No tokenizer makes fewer tokens of these messages: a word has at least one."""
    text = prompt_text(messages)
    ideographs = 0 if text.isascii() else sum(character >= _FIRST_IDEOGRAPH for character in text)
    return len(text.split()) + ideographs // _IDEOGRAPHS_PER_TOKEN


def looks_truncated(messages: Sequence[Message], reported: int, window: int | None) -> bool:
    """Whether a server that reports so many prompt tokens cannot have read the whole prompt."""
    if reported < _FEWEST_TOKENS:
        return False
    fills_window = window is not None and reported >= window
    return fills_window or reported < fewest_tokens(messages)
