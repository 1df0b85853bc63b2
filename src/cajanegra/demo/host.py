"""An application's own client: asks a provider by itself, and lets the recorder write down what happened."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

from cajanegra import Recorder
from cajanegra.demo.providers import HOST_MODEL
from cajanegra.demo.workload import PlannedCall
from cajanegra.settings import Provider

_PATIENCE = 10.0
"""Seconds that the application waits for an answer."""
_RECORDED = ("task", "tenant_id", "module", "user_id", "temperature", "max_tokens")


def ask(recorder: Recorder, providers: Sequence[Provider], call: PlannedCall, request_id: str) -> int:
    """Ask the last provider, and the one before it when that fails; both are in the record.

    Returns:
        How many attempts it took.

    Raises:
        OSError: neither answered.
    """
    first, second = providers[-1], providers[-2]
    prompt = call.arguments.get("prompt") or call.arguments["messages"]
    with recorder.call(
        provider=first.name,
        model=HOST_MODEL,
        prompt=prompt,
        request_id=request_id,
        metadata=call.arguments["metadata"] | {"client": "urllib"},
        **{name: call.arguments[name] for name in _RECORDED},
    ) as recorded:
        try:
            recorded.finish(_post(first, HOST_MODEL, prompt))
        except OSError as error:
            failure = error
        else:
            return 1
        begun, answer = time.monotonic(), None
        try:
            answer = _post(second, second.models[0], prompt)
        finally:
            recorded.step(
                "fallback",
                action=f"{first.name} -> {second.name}",
                error=failure,
                successful=answer is not None,
                time_ms=round((time.monotonic() - begun) * 1000),
                model=second.models[0],
            )
        recorded.finish(answer)
        return 2


def _post(provider: Provider, model: str, prompt: Any) -> Any:
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    request = urllib.request.Request(  # noqa: S310 - our own server on loopback
        f"{provider.base_url}/chat/completions",
        data=json.dumps({"model": model, "messages": messages}).encode(),
        headers={"Content-Type": "application/json", "Authorization": "Bearer demo"},
    )
    with urllib.request.urlopen(request, timeout=_PATIENCE) as response:  # noqa: S310 - see above
        return json.load(response)
