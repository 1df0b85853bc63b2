"""Whatever is wrong ends in one clear line and a code that says so, without a traceback."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from command import Command

PROVIDERS = '[{"name": "openai", "base_url": "http://127.0.0.1:9/v1", "models": ["m"]}]'


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["lgos"], 2, "no such command 'lgos'; did you mean 'logs'?"),
        (["logs", "list", "--statsu", "error"], 2, "--status"),
        (["logs", "list", "--status", "broken"], 2, "'broken' is not one of"),
        (["logs", "list", "--since", "yesterday"], 2, "'yesterday' is not a time"),
        (["logs", "list", "--since", "999999w"], 2, "'999999w' is not a time"),
        (["logs", "list", "--limit", "0"], 2, "0 is not in the range"),
        (["logs", "list", "--min-ms", "9" * 20], 2, "is not in the range"),
        (["logs", "list", "--db", ""], 2, "--db is empty"),
        (["logs", "list", "--q", "\udcff"], 2, "not valid UTF-8"),
        (["logs", "list", "--tenent", "acme"], 2, "Did you mean '--tenant'?"),
        (["errors", "lst"], 2, "Did you mean 'list'?"),
        (["logs", "export", "--output", "/nowhere/file"], 2, "No such file or directory"),
        (["logs", "list", "--cursor", "x"], 2, "the cursor is not one that was given out"),
        (["logs", "show", "nothing"], 1, "there is no call 'nothing'"),
        (["logs", "show"], 2, "Missing argument 'REQUEST_ID'"),
        (["errors", "resolve", "nothing"], 2, "there is no error pattern 'nothing'"),
        (["cleanup", "--days", "-1"], 2, "days must be 0 or more, not -1"),
        (["cleanup", "--days", "9999999"], 2, "9999999 is not in the range"),
        (["cleanup", "--days", "many"], 2, "'many' is not a valid integer"),
        (["db", "restore", "/nowhere/file"], 1, "there is no file /nowhere/file"),
        (["db", "upgrade", "9999"], 1, "9999"),
        (["logs", "list", "--db", "mysql://x/y"], 2, "'mysql' databases are not supported"),
        (["logs", "list", "--db", "nonsense"], 2, "the database URL is malformed"),
        (["logs", "list", "--db", "postgresql://u:hunter2@127.0.0.1:9/x"], 1, "cannot be reached"),
        (["logs", "list", "--db", "sqlite:////proc/nowhere/calls.db"], 1, "/proc/nowhere/calls.db"),
        (["chat", "hi"], 2, "no provider is configured"),
    ],
)
def test_one_clear_line(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = Command(tmp_path, f"sqlite:///{tmp_path / 'calls.db'}")(*arguments)
    assert done.code == code
    assert done.out == ""
    assert said in done.err
    assert done.err.startswith("cajanegra: ")
    assert done.err.count("\n") == 1
    assert "hunter2" not in done.err


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[database", "cajanegra.toml is not valid TOML"),
        ("[databse]\nurl = 'x'", "did you mean 'database'?"),
        ("[recovery]\ntimeout = -1", "recovery.timeout: expected `float` > 0"),
        ("[recovery]\nchain = ['nobody']", "recovery.chain names provider 'nobody', which is not configured"),
        (
            "[[providers]]\nname = 'a'\nbase_url = 'http://x'\napi_key_env = 'NOT_SET_ANYWHERE'",
            "NOT_SET_ANYWHERE",
        ),
        ("[[providers]]\nname = 'a'\nbase_url = 'http://x'", "set models for a"),
    ],
)
def test_settings_that_are_wrong_are_named(tmp_path: Path, toml: str, said: str) -> None:
    (tmp_path / "cajanegra.toml").write_text(toml)
    done = Command(tmp_path)("chat", "hi", "--db", f"sqlite:///{tmp_path / 'calls.db'}")
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_provider_that_does_not_answer_is_one_line_and_a_recorded_call(tmp_path: Path) -> None:
    run = Command(tmp_path, f"sqlite:///{tmp_path / 'calls.db'}", CAJANEGRA_PROVIDERS=PROVIDERS)
    done = run("chat", "hi", "--timeout", "1")
    assert done.code == 1
    assert "Tried openai: connection" in done.err
    assert done.err.count("\n") == 1
    (call,) = run("logs", "list", "--json").json["items"]
    assert (call["status"], call["error_code"]) == ("error", "connection")


def test_tables_that_are_missing_are_named_with_the_command_that_makes_them(
    tmp_path: Path, empty_postgres_url: str
) -> None:
    done = Command(tmp_path, empty_postgres_url)("logs", "list")
    assert done.code == 1
    assert "cajanegra db upgrade" in done.err


@pytest.mark.parametrize("base_url", ["http://host:99999/v1", "http://..host/v1", "http://[::1/v1"])
def test_the_doctor_finds_an_address_that_cannot_be(tmp_path: Path, base_url: str) -> None:
    settings = f'[{{"name": "openai", "base_url": "{base_url}", "models": ["m"]}}]'
    run = Command(tmp_path, f"sqlite:///{tmp_path / 'calls.db'}", CAJANEGRA_PROVIDERS=settings)
    done = run("doctor")
    assert done.code == 1
    assert "failed   provider openai" in done.out
    assert done.err == ""


def test_output_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    run = Command(tmp_path, f"sqlite:///{tmp_path / 'calls.db'}")
    script = f"{shlex.quote(sys.executable)} -m cajanegra db sql > /dev/full"
    done = subprocess.run(
        ["/bin/sh", "-c", script], check=False, capture_output=True, env=run.environment, cwd=run.directory
    )
    assert done.returncode == 1
    assert done.stderr == b"cajanegra: cannot read or write the output: No space left on device\n"
