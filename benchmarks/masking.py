"""What masking costs and what it masks by mistake: ``python -m benchmarks.masking [ERRORS.jsonl]``.

ERRORS.jsonl has an object with a ``message`` per line.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cajanegra.domain.redaction import redact_text
from cajanegra.domain.redactor import Redactor

METADATA: tuple[dict[str, Any], ...] = (
    {"module": "imports", "invoice": "F-2024-117", "rows": 120, "lang": "es", "source": "upload"},
    {"file": "invoices.csv", "rows": 1200, "plan": "pro", "retry": False, "session": "a81f"},
    {"feature": "copilot", "order": "A-1001", "locale": "es-ES", "version": "2.4.1", "score": 0.82},
)
ERROR = (
    "Error code: 400 - {'error': {'message': \"This model's maximum context length is 8192 tokens. "
    "However, your messages resulted in 9031 tokens. Please reduce the length of the messages.\", 'type': "
    "'invalid_request_error', 'param': 'messages', 'code': 'context_length_exceeded'}} (request req_8f3a1c)"
)
HOSTILE = (
    "1 ",
    "4111 ",
    "4111 1111 ",
    "4444444444444444 ",
    "123-45-6789 ",
    "phone 612345 ",
    "a.b@",
    "12 34 ",
)
DIGITS = "0123456789"


def main() -> None:
    plain, own = Redactor(), Redactor({"employee": r"EMP-\d{6}"})
    print("microseconds, best of 9:  no patterns   one pattern")
    report(f"error of {len(ERROR)} characters", (plain.text, own.text), ERROR)
    for metadata in METADATA:
        report(f"metadata with {list(metadata)[1]}", (plain.json, own.json), metadata)
    worst = max(HOSTILE, key=lambda piece: seconds(plain, piece))
    print(f"a hostile megabyte: {seconds(plain, worst):.2f} s ({worst!r})")
    for size in (9, 12, 14, 15, 16, 18, 19):
        numbers = ["".join(random.choices(DIGITS, k=size)) for _ in range(20_000)]  # noqa: S311
        masked = sum(plain.text(number) != number for number in numbers)
        print(f"{size} random digits masked: {masked / len(numbers):.2%}")
    if sys.argv[1:]:
        corpus(plain, Path(sys.argv[1]))


def report(name: str, masks: tuple[Callable[[Any], Any], ...], value: object) -> None:
    print(f"{name:26}" + "".join(f"{microseconds(mask, value):12.1f}" for mask in masks))


def microseconds(mask: Callable[[Any], Any], value: object, number: int = 5_000) -> float:
    return min(timeit.repeat(partial(mask, value), number=number, repeat=9)) / number * 1e6


def seconds(redactor: Redactor, piece: str) -> float:
    text = piece * (1_000_000 // len(piece))
    begin = time.process_time()
    redactor.content(text)
    return time.process_time() - begin


def corpus(redactor: Redactor, path: Path) -> None:
    messages = [json.loads(line)["message"] for line in path.read_text(encoding="utf-8").splitlines()]
    times = [microseconds(redactor.text, text, 200) for text in messages if 250 <= len(text) <= 350]
    print(f"{len(times)} errors of 250 to 350 characters: median {statistics.median(times):.1f} µs")
    changed = [text for text in messages if redactor.text(text) != redact_text(text)]
    without_address = sum("@" not in text for text in changed)
    print(
        f"{len(changed)} of {len(messages)} errors are changed beyond their secrets, "
        f"{without_address} of them without an e-mail address"
    )


if __name__ == "__main__":
    main()
