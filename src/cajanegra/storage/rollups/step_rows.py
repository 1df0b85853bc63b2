"""What the rows of recovery steps say, by what the cubes of steps count by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sqlalchemy import ColumnElement

from cajanegra.storage.rollups.cubes import KEY
from cajanegra.storage.step_figures import text_in
from cajanegra.storage.tables import ERROR_RECOVERY

StepDimension = Literal["kind", "pattern", "strategy", "provider"]


def of_steps(name: StepDimension, dialect: str) -> ColumnElement[str]:
    """The value of a dimension in ``ai_error_recovery``; empty where nobody noted it."""
    if name == "strategy":
        return ERROR_RECOVERY.c.strategy_name
    path, size = _PATHS[name]
    return text_in(path, size, dialect)


_PATHS: Mapping[StepDimension, tuple[tuple[str, ...], int]] = {
    "kind": (("trigger", "kind"), KEY),
    "pattern": (("trigger", "pattern"), 2 * KEY),
    "provider": (("provider",), KEY),
}
