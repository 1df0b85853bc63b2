"""``cajanegra errors classify``: the triage of failures that somebody else logged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cajanegra.analysis.reading import Reading, judge
from cajanegra.domain.failure import FailureKind
from command import Command
from rule_examples import EXAMPLES

TIMED_OUT = {
    "provider": "ollama",
    "http_status": None,
    "exception_type": None,
    "message": "ReadTimeout: it timed out",
}


def _lines(*rows: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def _objects(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def cajanegra(tmp_path: Path) -> Command:
    return Command(tmp_path, f"sqlite:///{tmp_path / 'calls.db'}")


def test_each_line_is_told_kind_pattern_template_and_first_move(cajanegra: Command) -> None:
    wrapped = "Error code: 429 - {'error': {'message': 'Rate limit reached for m on tokens per min (TPM): Limit 1'}}"
    done = cajanegra(
        "errors", "classify", "--json",
        stdin=_lines(TIMED_OUT, {"provider": "openai", "http_status": 429, "message": wrapped, "id": 7}),
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert _objects(done.out) == [
        {
            "kind": "timeout",
            "pattern": "ollama_timeout",
            "template": "it timed out",
            "recover": "retry",
        },
        {
            "kind": "rate_limit",
            "pattern": "openai_tokens_per_minute",
            "template": "Rate limit reached for m on tokens per min (TPM): Limit <*>",
            "recover": "retry",
        },
    ]
    assert not (cajanegra.directory / "calls.db").exists()


def test_only_the_message_need_be_known(cajanegra: Command) -> None:
    nulls = {"provider": None, "http_status": None, "exception_type": None, "message": "Connection refused"}
    done = cajanegra("errors", "classify", "--json", stdin=_lines(nulls, {"message": "Connection refused"}))
    assert {found["pattern"] for found in _objects(done.out)} == {"unknown_connection_refused"}


def test_people_get_columns(cajanegra: Command) -> None:
    done = cajanegra("errors", "classify", stdin=_lines(TIMED_OUT))
    assert done.out.split() == ["timeout", "retry", "ollama_timeout"]


def test_a_file_may_be_named(cajanegra: Command) -> None:
    (cajanegra.directory / "failures.ndjson").write_text(_lines(TIMED_OUT), encoding="utf-8")
    assert cajanegra("errors", "classify", "failures.ndjson").code == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nope", "line 2 is not a JSON object"),
        ("[1]", "line 2 is not a JSON object"),
        ('{"provider": "openai"}', 'line 2 has no "message"'),
        ('{"message": 5}', "line 2 message: expected `str`"),
        ('{"message": "x", "http_status": "many"}', "line 2 http_status: expected `int | null`"),
        ('{"message": "\\ud800"}', "line 2 is not a JSON object"),
        (json.dumps({"message": "x" * 8_000_000}), "line 2 is longer than 8,000,000 bytes"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_the_others_are_read(
    cajanegra: Command, line: str, said: str
) -> None:
    text = f"{_lines(TIMED_OUT)}{line}\n\n{_lines(TIMED_OUT)}"
    done = cajanegra("errors", "classify", "--json", stdin=text)
    assert done.code == 1
    assert said in done.err
    assert "1 line left out" in done.err
    assert len(_objects(done.out)) == 2


def test_what_somebody_knows_themselves_is_used(cajanegra: Command) -> None:
    (cajanegra.directory / "cajanegra.toml").write_text(
        "[[knowledge.entries]]\n"
        'contains = "timed out"\nname = "night_job"\nrecover = "none"\n'
        'cause = "The night job runs."\naction = "Wait."\n',
        encoding="utf-8",
    )
    done = cajanegra("errors", "classify", "--json", stdin=_lines(TIMED_OUT))
    assert (done.json["pattern"], done.json["recover"]) == ("ollama_night_job", "none")


def test_a_reader_that_goes_away_is_no_failure(cajanegra: Command) -> None:
    text = _lines(*[TIMED_OUT] * 20_000)
    shell = f"{sys.executable} -m cajanegra errors classify --json | head -1"
    done = subprocess.run(
        ["sh", "-c", shell],
        check=True, capture_output=True, text=True, input=text, timeout=60, cwd=cajanegra.directory,
        env={**cajanegra.environment, "PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_every_line_of_many_causes_is_told_in_its_place(cajanegra: Command) -> None:
    done = cajanegra(
        "errors", "classify", "--json", stdin=_lines(*({"message": text} for _, text in EXAMPLES))
    )
    found = _objects(done.out)
    assert (done.code, len(found)) == (0, len(EXAMPLES))
    assert {line["kind"] for line in found} <= set(FailureKind)
    for (cause, text), line in zip(EXAMPLES, found, strict=True):
        judgement = judge(Reading(text))
        assert (line["kind"], line["recover"]) == (judgement.kind, judgement.recover), cause
