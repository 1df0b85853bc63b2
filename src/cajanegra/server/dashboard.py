"""The dashboard's pages: the built files, and the one page for every address that no route answers."""

from __future__ import annotations

import mimetypes
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

FILES = Path(__file__).parent / "dashboard_files"
"""Where ``npm run build`` puts them; the wheel has them, a checkout has them once they were built."""
_PAGE = "/index.html"
_HASHED = "/assets/"
"""Files whose names change with their contents."""
_PACKED = ".gz"
_NONCE = b"NONCE"
"""What the built page has where a number that was drawn for it belongs."""
_OTHERS = ("api", "v1", "health", "metrics", "admin")
"""First parts of paths that are never pages: what is not found there is an error."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_NOT_BUILT = """\
cajanegra is running; its dashboard is not built in this installation.

The wheels of cajanegra have it. In a checkout, with Node.js 20.19 or newer:

    make dashboard

and start the server again. The REST API is described at /api/v1/openapi.json.
"""


@dataclass(frozen=True, slots=True)
class File:
    """One built file.

    Attributes:
        content: as it was built.
        packed: the same by gzip, where the build made that, too.
        media_type: of the content.
    """

    content: bytes
    packed: bytes | None
    media_type: str


class Dashboard:
    """ASGI application for what no route answers.

    Args:
        otherwise: answers what is no page either.
        files: the directory of the built dashboard; it need not be there.
    """

    __name__ = "dashboard"  # what the metrics call a request

    def __init__(self, otherwise: ASGIApp, files: Path = FILES) -> None:
        self._otherwise = otherwise
        self._directory = files
        self._files: Mapping[str, File] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a file, the page, or as if this were not here."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            if self._files is None:
                self._files = await run_in_threadpool(load, self._directory)
            headers = Headers(scope=scope)
            if response := self._response(self._files, scope["path"], headers):
                scope["endpoint"] = self
                await response(scope, receive, send)
                return
        await self._otherwise(scope, receive, send)

    def _response(self, files: Mapping[str, File], path: str, headers: Headers) -> Response | None:
        if path != _PAGE and (file := files.get(path)):
            takes_packed = "gzip" in headers.get("accept-encoding", "")
            return _whole(file, takes_packed=takes_packed, is_hashed=path.startswith(_HASHED))
        is_wanted = path == "/" or "text/html" in headers.get("accept", "")
        if not is_wanted or path.split("/")[1] in _OTHERS or path.startswith(_HASHED):
            return None
        if page := files.get(_PAGE):
            return _page(page)
        return PlainTextResponse(_NOT_BUILT)


def load(directory: Path) -> dict[str, File]:
    """The built files by their paths; none where nothing was built."""
    built = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    found = {}
    for name, path in built.items():
        if not name.endswith(_PACKED):
            media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
            packed = built.get(name + _PACKED)
            found[f"/{name}"] = File(path.read_bytes(), packed.read_bytes() if packed else None, media_type)
    return found


def _whole(file: File, *, takes_packed: bool, is_hashed: bool) -> Response:
    headers = {"Vary": "Accept-Encoding"}
    content = file.content
    if takes_packed and file.packed is not None:
        content = file.packed
        headers["Content-Encoding"] = "gzip"
    if is_hashed:
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return Response(content, media_type=file.media_type, headers=headers)


def _page(page: File) -> Response:
    """The page, with a nonce of its own: the one thing by which it may add styles."""
    nonce = secrets.token_urlsafe(16)
    return Response(
        page.content.replace(_NONCE, nonce.encode()),
        media_type="text/html",
        headers={"Content-Security-Policy": _POLICY.format(nonce=nonce)},
    )
