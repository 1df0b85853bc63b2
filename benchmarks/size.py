"""How many megabytes a base install takes, without extras and without pip: ``make size``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

LIMIT_MB = 75


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        environment = Path(directory) / "base"
        venv.create(environment, with_pip=False)
        python = environment / "bin" / "python"
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", str(Path.cwd())],
            check=True,
        )
        packages = next((environment / "lib").glob("python*/site-packages"))
        sizes = {entry.name: _disk_bytes(entry) for entry in packages.iterdir()}
        for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:12]:
            print(f"{name:32}{size / 1e6:8.1f} MB")
        total = sum(sizes.values()) / 1e6
        print(f"{'base install':32}{total:8.1f} MB   {total / LIMIT_MB:.0%} of {LIMIT_MB} MB")


def _disk_bytes(path: Path) -> int:
    """Space on disk, in blocks, as ``du`` counts it."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_blocks * 512 for file in files)


if __name__ == "__main__":
    main()
