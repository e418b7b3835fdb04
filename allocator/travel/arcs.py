"""`Arcs`: who can reach what, in how many minutes, as sorted sparse arrays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

__all__ = ["METHODS", "Arcs", "Floats", "Ints", "make_arcs", "nearest", "prefer"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

METHODS = (
    "straight-line",
    "road-table",
    "road-table-composed",
    "network",
    "surface",
    "matrix",
)
"""How a journey was timed; `Arcs.method` holds positions in this tuple."""


@dataclass(frozen=True, eq=False)
class Arcs:
    """Journeys from origins to destinations, sorted by (origin, destination), each pair once.

    A pair that is not there is out of reach; it is never zero minutes.

    Parameters
    ----------
    origin, destination
        (A,) positions in the caller's list of origins and of destinations.
    minutes
        (A,) one-way minutes, access included; finite and not negative.
    km
        (A,) one-way kilometres on the way taken; NaN where unknown.
    method
        (A,) positions in `METHODS`.
    """

    origin: Ints
    destination: Ints
    minutes: Floats
    km: Floats
    method: npt.NDArray[np.int8]

    def __post_init__(self) -> None:
        sizes = {len(getattr(self, f.name)) for f in fields(self)}
        if len(sizes) != 1:
            raise ValueError(f"arrays of arcs differ in length: {sorted(sizes)}")
        if not np.isfinite(self.minutes).all() or (self.minutes < 0).any():
            raise ValueError("minutes of an arc must be finite and not negative")
        step = np.diff(self.origin)
        ordered = (step > 0) | ((step == 0) & (np.diff(self.destination) > 0))
        if not ordered.all():
            raise ValueError("arcs must be sorted by (origin, destination) and unique")

    def __len__(self) -> int:
        return len(self.origin)

    def within(self, limit_minutes: float) -> Arcs:
        """Return the arcs of at most ``limit_minutes``."""
        return self.take(self.minutes <= limit_minutes)

    def take(self, rows: npt.NDArray[np.bool_] | Ints) -> Arcs:
        """Return the arcs chosen by a mask, or by ascending positions."""
        return Arcs(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def digest(self) -> str:
        """Digest of every array: equal arcs have equal digests."""
        h = hashlib.sha256()
        for f in fields(self):
            values = np.ascontiguousarray(getattr(self, f.name))
            h.update(f"{f.name}{values.dtype}{values.shape}".encode())
            h.update(values.tobytes())
        return h.hexdigest()


def make_arcs(
    origin: npt.ArrayLike,
    destination: npt.ArrayLike,
    minutes: npt.ArrayLike,
    km: npt.ArrayLike | None = None,
    *,
    method: str | npt.ArrayLike,
) -> Arcs:
    """Return arcs from rows in any order; of a pair given twice the quicker row stays.

    Parameters
    ----------
    origin, destination, minutes, km
        (A,) arrays; rows whose minutes are not finite are out of reach and left out.
    method
        One word of `METHODS`, or (A,) positions in it.

    Raises
    ------
    ValueError
        When minutes are negative or the method is unknown.
    """
    i = np.asarray(origin, dtype=np.int64)
    j = np.asarray(destination, dtype=np.int64)
    t = np.asarray(minutes, dtype=np.float64)
    d = np.full(len(t), np.nan) if km is None else np.asarray(km, dtype=np.float64)
    if isinstance(method, str):
        m = np.full(len(t), METHODS.index(method), dtype=np.int8)
    else:
        m = np.asarray(method, dtype=np.int8)
    rows = np.flatnonzero(np.isfinite(t))
    rows = rows[np.lexsort((t[rows], j[rows], i[rows]))]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (np.diff(i[rows]) != 0) | (np.diff(j[rows]) != 0)
    rows = rows[first]
    return Arcs(i[rows], j[rows], t[rows], d[rows], m[rows])


def prefer(first: Arcs, second: Arcs) -> Arcs:
    """Return every pair of ``first``, and those of ``second`` that ``first`` does not have.

    Cut to a limit afterwards, not before: a pair that ``first`` times beyond the limit must not be
    brought back by ``second``.
    """
    width = 1 + max((int(a.destination.max()) for a in (first, second) if len(a)), default=0)
    missing = ~np.isin(
        second.origin * width + second.destination, first.origin * width + first.destination
    )
    rest = second.take(missing)
    return make_arcs(
        *(np.concatenate([getattr(first, n), getattr(rest, n)]) for n in _MEASURED),
        method=np.concatenate([first.method, rest.method]),
    )


_MEASURED = ("origin", "destination", "minutes", "km")


def nearest(arcs: Arcs, n_origins: int) -> tuple[Floats, Ints]:
    """Return minutes to, and position of, the nearest destination of every origin.

    Ties go to the destination that comes first.

    Returns
    -------
    (n_origins,) minutes, inf where nothing is in reach; (n_origins,) destination, -1 there.
    """
    minutes = np.full(n_origins, np.inf)
    destination = np.full(n_origins, -1, dtype=np.int64)
    rows = np.lexsort((arcs.destination, arcs.minutes, arcs.origin))
    first = np.ones(len(rows), dtype=bool)
    first[1:] = np.diff(arcs.origin[rows]) != 0
    rows = rows[first]
    minutes[arcs.origin[rows]] = arcs.minutes[rows]
    destination[arcs.origin[rows]] = arcs.destination[rows]
    return minutes, destination
