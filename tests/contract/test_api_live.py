"""The live tail, alone and while calls are handed in, exported and deleted."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from api_service import LOGS, Service
from cajanegra.domain.principal import ALL_TENANTS, Role, Scope
from cajanegra.server.live import MAX_OF_SCOPE
from records import call_record, write_now


@dataclass
class Event:
    id: str | None
    kind: str
    data: Any


@contextlib.contextmanager
def _following(
    service: Service, scope: Scope, last: str | None = None, **params: Any
) -> Iterator[Iterator[Event]]:
    headers = service.headers(scope) | ({"Last-Event-ID": last} if last else {})
    url = f"{service.url}{LOGS}/live"
    with (
        httpx2.Client(timeout=30) as client,
        client.stream("GET", url, headers=headers, params=params or None) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


def _events(answer: httpx2.Response) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif not line and "event" in fields:
            yield Event(fields.get("id"), fields["event"], json.loads(fields["data"]))
            fields = {}


def _next(events: Iterator[Event], kind: str = "call") -> Event:
    return next(event for event in events if event.kind == kind)


def test_calls_appear_as_they_are_written_in_their_scope(service: Service) -> None:
    write_now(service.database, call_record("old"))
    with _following(service, "acme") as events:
        begin = _next(events, "begin")
        assert begin.id == "old"
        write_now(service.database, call_record("theirs", tenant_id="globex"), call_record("ours"))
        first = _next(events)
        assert (first.id, first.data["request_id"], first.data["tenant_id"]) == ("ours", "ours", "acme")
        assert "id" not in first.data


def test_a_stream_goes_on_where_it_ended(service: Service) -> None:
    with _following(service, ALL_TENANTS) as events:
        _next(events, "begin")
        write_now(service.database, call_record("a"))
        seen = _next(events)
    write_now(service.database, call_record("b"), call_record("c", module="imports"))
    with _following(service, ALL_TENANTS, last=seen.id) as events:
        assert [_next(events).id, _next(events).id] == ["b", "c"]
    with _following(service, ALL_TENANTS, last=seen.id, module="imports") as events:
        assert _next(events).id == "c"


def test_a_stream_that_saw_no_call_goes_on_from_its_begin(service: Service) -> None:
    with _following(service, "acme") as events:
        begin = _next(events, "begin")
    write_now(service.database, call_record("a"))
    with _following(service, "acme", last=begin.id) as events:
        assert _next(events).id == "a"


def test_a_stream_says_that_it_cannot_go_on(service: Service) -> None:
    write_now(service.database, call_record("theirs", tenant_id="globex"))
    for last in ("gone", "theirs"):
        with _following(service, "acme", last=last) as events:
            assert next(events).kind == "gap"
            assert next(events).kind == "begin"


def test_streams_are_bounded(service: Service) -> None:
    with contextlib.ExitStack() as stack:
        open_ones = [stack.enter_context(_following(service, "acme")) for _number in range(MAX_OF_SCOPE)]
        for events in open_ones:
            _next(events, "begin")
        refused = service.get("/live", "acme")
        assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
        _next(stack.enter_context(_following(service, "globex")), "begin")
    until = time.monotonic() + 20
    while True:  # those that have gone make room
        try:
            with _following(service, "acme") as events:
                _next(events, "begin")
            break
        except AssertionError:
            assert time.monotonic() < until


def _item(name: str) -> dict[str, Any]:
    return {"request_id": name, "provider_used": "openai", "status": "success", "task": "chat"}


class Busy:
    """Everybody at once: programs hand calls in, twice each; others follow, export and delete."""

    BATCHES, ITEMS, WRITERS = 12, 20, 3

    def __init__(self, service: Service) -> None:
        self._service = service
        self.names = {
            f"{writer}-{batch}-{i}"
            for writer in range(self.WRITERS)
            for batch in range(self.BATCHES)
            for i in range(self.ITEMS)
        }
        self.shown: list[str] = []
        self.problems: list[object] = []
        self._begun, self._done = threading.Event(), threading.Event()

    def run(self) -> None:
        following = threading.Thread(target=self._follow)
        following.start()
        assert self._begun.wait(20)
        others = [threading.Thread(target=self._export), threading.Thread(target=self._clean)]
        writers = [threading.Thread(target=self._hand_in, args=(number,)) for number in range(self.WRITERS)]
        for thread in [*others, *writers]:
            thread.start()
        for thread in writers:
            thread.join()
        following.join(60)
        self._done.set()
        for thread in others:
            thread.join()
        assert not following.is_alive()

    def _follow(self) -> None:
        with _following(self._service, "acme", task="chat") as events:  # it may begin half a second ago
            _next(events, "begin")
            self._begun.set()
            while len(self.shown) < len(self.names):
                self.shown.append(_next(events).data["request_id"])

    def _hand_in(self, writer: int) -> None:
        with self._service.client("acme", Role.WRITER) as client:
            for batch in range(self.BATCHES):
                items = [_item(f"{writer}-{batch}-{i}") for i in range(self.ITEMS)]
                for _again in range(2):  # as after an answer that did not come
                    answer = client.post("", json={"items": items})
                    if answer.status_code != 202 or answer.json()["rejected"]:
                        self.problems.append(answer.text)

    def _export(self) -> None:
        while not self._done.is_set():
            exported = _exported(self._service, "acme")
            if len(exported) != len(set(exported)):
                self.problems.append("an export has a call twice")

    def _clean(self) -> None:
        with self._service.client("acme", Role.ADMIN) as client:
            while not self._done.is_set():
                answer = client.delete("", params={"older_than_days": 7})
                if answer.status_code != 200:
                    self.problems.append(answer.text)
                time.sleep(0.05)


def _exported(service: Service, scope: Scope) -> list[str]:
    return [json.loads(line)["request_id"] for line in service.get("/export", scope).text.splitlines()]


def test_all_at_once_loses_and_doubles_nothing(service: Service) -> None:
    old = datetime.now(UTC) - timedelta(days=30)
    write_now(service.database, *(call_record(f"old-{i}", created_at=old, task="old") for i in range(300)))
    busy = Busy(service)
    busy.run()
    assert busy.problems == []
    assert sorted(busy.shown) == sorted(busy.names)
    assert sorted(_exported(service, ALL_TENANTS)) == sorted(busy.names)
