"""How many places of which public service, where, when, and who pays.

The names below are functions. Modules of the same name (``allocator.run``) are reached by
``from allocator.run import ...``.

>>> import allocator as al
>>> case = al.read_case("data/rongshui")  # doctest: +SKIP
>>> (scenario,) = al.read_scenarios("scenarios/rongshui", ["best-mix"])  # doctest: +SKIP
>>> result = al.run(case, scenario)  # doctest: +SKIP
>>> result.score["use_free"]  # doctest: +SKIP
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import geopandas as gpd

    from allocator.run import Run

_HOMES = {
    "compare": "allocator.compare",
    "open_study": "allocator.study",
    "read_case": "allocator.io.case",
    "read_run": "allocator.io.runs",
    "read_scenarios": "allocator.io.scenarios",
    "read_study": "allocator.io.studies",
    "run": "allocator.run",
    "run_study": "allocator.study",
    "solve": "allocator.model",
    "verify": "allocator.verify",
    "worth_of": "allocator.shadow",
    "write_run": "allocator.io.runs",
}

__all__ = [*sorted(_HOMES), "sites"]


def __getattr__(name: str) -> Any:
    """Resolve a public name on first use, so that importing the package loads no solver."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'allocator' has no attribute {name!r}")


class _Package(ModuleType):
    """Keeps ``al.run`` the function: importing the module of the same name would hide it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def sites(run: Run, year: int | None = None) -> gpd.GeoDataFrame:
    """Return the sites of a run as points, at a year (the last one by default)."""
    import geopandas as gpd

    table = run.tables["sites"]
    table = table[table["year"] == (year if year is not None else table["year"].max())]
    points = gpd.points_from_xy(table["lon"], table["lat"])
    return gpd.GeoDataFrame(table.reset_index(drop=True), geometry=points, crs=run.inputs["crs"])
