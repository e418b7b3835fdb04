"""Journeys over a friction surface: land-cover speeds, barriers, and slope (as AccessMod does)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocator.travel.arcs import Arcs, Floats, Ints, make_arcs
from allocator.travel.straight import as_points, distance_km

__all__ = ["Surface", "speeds_from_land_cover", "surface_arcs", "surface_minutes"]

# Tobler (1993): walking speed 6 exp(-3.5 |slope + 0.05|) km/h; here relative to level ground.
TOBLER_RATE, TOBLER_SHIFT = 3.5, 0.05
_QUEEN = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
_KNIGHT = [(a, b) for a in (-2, -1, 1, 2) for b in (-2, -1, 1, 2) if abs(a) + abs(b) == 3]


@dataclass(frozen=True, eq=False)
class Surface:
    """Speed on every cell of a north-up raster, and heights where slope matters.

    Parameters
    ----------
    speed_kmh
        (R, C) speed on level ground; NaN is a barrier, 0 cannot be crossed either.
    west, north, cell_x, cell_y
        Outer corner and positive cell sizes, in units of ``crs``.
    height_m
        (R, C) elevation; given, steps uphill and downhill differ by Tobler's function. Only for
        walking.
    """

    speed_kmh: Floats
    west: float
    north: float
    cell_x: float
    cell_y: float
    crs: str
    height_m: Floats | None = None

    def __post_init__(self) -> None:
        if self.speed_kmh.ndim != 2 or not (self.cell_x > 0 and self.cell_y > 0):
            raise ValueError("a surface has rows and columns of positive cell size")
        if self.height_m is not None and self.height_m.shape != self.speed_kmh.shape:
            raise ValueError("heights and speeds differ in shape")
        if (self.speed_kmh < 0).any() or np.isinf(self.speed_kmh).any():
            raise ValueError("a speed is negative or endless")

    @property
    def pace(self) -> Floats:
        """(R, C) minutes a metre; inf where nobody passes."""
        blocked = ~(self.speed_kmh > 0)
        if self.height_m is not None:
            blocked |= ~np.isfinite(self.height_m)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(blocked, np.inf, 0.06 / self.speed_kmh)

    def cell_metres(self) -> tuple[Floats, Floats]:
        """Return width and height in metres of the cells of every row."""
        rows = len(self.speed_kmh)
        north = self.north - (np.arange(rows) + 0.5) * self.cell_y
        at = np.column_stack([np.full(rows, self.west), north])
        east = at + np.array([self.cell_x, 0.0])
        half = np.array([0.0, self.cell_y / 2])
        up, down = at + half, at - half
        return (
            distance_km(at, east, self.crs) * 1000,
            distance_km(up, down, self.crs) * 1000,
        )

    def cells(self, lonlat: npt.ArrayLike) -> Ints:
        """Return the cell of each point, counted row by row; -1 outside the map or blank."""
        points = as_points(lonlat)
        with np.errstate(invalid="ignore"):
            column = np.floor((points[:, 0] - self.west) / self.cell_x)
            row = np.floor((self.north - points[:, 1]) / self.cell_y)
        rows, columns = self.speed_kmh.shape
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        cell = np.full(len(points), -1, dtype=np.int64)
        cell[inside] = (row[inside] * columns + column[inside]).astype(np.int64)
        return cell

    def standing(self, lonlat: npt.ArrayLike) -> list[str]:
        """Return ``""``, ``outside``, ``barrier`` or ``zero-speed`` for each point."""
        cell = self.cells(lonlat)
        speed = self.speed_kmh.ravel()[cell]
        closed = np.isinf(self.pace.ravel()[cell])
        kinds = np.select(
            [cell < 0, speed == 0, closed], ["outside", "zero-speed", "barrier"], default=""
        )
        return [str(kind) for kind in kinds]

    @property
    def digest(self) -> str:
        """Digest of the surface."""
        corner = (self.west, self.north, self.cell_x, self.cell_y, self.crs)
        h = hashlib.sha256(repr(corner).encode())
        for part in (self.speed_kmh, self.height_m):
            h.update(b"-" if part is None else np.ascontiguousarray(part).tobytes())
        return h.hexdigest()


def speeds_from_land_cover(
    cover: npt.ArrayLike,
    speed_of: Mapping[int, float],
    *,
    barriers: npt.ArrayLike | None = None,
    road_kmh: npt.ArrayLike | None = None,
) -> Floats:
    """Return speeds by land cover; roads overrule the cover and bridge barriers.

    Parameters
    ----------
    cover
        (R, C) class codes; a code that ``speed_of`` does not name is a barrier.
    barriers
        (R, C) whether the cell is closed (water, cliffs).
    road_kmh
        (R, C) speed on the road through the cell; NaN or 0 where there is none.
    """
    codes = np.asarray(cover)
    speed = np.full(codes.shape, np.nan)
    for code, kmh in speed_of.items():
        speed[codes == code] = kmh
    if barriers is not None:
        speed[np.asarray(barriers, dtype=bool)] = np.nan
    if road_kmh is not None:
        road = np.asarray(road_kmh, dtype=np.float64)
        speed = np.where(road > 0, road, speed)
    return speed


def surface_minutes(
    surface: Surface,
    lonlat: npt.ArrayLike,
    *,
    within_minutes: float = np.inf,
    towards: bool = True,
    directions: int = 16,
) -> Floats:
    """Return minutes between every cell and one point: towards it, or away from it.

    Parameters
    ----------
    directions
        8 or 16 neighbours; 16 bends less (at most 2.8 % too long on open ground, 8: 8.2 %).

    Returns
    -------
    (R, C) minutes, inf beyond the limit.
    """
    cell = int(surface.cells(lonlat)[0])
    return _search(surface, [cell], within_minutes, towards, directions)[0].reshape(
        surface.speed_kmh.shape
    )


def _search(
    surface: Surface, cells: list[int], limit: float, towards: bool, directions: int
) -> list[Floats]:
    from allocator.travel.kernels import search_raster

    if directions not in (8, 16):
        raise ValueError(f"directions must be 8 or 16, got {directions}")
    moves = np.array(_QUEEN + (_KNIGHT if directions == 16 else []), dtype=np.int64)
    sloped = surface.height_m is not None
    height = surface.height_m if surface.height_m is not None else np.zeros((1, 1))
    pace, (dx, dy) = surface.pace, surface.cell_metres()
    found = []
    for cell in cells:
        if cell < 0 or np.isinf(pace.ravel()[cell]):
            found.append(np.full(pace.size, np.inf))
            continue
        found.append(
            search_raster(
                pace, np.ascontiguousarray(height, dtype=np.float64), dx, dy, moves, towards,
                cell, 0.0, limit, TOBLER_RATE if sloped else 0.0, TOBLER_SHIFT,
            )
        )  # fmt: skip
    return found


def surface_arcs(
    surface: Surface,
    origins_lonlat: npt.ArrayLike,
    destinations_lonlat: npt.ArrayLike,
    *,
    within_minutes: float,
    access_minutes: float = 0.0,
    directions: int = 16,
) -> Arcs:
    """Time journeys over the surface, from cell centre to cell centre, within the limit only.

    Points in one cell are a straight line apart. Points outside the map or on a closed cell reach
    nothing and are reached by nothing.

    Returns
    -------
    Arcs
        ``km`` is unknown.
    """
    limit = within_minutes - access_minutes
    a, b = as_points(origins_lonlat), as_points(destinations_lonlat)
    start, end = surface.cells(a), surface.cells(b)
    pace = surface.pace.ravel()
    i, j, t = [], [], []
    for column, cell in enumerate(end.tolist()):
        time = _search(surface, [cell], limit, True, directions)[0]
        minutes = np.where(start >= 0, time[start], np.inf)
        same = np.flatnonzero((start == cell) & (cell >= 0) & np.isfinite(pace[cell]))
        here = np.repeat(b[column : column + 1], len(same), axis=0)
        minutes[same] = distance_km(a[same], here, surface.crs) * 1000 * pace[cell]
        reach = np.flatnonzero(minutes <= limit)
        i.append(reach)
        j.append(np.full(len(reach), column))
        t.append(minutes[reach] + access_minutes)
    if not i:
        return make_arcs([], [], [], method="surface")
    return make_arcs(np.concatenate(i), np.concatenate(j), np.concatenate(t), method="surface")
