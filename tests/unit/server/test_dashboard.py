"""What the server hands out to browsers: the built dashboard, or how to build it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import openapi_document
from cajanegra.server.dashboard import Dashboard

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


def _client(files: Path) -> TestClient:
    app = FastAPI()

    @app.get("/api/v1/thing")
    def thing() -> str:
        return "a thing"

    app.router.default = Dashboard(app.router.default, files)
    return TestClient(app)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<meta nonce="NONCE"><script src="/assets/a-1.js">')
    (tmp_path / "assets" / "a-1.js").write_text("script")
    (tmp_path / "assets" / "a-1.js.gz").write_bytes(gzip.compress(b"script"))
    (tmp_path / "mark.svg").write_text("<svg/>")
    with _client(tmp_path) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/calls", "/calls/r-1?status=error", "/errors/a%2Fb"])
def test_every_address_that_no_route_answers_is_the_page(client: TestClient, path: str) -> None:
    page = client.get(path, headers=BROWSER)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "immutable" not in page.headers.get("cache-control", "")


def test_each_page_may_add_styles_by_a_number_of_its_own(client: TestClient) -> None:
    first, second = (client.get("/", headers=BROWSER) for _ in range(2))
    policy = first.headers["content-security-policy"]
    (nonce,) = re.findall(r"'nonce-([^']+)'", policy)
    assert f'nonce="{nonce}"' in first.text
    assert nonce not in second.text
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/v1/nothing", "/v1/nothing", "/health/nothing", "/metrics/x", "/admin", "/assets/b.js"],
)
def test_what_is_missing_elsewhere_is_an_error(client: TestClient, path: str) -> None:
    assert client.get(path, headers=BROWSER).status_code == 404


def test_routes_come_first_and_programs_are_shown_no_pages(client: TestClient) -> None:
    assert client.get("/api/v1/thing", headers=BROWSER).json() == "a thing"
    assert client.get("/nothing").status_code == 404
    assert client.post("/nothing", headers=BROWSER).status_code == 404
    assert client.post("/", headers=BROWSER).status_code == 404


def test_files_whose_names_change_with_their_content_are_kept(client: TestClient) -> None:
    packed = client.get("/assets/a-1.js", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/assets/a-1.js", headers={"Accept-Encoding": "identity"})
    assert packed.text == plain.text == "script"
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert "immutable" in packed.headers["cache-control"]
    assert packed.headers["content-type"].startswith("text/javascript")
    assert "cache-control" not in client.get("/mark.svg").headers


@pytest.mark.parametrize(
    "path", ["/..%2fsecret", "/assets/..%2f..%2fsecret", "/assets/a-1.js.gz", "/index.html"]
)
def test_nothing_but_the_built_files_is_handed_out(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_without_a_build_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    with _client(tmp_path / "missing") as client:
        assert "make dashboard" in client.get("/").text
        assert client.get("/nothing").status_code == 404


def test_the_dashboards_client_is_generated_from_the_document_of_this_version() -> None:
    written = openapi_document.PATH.read_text(encoding="utf-8")
    assert written == openapi_document.document(), "the API has changed: run 'make openapi', and commit it"
