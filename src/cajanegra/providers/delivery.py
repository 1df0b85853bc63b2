"""What of a streamed text may be handed out already, and what is kept back until the answer is whole."""

from __future__ import annotations

from cajanegra.domain.call import ChatRequest
from cajanegra.providers.answers import Checked, may_be_refusal
from cajanegra.providers.json_answers import wants_json


class Delivery:
    """The text of one streamed answer on its way to the consumer.

    JSON that was asked for is kept back until it has been checked: half of it is of no use, and only so can
    a wrong one be mended or asked for again. So is a text while it reads like the beginning of a refusal.
    """

    def __init__(self, request: ChatRequest) -> None:
        self._whole = wants_json(request)
        self._open = False
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        """All that has come."""
        return "".join(self._texts)

    @property
    def withholds(self) -> bool:
        """Whether there is text that has not been handed out."""
        return not self._open and bool(self._texts)

    def take(self, text: str) -> str:
        """The text that may be handed out, now that this has come too."""
        if text:
            self._texts.append(text)
        if self._open:
            return text
        if self._whole or not text or may_be_refusal(self.text):
            return ""
        self._open = True
        return self.text

    def finish(self, checked: Checked) -> str:
        """What has not been handed out of the whole answer."""
        return "" if self._open else checked.text
