"""The real command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Command:
    """``python -m cajanegra`` in a bare environment and an empty directory."""

    def __init__(self, directory: Path, database_url: str | None = None, **environment: str) -> None:
        self.directory = directory
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE") if name in os.environ}
        self.environment = {**kept, "HOME": str(directory), "NO_COLOR": "1", **environment}
        if database_url is not None:
            self.environment["CAJANEGRA_DATABASE__URL"] = database_url

    def __call__(self, *arguments: str, stdin: str = "", columns: int = 80) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "cajanegra", *arguments],
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            cwd=self.directory,
            env={**self.environment, "COLUMNS": str(columns)},
            timeout=60,
        )
        return Done(done.returncode, done.stdout, done.stderr)
