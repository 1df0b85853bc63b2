"""What importing and constructing costs over an empty interpreter: ``make bench-import``.

Every measure is a fresh interpreter, started in turn with an empty one so that noise meets both alike; the
figure is the difference of the medians.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 30
PROVIDERS = '[{"name": "ollama", "kind": "ollama", "base_url": "http://127.0.0.1:1", "models": ["m"]}]'
EMPTY = "pass"
MEASURES = {
    "import cajanegra": ("import cajanegra", 25),
    "Recorder(Settings())": ("from cajanegra import Recorder, Settings\nRecorder(Settings())", 120),
    "AIClient()": ("from cajanegra import AIClient\nAIClient()", None),
}
FORBIDDEN = {
    "Recorder(Settings())": ("sqlalchemy", "alembic", "psycopg", "pyreqwest", "aiohttp", "httpx", "fastapi"),
    "AIClient()": ("fastapi", "starlette", "flask", "django"),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        environment = {
            **os.environ,
            "CAJANEGRA_DATABASE__URL": f"sqlite:///{directory}/calls.db",
            "CAJANEGRA_PROVIDERS": PROVIDERS,
        }
        times: dict[str, list[float]] = {name: [] for name in ("python -c pass", *MEASURES)}
        for _ in range(RUNS):
            times["python -c pass"].append(_milliseconds(EMPTY, environment))
            for name, (code, _limit) in MEASURES.items():
                times[name].append(_milliseconds(code, environment))
        floor = statistics.median(times["python -c pass"])
        print(f"{'python -c pass':24}{floor:8.1f} ms")
        for name, (_code, limit) in MEASURES.items():
            over = statistics.median(times[name]) - floor
            wanted = f"at most {limit} ms" if limit else ""
            print(f"{name:24}{over:+8.1f} ms over it   {wanted}")
        for name, modules in FORBIDDEN.items():
            found = _imported(MEASURES[name][0], modules, environment)
            print(f"{name:24}imports of {', '.join(modules)}: {found}")


def _milliseconds(code: str, environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=Path("/"))
    return (time.perf_counter() - begin) * 1000


def _imported(code: str, modules: tuple[str, ...], environment: dict[str, str]) -> str:
    probe = f"{code}\nimport sys\nprint(' '.join(m for m in {modules!r} if m in sys.modules) or 'none')"
    result = subprocess.run(
        [sys.executable, "-c", probe],
        check=True,
        env=environment,
        cwd=Path("/"),
        capture_output=True,
        text=True,
    )
    return result.stdout.strip()


if __name__ == "__main__":
    main()
