"""Journeys of one mode by whatever a county has: the first source that knows both ends counts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocator.travel.arcs import Arcs, Floats, Ints, make_arcs, nearest
from allocator.travel.network import Network, nearest_on_network, network_arcs, snap
from allocator.travel.straight import as_points, straight_line
from allocator.travel.surface import Surface, surface_arcs
from allocator.travel.table import road_table

__all__ = [
    "SOURCES",
    "Places",
    "TravelSpec",
    "journey_parts",
    "moved",
    "standing",
    "time_journeys",
    "time_nearest",
]

Mask = npt.NDArray[np.bool_]

SOURCES = ("matrix", "network", "surface", "road-table", "straight-line")
"""What journeys can be timed by, best first: the order where the user states none."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TravelSpec:
    """How journeys are timed, and what they are timed with.

    Parameters
    ----------
    methods
        Words of `SOURCES` in order of preference. A pair is timed by the first source that knows
        both its ends; what that source puts out of reach stays out of reach.
    detour
        Straight lines are multiplied by it, at least 1.
    speed_kmh, access_minutes
        By mode of travel; access is added to every journey.
    both_ways, compose
        Whether a leg of the road-distance table that is stated one way also serves the way back,
        and whether legs may be joined.
    walk_kmh
        Speed of the walk between a point and the network.
    snap_within_km
        A point farther from every road is off the network.
    networks, surfaces
        By mode of travel.
    distances, matrix
        Tables of the schemas of those names.
    """

    methods: tuple[str, ...] = ("straight-line",)
    detour: float = 1.4
    speed_kmh: Mapping[str, float] = field(default_factory=dict)
    access_minutes: Mapping[str, float] = field(default_factory=dict)
    both_ways: bool = True
    compose: bool = True
    walk_kmh: float = 3.6
    snap_within_km: float = 2.0
    networks: Mapping[str, Network] = field(default_factory=dict)
    surfaces: Mapping[str, Surface] = field(default_factory=dict)
    distances: pd.DataFrame | None = None
    matrix: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        unknown = [m for m in self.methods if m not in SOURCES]
        if unknown or not self.methods:
            raise ValueError(f"methods must be some of {SOURCES}, got {self.methods}")


@dataclass(frozen=True, eq=False)
class Places:
    """Ends of journeys: ids, points, and the ids by which tables may know them.

    Parameters
    ----------
    ids
        (N,) ids.
    lonlat
        (N, 2) points; blank where unknown.
    stands_at
        Id of the place where an end stands (the residents of a home at the home); tables look it
        up where they do not know the id itself.
    township_id
        (N,) seat through which the road-distance table reaches an end that it does not name and
        that has no point of its own.
    """

    ids: tuple[str, ...]
    lonlat: Floats
    township_id: tuple[str, ...]
    stands_at: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of ids, points and where they stand."""
        h = hashlib.sha256(
            repr((self.ids, self.township_id, sorted(self.stands_at.items()))).encode()
        )
        h.update(np.ascontiguousarray(self.lonlat, dtype=np.float64).tobytes())
        return h.hexdigest()

    def take(self, rows: npt.ArrayLike) -> Places:
        """Return the places chosen by an (N,) mask."""
        chosen = np.flatnonzero(np.asarray(rows, dtype=bool))
        return Places(
            tuple(self.ids[n] for n in chosen),
            as_points(self.lonlat)[chosen],
            tuple(self.township_id[n] for n in chosen),
            self.stands_at,
        )

    @property
    def has_point(self) -> Mask:
        """(N,) whether the point is known."""
        return np.asarray(np.isfinite(as_points(self.lonlat)).all(axis=1))


def time_journeys(
    spec: TravelSpec,
    origins: Places,
    destinations: Places,
    *,
    mode: str,
    within_minutes: float,
    crs: str,
) -> Arcs:
    """Return the journeys of a mode from origins to destinations within the limit.

    Parameters
    ----------
    mode
        A mode for which the spec has a speed and, where it uses them, a network or a surface.
    within_minutes
        Longest journey kept, access included.
    crs
        System of the points.

    Raises
    ------
    InputRefused
        When a row of a table has no possible figure.
    """
    found: list[Arcs] = []
    earlier: list[tuple[Mask, Mask]] = []
    for name in spec.methods:
        arcs = _TIMERS[name](spec, origins, destinations, mode, within_minutes, crs)
        known = (
            _known(name, spec, origins, mode, crs, "from_id"),
            _known(name, spec, destinations, mode, crs, "to_id"),
        )
        left = np.ones(len(arcs), dtype=bool)
        for start, end in earlier:
            left &= ~(start[arcs.origin] & end[arcs.destination])
        found.append(arcs.take(left))
        earlier.append(known)
    if len(found) == 1:
        return found[0]
    columns = ("origin", "destination", "minutes", "km")
    return make_arcs(
        *(np.concatenate([getattr(a, c) for a in found]) for c in columns),
        method=np.concatenate([a.method for a in found]),
    )


def time_nearest(
    spec: TravelSpec,
    origins: Places,
    destinations: Places,
    *,
    mode: str,
    within_minutes: float,
    crs: str,
) -> tuple[Floats, Ints]:
    """Return minutes to, and position of, the nearest destination of every origin.

    The same as the nearest of all `time_journeys`; on a network it is one search for all.

    Returns
    -------
    (N,) minutes, inf where nothing is within the limit; (N,) destination, -1 there.
    """

    def timed(a: Places, b: Places) -> tuple[Floats, Ints]:
        arcs = time_journeys(spec, a, b, mode=mode, within_minutes=within_minutes, crs=crs)
        return nearest(arcs, len(a.ids))

    if spec.methods[0] != "network":
        return timed(origins, destinations)
    network = spec.networks[mode]
    ends = [moved(p.lonlat, crs, network.crs) for p in (origins, destinations)]
    minutes, best = nearest_on_network(
        network, *ends, walk_kmh=min(spec.walk_kmh, spec.speed_kmh[mode]),
        access_minutes=spec.access_minutes.get(mode, 0.0), within_minutes=within_minutes,
        snap_within_km=spec.snap_within_km,
    )  # fmt: skip
    if len(spec.methods) > 1:
        a_on = _known("network", spec, origins, mode, crs, "from_id")
        b_on = _known("network", spec, destinations, mode, crs, "to_id")
        for a_in, b_in in ((~a_on, np.ones(len(b_on), dtype=bool)), (a_on, ~b_on)):
            rows, columns = np.flatnonzero(a_in), np.flatnonzero(b_in)
            if not len(rows) or not len(columns):
                continue
            other, at = timed(origins.take(a_in), destinations.take(b_in))
            sooner = (other < minutes[rows]) | (
                (other == minutes[rows]) & (at >= 0) & (columns[at] < best[rows])
            )
            minutes[rows[sooner]] = other[sooner]
            best[rows[sooner]] = columns[at[sooner]]
    return minutes, best


def standing(
    spec: TravelSpec, places: Places, *, mode: str, crs: str, side: str = "to_id"
) -> tuple[tuple[str, ...], ...]:
    """Return for each place why each source cannot time it, in the order of ``spec.methods``.

    The words are ``""`` (it can), ``no-point``, ``no-row``, ``off-network``, ``outside``,
    ``barrier`` and ``zero-speed``.

    Parameters
    ----------
    side
        ``from_id`` for origins, ``to_id`` for destinations.
    """
    told = [_unknown(name, spec, places, mode, crs, side) for name in spec.methods]
    return tuple(zip(*told, strict=True))


def journey_parts(spec: TravelSpec, *, mode: str) -> dict[str, object]:
    """Return all of a spec on which journeys of a mode depend, as plain data and digests."""
    parts: dict[str, object] = {
        "methods": list(spec.methods), "detour": spec.detour, "mode": mode,
        "speed": spec.speed_kmh[mode], "access": spec.access_minutes.get(mode, 0.0),
        "both_ways": spec.both_ways, "compose": spec.compose, "walk": spec.walk_kmh,
        "snap": spec.snap_within_km,
    }  # fmt: skip
    if "network" in spec.methods:
        parts["network"] = spec.networks[mode].digest
    if "surface" in spec.methods:
        parts["surface"] = spec.surfaces[mode].digest
    for name in ("distances", "matrix"):
        table: pd.DataFrame | None = getattr(spec, name)
        if table is not None:
            rows = pd.util.hash_pandas_object(table, index=False).to_numpy()
            parts[name] = hashlib.sha256(rows.tobytes()).hexdigest()
    return parts


def _known(name: str, spec: TravelSpec, places: Places, mode: str, crs: str, side: str) -> Mask:
    why = _unknown(name, spec, places, mode, crs, side)
    return np.array([not reason for reason in why], dtype=bool)


def _unknown(
    name: str, spec: TravelSpec, places: Places, mode: str, crs: str, side: str
) -> list[str]:
    """Return why a source cannot time each place as that end, blank where it can."""
    if name == "matrix":
        ends = _column(_of_mode(spec.matrix, mode), side)
        return ["" if n in ends else "no-row" for n in _names(ends, places)]
    if name == "road-table":
        ends = _column(spec.distances, "from_id") | _column(spec.distances, "to_id")
        names = _names(ends, places, seats=_seats(spec, places))
        return ["" if n in ends else "no-row" for n in names]
    point = places.has_point
    why: npt.NDArray[np.object_] = np.full(len(point), "", dtype=object)
    if name == "network":
        network = spec.networks[mode]
        at = moved(places.lonlat, crs, network.crs)
        off = snap(network, at, within_km=spec.snap_within_km).node < 0
        why[off] = "off-network"
    elif name == "surface":
        surface = spec.surfaces[mode]
        why[:] = surface.standing(moved(places.lonlat, crs, surface.crs))
    why[~point] = "no-point"
    return [str(w) for w in why]


def _column(table: pd.DataFrame | None, name: str) -> set[str]:
    return set() if table is None else set(table[name])


def _seats(spec: TravelSpec, places: Places) -> Mask:
    """Which places the road-distance table may reach through the seat of their township.

    Those without a point; every place where no later source could time it.
    """
    return ~places.has_point | (spec.methods[-1] == "road-table")


def _names(ends: set[str], places: Places, *, seats: Mask | None = None) -> list[str]:
    """Return the id under which a table knows each place; its own where the table does not."""
    names = []
    for n, id in enumerate(places.ids):
        tries = [id, places.stands_at.get(id, id)]
        if seats is not None and seats[n]:
            tries.append(places.township_id[n])
        names.append(next((t for t in tries if t in ends), id))
    return names


def _of_mode(matrix: pd.DataFrame | None, mode: str) -> pd.DataFrame | None:
    """Return the rows of a matrix for a mode: its own, else those that name no mode."""
    if matrix is None:
        return None
    own = matrix[matrix["mode"] == mode]
    return own if len(own) else matrix[matrix["mode"] == ""]


def moved(lonlat: Floats, crs: str, to: str) -> Floats:
    """Return points of one system in another; CGCS2000 and WGS 84 degrees count as the same."""
    from pyproj import CRS, Transformer

    one, other = CRS.from_user_input(crs), CRS.from_user_input(to)
    if one == other or (one.is_geographic and other.is_geographic):
        return lonlat
    x, y = Transformer.from_crs(one, other, always_xy=True).transform(*as_points(lonlat).T)
    moved = np.column_stack([x, y])
    moved[~np.isfinite(moved).all(axis=1)] = np.nan
    return moved


def _by_straight_line(
    spec: TravelSpec, a: Places, b: Places, mode: str, within: float, crs: str
) -> Arcs:
    return straight_line(
        a.lonlat, b.lonlat, detour=spec.detour, speed_kmh=spec.speed_kmh[mode],
        access_minutes=spec.access_minutes.get(mode, 0.0), within_minutes=within, crs=crs,
    )  # fmt: skip


def _by_road_table(
    spec: TravelSpec, a: Places, b: Places, mode: str, within: float, crs: str
) -> Arcs:
    if spec.distances is None:
        return make_arcs([], [], [], method="road-table")
    ends = _column(spec.distances, "from_id") | _column(spec.distances, "to_id")
    return road_table(
        spec.distances, _names(ends, a, seats=_seats(spec, a)),
        _names(ends, b, seats=_seats(spec, b)), speed_kmh=spec.speed_kmh[mode],
        within_minutes=within, access_minutes=spec.access_minutes.get(mode, 0.0),
        compose=spec.compose, both_ways=spec.both_ways,
    )  # fmt: skip


def _by_matrix(spec: TravelSpec, a: Places, b: Places, mode: str, within: float, crs: str) -> Arcs:
    table = _of_mode(spec.matrix, mode)
    if table is None:
        return make_arcs([], [], [], method="matrix")
    names = _names(_column(table, "from_id"), a), _names(_column(table, "to_id"), b)
    i = pd.DataFrame({"from_id": names[0], "i": np.arange(len(names[0]))})
    j = pd.DataFrame({"to_id": names[1], "j": np.arange(len(names[1]))})
    rows = table.merge(i, on="from_id").merge(j, on="to_id")
    same = i.rename(columns={"from_id": "id"}).merge(j.rename(columns={"to_id": "id"}), on="id")
    minutes = np.concatenate([rows["minutes"].to_numpy(np.float64), np.zeros(len(same))])
    minutes = minutes + spec.access_minutes.get(mode, 0.0)
    km = np.concatenate([rows["road_km"].to_numpy(np.float64), np.zeros(len(same))])
    keep = minutes <= within
    return make_arcs(
        np.concatenate([rows["i"], same["i"]])[keep], np.concatenate([rows["j"], same["j"]])[keep],
        minutes[keep], km[keep], method="matrix",
    )  # fmt: skip


def _by_network(spec: TravelSpec, a: Places, b: Places, mode: str, within: float, crs: str) -> Arcs:
    network = spec.networks[mode]
    return network_arcs(
        network, moved(a.lonlat, crs, network.crs), moved(b.lonlat, crs, network.crs),
        within_minutes=within, walk_kmh=min(spec.walk_kmh, spec.speed_kmh[mode]),
        access_minutes=spec.access_minutes.get(mode, 0.0), snap_within_km=spec.snap_within_km,
        threads=2,
    )  # fmt: skip


def _by_surface(spec: TravelSpec, a: Places, b: Places, mode: str, within: float, crs: str) -> Arcs:
    surface = spec.surfaces[mode]
    return surface_arcs(
        surface, moved(a.lonlat, crs, surface.crs), moved(b.lonlat, crs, surface.crs),
        within_minutes=within, access_minutes=spec.access_minutes.get(mode, 0.0),
    )  # fmt: skip


_TIMERS: Mapping[str, Callable[[TravelSpec, Places, Places, str, float, str], Arcs]] = {
    "matrix": _by_matrix, "network": _by_network, "surface": _by_surface,
    "road-table": _by_road_table, "straight-line": _by_straight_line,
}  # fmt: skip
