"""A room imports lower floors only; the modelling libraries stay in their rooms."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "allocator"

FLOORS = [
    {"errors", "schema"},
    {"region", "catalogue", "standards"},
    {"population", "travel"},
    {"demand", "scenario", "design"},
    {"case", "rules"},
    {"problem", "compile", "forecast", "calibration"},
    {"plan"},
    {"model", "verify", "certificate", "measures", "journeys", "preconditions", "incomplete"},
    {"prepare"},
    {"run", "compare", "alternatives", "rolling", "routes", "shadow"},
    {"io"},
    {"study", "report"},
    {"cli"},
]
# The order inside a floor, where one floor holds two steps.
WITHIN = {
    ("design", "scenario"),
    ("compile", "problem"),
    ("calibration", "compile"),
    ("compare", "run"),
    ("alternatives", "run"),
    ("rolling", "run"),
    ("routes", "run"),
    ("standards", "catalogue"),
}
FLOOR = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}
ONLY_IN = {"pulp": {"model"}, "highspy": {"model"}}


def _files():
    return sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def _room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "allocator":
                for alias in node.names:
                    yield f"allocator.{alias.name}"
            else:
                yield node.module


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_lower_floors_only(path):
    room = _room(path)
    assert room in FLOOR, f"{room} stands on no floor: add it to the house or rename it"
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] == "allocator" and len(parts) > 1 and parts[1] in FLOOR:
            other = parts[1]
            allowed = other == room or FLOOR[other] < FLOOR[room] or (room, other) in WITHIN
            assert allowed, f"{room} imports {other}, beside or above it"
        if parts[0] in ONLY_IN:
            assert room in ONLY_IN[parts[0]], f"{parts[0]} is imported outside {ONLY_IN[parts[0]]}"
