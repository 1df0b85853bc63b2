"""Builds the dashboard into the package, where npm is there to do it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_WITHOUT = "CAJANEGRA_WITHOUT_DASHBOARD"


class DashboardHook(BuildHookInterface):
    """Runs ``npm ci`` and ``npm run build`` before a wheel or a source archive is put together."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the dashboard, unless this is an editable install or an archive that has it already."""
        del build_data  # pyproject.toml says that what is built belongs into the package
        source = Path(self.root) / "dashboard"
        built = Path(self.root) / "src" / "cajanegra" / "server" / "dashboard_files" / "index.html"
        is_archive = built.exists() and (Path(self.root) / "PKG-INFO").exists()
        if version == "editable" or is_archive or not source.is_dir() or os.environ.get(_WITHOUT):
            return
        npm = shutil.which("npm")
        if npm is None:
            self.app.display_warning("npm is not installed: the package is built without the dashboard")
            return
        for arguments in (["ci", "--silent"], ["run", "--silent", "build"]):
            try:
                subprocess.run([npm, *arguments], cwd=source, check=True)  # noqa: S603 - the project's own
            except subprocess.CalledProcessError as error:
                raise RuntimeError(
                    f"the dashboard could not be built ('npm {' '.join(arguments)}' failed); "
                    f"set {_WITHOUT}=1 to build the package without it"
                ) from error
