"""``cajanegra alerts``, and a process that records and tells what fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cajanegra.storage.database import Database
from command import Command
from receivers import Receiver, receiver

FAILURE = json.dumps({"provider": "openai", "message": "Error code: 429 - Rate limit reached"})

HOST = """
import sys
from cajanegra import Recorder, Settings

recorder = Recorder(Settings())
try:
    with recorder.call(task="chat", provider="openai"):
        raise TimeoutError("timed out")
except TimeoutError:
    pass
print("recorded", flush=True)
sys.stdin.read()
recorder.close()
"""


@pytest.fixture
def ops() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def command(directory: Path, url: str, ops: Receiver, *more: dict[str, str]) -> Command:
    targets = [{"name": "ops", "kind": "webhook", "url_env": "OPS_URL"}, *more]
    return Command(
        directory,
        url,
        CAJANEGRA_ALERTS__TARGETS=json.dumps(targets),
        CAJANEGRA_ALERTS__INTERVAL="1",
        OPS_URL=ops.url,
    )


@pytest.fixture
def cajanegra(tmp_path: Path, database: Database, ops: Receiver) -> Command:
    url = database.url.set(drivername=database.dialect).render_as_string(hide_password=False)
    return command(tmp_path, url, ops)


def test_a_check_tells_what_is_new_and_the_next_one_nothing(cajanegra: Command, ops: Receiver) -> None:
    assert cajanegra("logs", "import", "-", stdin=FAILURE).code == 0
    first = cajanegra("alerts", "check")
    assert (first.code, first.err) == (0, "")
    assert first.out == "New error pattern: openai_rate_limit\n1 new alert; told 1 time.\n"
    assert cajanegra("alerts", "check").out == "Nothing new.\n"
    assert [told["pattern"] for told in ops.bodies] == ["openai_rate_limit"]
    assert "openai_rate_limit  told" in cajanegra("alerts", "list").out
    assert cajanegra("alerts", "list", "--json").json[0]["alert"]["pattern"] == "openai_rate_limit"


def test_people_are_told_in_their_language(cajanegra: Command, ops: Receiver) -> None:
    cajanegra("logs", "import", "-", stdin=FAILURE)  # stored in English
    cajanegra.environment["CAJANEGRA_KNOWLEDGE__LANGUAGE"] = "es"
    assert cajanegra("alerts", "check").out.startswith("Nuevo patrón de error: openai_rate_limit")
    (told,) = ops.bodies
    assert "Causa probable: " in told["text"]
    assert (
        told["probable_cause"]
        != "More requests or tokens in a short window than the provider allows this key."
    )
    assert told["probable_cause"] in told["text"]


def test_processes_that_check_at_once_tell_once(cajanegra: Command, ops: Receiver) -> None:
    cajanegra("logs", "import", "-", stdin=FAILURE)
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _number: cajanegra("alerts", "check", "--json"), range(3)))
    assert {one.code for one in done} == {0}
    assert len(ops.bodies) == 1


def test_a_target_that_refuses_is_told_with_exit_code_1_and_without_its_url(
    cajanegra: Command, ops: Receiver
) -> None:
    ops.statuses = [500]
    cajanegra("logs", "import", "-", stdin=FAILURE)
    done = cajanegra("alerts", "check")
    assert done.code == 1
    assert "not told: ops answered 500: ok; it is tried again later" in done.err
    assert "very-secret" not in done.out + done.err


def test_a_process_that_records_tells_by_itself(cajanegra: Command, ops: Receiver) -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", HOST],
        cwd=cajanegra.directory,
        env=cajanegra.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert ops.came.wait(60)
    _out, error = host.communicate("", timeout=60)
    assert (host.returncode, error) == (0, "")
    assert [told["pattern"] for told in ops.bodies] == ["openai_timeout"]
    assert cajanegra("alerts", "check").out == "Nothing new.\n"  # the lease was given back


def test_a_test_tells_every_target(tmp_path: Path, ops: Receiver) -> None:
    down = {"name": "down", "kind": "slack", "url": "http://127.0.0.1:9/"}
    cajanegra = command(tmp_path, "sqlite:///unused.db", ops, down)
    done = cajanegra("alerts", "test")
    assert done.code == 1
    assert done.out.startswith("ops: told\ndown: not told: down cannot be reached")
    assert ops.bodies[0]["kind"] == "test"
    assert cajanegra("alerts", "test", "--target", "ops").code == 0
    assert not (tmp_path / "unused.db").exists()


def test_the_doctor_sees_that_nobody_can_be_told(cajanegra: Command) -> None:
    assert "alerts: tell ops" in cajanegra("doctor").out
    del cajanegra.environment["OPS_URL"]
    done = cajanegra("doctor")
    assert done.code == 1
    assert "alerts: alert target 'ops' needs OPS_URL, which is not set" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("targets", "arguments", "reason"),
    [
        ([], ["check"], "nobody is named to be told"),
        ([{"name": "a", "kind": "slack", "url_env": "NOWHERE"}], ["test"], "needs NOWHERE, which is not set"),
        ([{"name": "a", "kind": "slack", "url_env": "HOME"}], ["test"], "HOME, from which alert target 'a'"),
        ([{"name": "a", "kind": "slack"}], ["test"], "needs either url or url_env"),
        ([{"name": "a", "kind": "log"}] * 2, ["test"], "two of alerts.targets are named 'a'"),
        ([{"name": "a", "kind": "logs"}], ["test"], "choose one of log, slack, webhook"),
        ([{"name": "a", "kind": "log", "uri": ""}], ["test"], "did you mean 'url'?"),
        ([{"name": "a", "kind": "log"}], ["test", "--target", "b"], "no alert target 'b'; there is: a"),
    ],
)
def test_what_is_wrong_with_the_settings_is_one_clear_line(
    targets: list[dict[str, str]], arguments: list[str], reason: str, tmp_path: Path
) -> None:
    done = Command(tmp_path, CAJANEGRA_ALERTS__TARGETS=json.dumps(targets))("alerts", *arguments)
    assert done.code in (1, 2)
    assert reason in done.err
    assert "Traceback" not in done.err
