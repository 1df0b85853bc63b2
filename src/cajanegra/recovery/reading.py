"""Whether the targets of a call read the whole of its prompt, and what their counts tell of the next ones."""

from __future__ import annotations

from cajanegra.domain.call import Answer
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.recovery.candidates import Candidate
from cajanegra.recovery.simplify import numbers_of
from cajanegra.recovery.windows import Windows, agree


class Reading:
    """The prompt tokens that were reported in one call.

    Args:
        windows: what all calls have learned of windows and counts.
        alone: whether there is one target only, so that nobody else could say better.
    """

    def __init__(self, windows: Windows, *, alone: bool) -> None:
        self._windows = windows
        self._alone = alone
        self._doubted: list[int] = []
        """Counts of answers that were turned down because the prompt seemed to be cut."""

    def is_in_doubt(self, asked: Candidate) -> bool:
        """Whether nobody knows if a target reads the whole of so long a prompt."""
        target = asked.target
        return not self._alone and self._windows.may_be_cut(
            target.key, asked.characters, target.context_window
        )

    def check(self, asked: Candidate, answer: Answer) -> None:
        """Let an answer pass whose prompt was read, as far as its token count tells.

        Raises:
            ProviderError: the prompt was hardly read to its end, and there is another target to ask.
        """
        counted, target = _counted(answer), asked.target
        if not counted or self._alone or not self._windows.looks_cut(target.key, asked.characters, counted):
            return
        if any(agree(counted, other) for other in self._doubted):
            return  # two that count alike have read the same: the prompt has few tokens
        self._doubted.append(counted)
        self._windows.learn_window(target.key, counted)
        message = f"the prompt was cut to {counted} tokens without a word; set context_window to avoid it"
        raise ProviderError(Failure(FailureKind.CONTEXT_LENGTH, message, target.provider.name, target.model))

    def learn(self, asked: Candidate, answer: Answer) -> None:
        """A target read the prompt."""
        counted = _counted(answer)
        if counted:
            messages = len(asked.request.messages)
            self._windows.learn_count(asked.target.key, asked.characters, messages, counted)

    def learn_window(self, asked: Candidate, failure: Failure) -> None:
        """A target refused the prompt as too long; where it says its numbers, they count for all calls."""
        limit, tokens = numbers_of(failure.message)
        if limit is not None and tokens is not None:
            self._windows.learn_window(asked.target.key, limit)


def _counted(answer: Answer) -> int:
    """Tokens of the prompt; some services leave those out that were cached."""
    return max(answer.usage.input_tokens or 0, answer.usage.cached_tokens or 0)
