"""The peers' own environment, made by package name the first time, and the collector that runs in it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(".venv/peers")
PACKAGES = {
    "opentelemetry": ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"),
    "phoenix": ("arize-phoenix-otel",),
    "langfuse": ("langfuse",),
    "mlflow": ("mlflow-tracing",),
}
_PYTHON = str(ROOT / "bin" / "python")


def installed() -> list[str]:
    """The peers that could be installed; a line is printed for each of the others."""
    if not (ROOT / "bin" / "python").exists():
        print("Installing the peers ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(ROOT)], check=True)
    return [name for name in PACKAGES if _install(name)]


def _install(name: str) -> bool:
    done = ROOT / f".{name}"
    if not done.exists():
        pip = [_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        result = subprocess.run([*pip, *PACKAGES[name]], check=False, capture_output=True, text=True)
        if result.returncode:
            print(f"{name} cannot be installed and is left out: {result.stderr.strip().splitlines()[-1]}")
            return False
        done.touch()
    return True


def version(name: str) -> str:
    """The version of a peer that is installed."""
    code = f"import importlib.metadata; print(importlib.metadata.version({PACKAGES[name][0]!r}))"
    done = subprocess.run([_PYTHON, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def run(name: str, mode: str) -> dict[str, float]:
    """One peer's figures with a fresh collector; ``kept`` is what the collector got."""
    with _collector() as url:
        command = [_PYTHON, "-m", "benchmarks.recorder.peers", name, mode, url]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        figures: dict[str, float] = json.loads(done.stdout) if mode == "loop" else {}
        with urllib.request.urlopen(f"{url}/count") as answer:  # noqa: S310 - our own
            return figures | {"kept": int(answer.read())}


@contextlib.contextmanager
def _collector() -> Iterator[str]:
    command = [_PYTHON, "-m", "benchmarks.recorder.collector"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
