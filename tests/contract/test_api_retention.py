"""What is kept, held and erased, over HTTP."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from api_service import Service
from cajanegra.domain.principal import ALL_TENANTS, Role
from cajanegra.server import retaining
from cajanegra.settings import Settings
from cajanegra.storage import runs
from cajanegra.storage.keeping import Policy
from records import call_record, recovered_call, write_now

WEEK = timedelta(days=7)


def test_holds_erasures_and_runs(service: Service) -> None:
    old = datetime.now(UTC) - timedelta(days=30)
    write_now(
        service.database,
        recovered_call("kept", user_id="u1", created_at=old),
        call_record("gone", user_id="u1", created_at=old),
        call_record("theirs", tenant_id="globex", user_id="u1"),
    )
    with service.client(ALL_TENANTS, Role.ADMIN) as admin:
        held = admin.post("/retention/holds", json={"request_id": "kept", "reason": "case 17"})
        assert held.status_code == 201
        assert (held.json()["tenant_id"], held.json()["request_id"]) == ("acme", "kept")
        assert admin.get("/retention/holds").json() == {"items": [held.json()]}
        unknown = admin.post("/retention/holds", json={"request_id": "no-such", "reason": "case"})
        assert (unknown.status_code, unknown.json()["detail"]) == (
            422,
            "there is no call 'no-such' to be held",
        )
        assert admin.delete("?older_than_days=7").json()["calls"] == 1
        assert runs.run(service.database, Policy(WEEK), started_by="command") is not None
        told = admin.get("/retention").json()
        assert told["policy"]["default_days"] == 7
        assert [(run["state"], run["counts"]["calls"]) for run in told["runs"]] == [("done", 0)]
    with service.client("acme", Role.ADMIN) as own:
        receipt = own.post("/retention/erasures", json={"subject": "user", "user_id": "u1"})
        assert receipt.status_code == 201
        assert (receipt.json()["counts"]["calls"], receipt.json()["counts"]["held"]) == (0, 1)
        assert own.get("/retention/erasures").json()["items"] == [receipt.json()]
        for answer in (
            own.get("/retention"),
            own.get("/retention/holds"),
            own.post("/retention/holds", json={"tenant_id": "acme", "reason": "mine"}),
            own.delete(f"/retention/holds/{held.json()['id']}"),
        ):
            assert answer.status_code == 403
    with service.client(ALL_TENANTS, Role.ADMIN) as admin:
        assert admin.delete(f"/retention/holds/{held.json()['id']}").status_code == 204
        assert admin.delete(f"/retention/holds/{held.json()['id']}").status_code == 404
        whom = {"X-Cajanegra-Tenant": "acme"}
        gone = admin.post("/retention/erasures", json={"subject": "tenant"}, headers=whom).json()
        assert (gone["subject"], gone["counts"]["calls"]) == ("tenant", 1)
        assert admin.post("/retention/erasures", json={"subject": "tenant"}).status_code == 422
        assert admin.post("/retention/erasures", json={"subject": "user"}).status_code == 422
    with service.client("globex", Role.READER) as reader:
        assert [one["request_id"] for one in reader.get("").json()["items"]] == ["theirs"]
        assert reader.post("/retention/erasures", json={"subject": "tenant"}).status_code == 403
    assert service.get("/retention/erasures", "globex").status_code == 403


def test_the_server_deletes_what_is_due_where_it_is_told_to(service: Service) -> None:
    url = service.database.url.render_as_string(hide_password=False)
    write_now(service.database, call_record("old", created_at=datetime.now(UTC) - timedelta(days=30)))
    for serve, state in ((False, None), (True, "done"), (True, None)):
        settings = Settings(database={"url": url}, retention={"serve": serve})
        done = retaining.look(service.database, settings, threading.Event())
        assert (done and done.state) == state
    assert [run.started_by for run in runs.history(service.database)] == ["server"]
