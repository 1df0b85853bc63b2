"""The migration guide as a list of its code blocks, and the example application in which they are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "erp"
README = EXAMPLE / "README.md"
BESIDE = ROOT.parent / "shared" / "seed" / "migracion-tablas-logging-ia.md"


def source() -> Path:
    """The guide that ``ERP_GUIDE`` names or that lies beside the repository, else the example's README."""
    named = os.environ.get("ERP_GUIDE")
    return Path(named) if named else BESIDE if BESIDE.exists() else README


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        heading: the heading that it stands under, without its emoji.
        language: what the fence says: ``bash``, ``sql``, ``python``, or nothing.
        text: what is between the fences.
    """

    heading: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines that do something."""
        lines = (line.strip() for line in self.text.splitlines())
        return [line for line in lines if line and not line.startswith(("#", "--"))]

    @property
    def comments(self) -> list[str]:
        """What the comments say."""
        return [line[1:].strip() for line in self.text.splitlines() if line.startswith("#")]


def read(path: Path) -> list[Block]:
    """Every fenced block of a Markdown file."""
    found: list[Block] = []
    lines: list[str] = []
    heading, fence = "", None
    for line in path.read_text(encoding="utf-8").splitlines():
        if fence is not None:
            if line.strip() == "```":
                found.append(Block(heading, fence, "\n".join(lines) + "\n"))
                fence = None
            else:
                lines.append(line)
        elif line.startswith("```"):
            fence, lines = line[3:].strip(), []
        elif line.startswith("#"):
            heading = re.sub(r'^#+[^\w"]*', "", line)
    return found


class Backend:
    """A copy of the example with a database of its own, used from a shell.

    ``PYTHONPATH`` stands for ``pip install --editable apps/backend``.

    Args:
        directory: where the copy goes, unless it is there.
        database_url: of a PostgreSQL or SQLite database.
        environment: further variables.
    """

    def __init__(self, directory: Path, database_url: str, **environment: str) -> None:
        self.root = directory / "erp"
        self.directory = self.root / "apps" / "backend"
        if not self.root.exists():
            shutil.copytree(EXAMPLE, self.root, ignore=shutil.ignore_patterns("__pycache__"))
        url = make_url(database_url)
        self.url = database_url
        self.database = url.database or ""
        postgres = {
            "PGHOST": str(url.query.get("host") or url.host or ""),
            "PGPORT": str(url.port or ""),
            "PGPASSWORD": url.password or "",
        }
        kept = {name: os.environ[name] for name in ("XDG_STATE_HOME", "LANG") if name in os.environ}
        self.environment = {
            **kept,
            **{name: value for name, value in postgres.items() if value},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(directory),
            "PYTHONPATH": str(self.directory),
            "PYTHONUTF8": "1",
            "NO_COLOR": "1",
            "DATABASE_URL": database_url.replace("postgresql://", "postgresql+psycopg://"),
            "CAJANEGRA_DATABASE__URL": database_url,
            **environment,
        }
        self._substitutions = {"database_name": self.database, "your_database": self.database}
        if url.username not in {None, "postgres"}:
            self._substitutions["-U postgres"] = f"-U {url.username}"

    def text(self, text: str, substitutions: Mapping[str, str] | None = None) -> str:
        """The text with the guide's placeholders filled in; each further one must be there."""
        for placeholder, value in self._substitutions.items():
            text = text.replace(placeholder, value)
        for placeholder, value in (substitutions or {}).items():
            assert placeholder in text, f"{placeholder!r} is not in {text!r}"
            text = text.replace(placeholder, value)
        return text

    def sh(
        self,
        script: str,
        *,
        stdin: str = "",
        at: Path | None = None,
        substitutions: Mapping[str, str] | None = None,
    ) -> str:
        """Run a script as it stands but for the placeholders; what it printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.text(script, substitutions)],
            check=False,
            capture_output=True,
            text=True,
            input=self.text(stdin),
            cwd=at or self.directory,
            env=self.environment,
            timeout=120,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        assert "ERROR" not in done.stderr, done.stderr
        return done.stdout

    def python(self, script: str) -> str:
        """Run a script in the interpreter, as if it were typed there."""
        return self.sh("python -", stdin=script)

    def psql(self, script: str, *, substitutions: Mapping[str, str] | None = None) -> str:
        """Run statements in psql, which stops at the first error."""
        text = self.text(script, substitutions)
        return self.sh("psql -U postgres -d your_database --set ON_ERROR_STOP=1", stdin=text)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Rows, read by a connection of the test's own."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement.encode()).fetchall()

    def tables(self) -> set[str]:
        """The three tables, those that are there."""
        rows = self.query("SELECT tablename FROM pg_tables WHERE tablename LIKE 'ai\\_%'")
        return {str(name) for (name,) in rows}
