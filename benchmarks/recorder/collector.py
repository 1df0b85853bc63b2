"""An OTLP collector that answers at once and only counts: the best that a peer can be given.

Runs in the peers' environment: ``python -m benchmarks.recorder.collector``. It says its port, and answers
``GET /count`` with the number of spans it has got.
"""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(BaseHTTPRequestHandler):
    """OTLP over HTTP, and as much of MLflow's own API as its client asks for."""

    protocol_version = "HTTP/1.1"
    spans: ClassVar[set[bytes]] = set()
    lock = threading.Lock()

    def do_GET(self) -> None:
        if self.path == "/count":
            self._answer(str(len(self.spans)).encode())
        elif self.path == "/version":
            self._answer(b"3.10.0")
        else:
            self._answer(b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path.endswith("/traces") and "/mlflow/" not in self.path:
            self._count(body)
            self._answer(b"", "application/x-protobuf")
        elif self.path.endswith("/mlflow/traces"):
            trace = json.loads(body)["trace"]
            trace["trace_info"].setdefault("tags", {})["mlflow.trace.spansLocation"] = "TRACKING_STORE"
            self._answer(json.dumps({"trace": trace}).encode())
        else:
            self._answer(b"{}")

    def _count(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        found = {
            span.span_id
            for one in request.resource_spans
            for scope in one.scope_spans
            for span in scope.spans
        }
        with self.lock:
            self.spans.update(found)

    def _answer(self, body: bytes, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    """Says nothing of clients that were killed."""

    def handle_error(self, *_: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Collector)
    print(server.server_port, flush=True)
    server.serve_forever()
