"""The recorder and its floors: ``python -m benchmarks.recorder.caller NAME MODE DIRECTORY``."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.recorder import workload
from cajanegra.domain.ids import uuid7

Candidate = tuple[workload.Record, Callable[[], dict[str, int]]]


def cajanegra(_directory: Path) -> Candidate:
    """The recorder, with the database and the spool of the environment."""
    from cajanegra import Recorder, Settings

    recorder = Recorder(Settings())

    def record(prompt: str) -> None:
        call = recorder.call(task="chat", provider="openai", model=workload.MODEL, prompt=prompt)
        call.finish(text=workload.ANSWER, tokens_used=workload.TOKENS)

    def end() -> dict[str, int]:
        recorder.flush(120)
        recorder.close(5)
        return {"dropped": recorder.dropped}

    return record, end


def log_line(directory: Path) -> Candidate:
    """``logging.FileHandler``: one line when a call has ended."""
    logger = _logger(directory)

    def record(prompt: str) -> None:
        digest = hashlib.sha256(prompt.encode()).hexdigest()
        answered = workload.ANSWER
        logger.info(
            "%s %s %d %s %d %d", uuid7(), workload.MODEL, len(prompt), digest, len(answered), workload.TOKENS
        )

    return record, _nothing


def log_lines(directory: Path) -> Candidate:
    """``logging.FileHandler``: a line when a call begins and one when it has ended."""
    logger = _logger(directory)

    def record(prompt: str) -> None:
        request_id, digest = uuid7(), hashlib.sha256(prompt.encode()).hexdigest()
        logger.info("%s begins: %s %d %s", request_id, workload.MODEL, len(prompt), digest)
        logger.info("%s ended: %d %d", request_id, len(workload.ANSWER), workload.TOKENS)

    return record, _nothing


def append(directory: Path) -> Candidate:
    """One encoded record per call, appended to a file: nobody can keep a call for less."""
    file = os.open(directory / "append", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    encode = msgspec.msgpack.encode

    def record(prompt: str) -> None:
        digest = hashlib.sha256(prompt.encode()).hexdigest()
        fields = (uuid7(), "chat", workload.MODEL, len(prompt), digest, len(workload.ANSWER), workload.TOKENS)
        os.write(file, encode(fields))

    return record, _nothing


def _logger(directory: Path) -> logging.Logger:
    logger = logging.getLogger("benchmark")
    handler = logging.FileHandler(directory / "log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


def _nothing() -> dict[str, int]:
    return {}


CANDIDATES = {
    "cajanegra": cajanegra,
    "log line": log_line,
    "log lines": log_lines,
    "append": append,
}

if __name__ == "__main__":
    name, mode, directory = sys.argv[1:]
    workload.measure(*CANDIDATES[name](Path(directory)), mode)
