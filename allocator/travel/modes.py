"""Speeds by mode of travel, class of people and kind of way, looked up in a table with marks."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from allocator.errors import Finding, Rank, Text, Where, nearest, refuse_if_any

__all__ = ["MODES", "Speeds"]

_COLUMNS = ("mode", "population_class", "way", "speed_kmh", "mark", "source")
ANY = "*"
MODES = {
    "bicycle": Text("自行车", "bicycle"),
    "bus": Text("公交", "bus"),
    "car": Text("汽车", "car"),
    "mobile": Text("流动服务车", "service van"),
    "older-walk": Text("老年人步行", "older walker"),
    "team": Text("上门服务队", "visiting team"),
    "walk": Text("步行", "walk"),
}
"""Modes of travel in words; others go by their id."""


@dataclass(frozen=True, eq=False)
class Speeds:
    """Speeds in km/h; each row with a mark and a source.

    Parameters
    ----------
    table
        Columns ``mode``, ``population_class``, ``way`` (a kind of road or land cover; ``*`` is
        every other kind), ``speed_kmh`` (0: closed), ``mark``, ``source``.

    Raises
    ------
    InputRefused
        When a speed is negative or blank, or a row is given twice.
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        missing = [c for c in _COLUMNS if c not in self.table.columns]
        found = [_fault("columns", f"{missing}") for _ in missing[:1]]
        if not missing:
            key = ["mode", "population_class", "way"]
            bad = ~(self.table["speed_kmh"] >= 0) | self.table.duplicated(key)
            found += [
                _fault("rows", "/".join(str(row[c]) for c in key))
                for row in self.table[bad].to_dict("records")
            ]
        refuse_if_any(found)

    def of(self, mode: str, population_class: str = "adult") -> dict[str, float]:
        """Return speed by kind of way for one mode and class of people.

        Raises
        ------
        InputRefused
            When the table has no such mode and class.
        """
        rows = self.table[
            (self.table["mode"] == mode) & (self.table["population_class"] == population_class)
        ]
        if rows.empty:
            known = sorted({f"{m}/{c}" for m, c in self._pairs()})
            hint = nearest(f"{mode}/{population_class}", known)
            refuse_if_any([_fault("mode", f"{mode}/{population_class} (? {hint or known})")])
        return dict(zip(rows["way"], rows["speed_kmh"].astype(float), strict=True))

    def kmh(self, mode: str, population_class: str = "adult", way: str = ANY) -> float:
        """Return one speed; a kind of way the table does not name takes that of ``*``, else 0."""
        by_way = self.of(mode, population_class)
        return by_way.get(way, by_way.get(ANY, 0.0))

    def _pairs(self) -> list[tuple[str, str]]:
        return list(
            zip(
                self.table["mode"].astype(str),
                self.table["population_class"].astype(str),
                strict=True,
            )
        )


def _fault(kind: str, what: str) -> Finding:
    return Finding(
        Rank.ERROR,
        f"speeds-{kind}",
        Where(file="speeds"),
        Text(f"速度表有误:{what}。", f"The table of speeds is at fault: {what}."),
        Text(
            "每种方式、人群、道路一行,速度不为负。",
            "One row a mode, class and way; no negative speed.",
        ),
    )
