"""Journeys from what planners keep: a road-distance table (里程表) or a supplied matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from allocator.errors import Finding, Rank, Text, Where, refuse_if_any
from allocator.travel.arcs import METHODS, Arcs, Floats, Ints, make_arcs

__all__ = ["matrix", "road_table"]

# A stored zero would be read as "no leg" by some sparse operations; a tenth of a microsecond.
_NO_TIME = 1e-9


def road_table(
    table: pd.DataFrame,
    origin_ids: Sequence[str],
    destination_ids: Sequence[str],
    *,
    speed_kmh: float,
    within_minutes: float,
    access_minutes: float = 0.0,
    compose: bool = True,
    both_ways: bool = False,
    stands_at: Mapping[str, str] | None = None,
) -> Arcs:
    """Time journeys by a road-distance table; a pair it does not give is out of reach.

    Rows are directed. A stated pair is taken as stated. A pair that is not stated is the quickest
    chain of stated legs (village to township to county), where ``compose`` allows it and a chain
    exists.

    Parameters
    ----------
    table
        Schema ``distances``: ``from_id``, ``to_id``, ``road_km``, ``minutes``. Stated minutes are
        used as they are; blank minutes are km at ``speed_kmh``.
    origin_ids, destination_ids
        Ids of the places that travel and of the sites.
    speed_kmh
        Speed where the table gives km only, positive.
    within_minutes
        Longest journey kept, access included.
    access_minutes
        Added once to every journey.
    compose
        Whether legs may be joined into a journey.
    both_ways
        Whether a leg stated one way only also serves the way back, as tables that list each pair
        once mean it.
    stands_at
        The id under which the table knows an origin or a destination, where it is another id (a
        site at the seat of a township).

    Raises
    ------
    InputRefused
        When a row has neither km nor minutes, or a negative figure.
    """
    if not speed_kmh > 0:
        raise ValueError(f"speed_kmh must be positive, got {speed_kmh}")
    legs = _legs(table, speed_kmh, both_ways)
    at = stands_at or {}
    from_names = [at.get(n, n) for n in origin_ids]
    to_names = [at.get(n, n) for n in destination_ids]
    stated = _stated(legs, from_names, to_names)
    found = [stated]
    if compose and len(legs):
        found.append(_composed(legs, from_names, to_names, within_minutes - access_minutes))
    rows = pd.concat(found, ignore_index=True).drop_duplicates(["i", "j"], keep="first")
    minutes = rows["minutes"].to_numpy(np.float64) + access_minutes
    keep = minutes <= within_minutes
    return make_arcs(
        rows["i"].to_numpy()[keep],
        rows["j"].to_numpy()[keep],
        minutes[keep],
        rows["road_km"].to_numpy(np.float64)[keep],
        method=rows["method"].to_numpy(np.int8)[keep],
    )


def _legs(table: pd.DataFrame, speed_kmh: float, both_ways: bool) -> pd.DataFrame:
    """Return the legs with a time each, the quickest row of every directed pair."""
    legs = pd.DataFrame(
        {
            "from_id": table["from_id"].astype(str),
            "to_id": table["to_id"].astype(str),
            "road_km": pd.to_numeric(table["road_km"]).astype(np.float64),
            "minutes": pd.to_numeric(table["minutes"]).astype(np.float64),
        }
    )
    refuse_if_any(_row_faults(legs))
    legs["minutes"] = legs["minutes"].fillna(legs["road_km"] / speed_kmh * 60)
    legs = legs.sort_values(["from_id", "to_id", "minutes"], kind="stable")
    legs = legs.drop_duplicates(["from_id", "to_id"], keep="first")
    if both_ways:
        back = legs.rename(columns={"from_id": "to_id", "to_id": "from_id"})
        legs = pd.concat([legs, back]).drop_duplicates(["from_id", "to_id"], keep="first")
    return legs.reset_index(drop=True)


def _row_faults(legs: pd.DataFrame) -> list[Finding]:
    blank = legs["road_km"].isna() & legs["minutes"].isna()
    bad = (legs[["road_km", "minutes"]] < 0) | np.isinf(legs[["road_km", "minutes"]])
    found = []
    for row in np.flatnonzero(blank | bad.any(axis=1)).tolist():
        name = f"{legs['from_id'].iloc[row]} → {legs['to_id'].iloc[row]}"
        where = Where(file="distances", row=row + 2, id=name)
        if blank.iloc[row]:
            what = Text("既无里程也无时间。", "Neither kilometres nor minutes are given.")
        else:
            what = Text(
                "里程或时间为负或非有限数。", "Kilometres or minutes are negative or endless."
            )
        remedy = Text(
            "填写里程或时间;不通达的删去该行。",
            "Give one of the two; leave the row out where there is no way.",
        )
        found.append(Finding(Rank.ERROR, "distance-figure", where, what, remedy))
    return found


def _stated(legs: pd.DataFrame, from_names: list[str], to_names: list[str]) -> pd.DataFrame:
    i = pd.DataFrame({"from_id": from_names, "i": np.arange(len(from_names))})
    j = pd.DataFrame({"to_id": to_names, "j": np.arange(len(to_names))})
    rows = legs.merge(i, on="from_id").merge(j, on="to_id")
    return rows.assign(method=METHODS.index("road-table"))[
        ["i", "j", "minutes", "road_km", "method"]
    ]


def _composed(
    legs: pd.DataFrame, from_names: list[str], to_names: list[str], limit: float
) -> pd.DataFrame:
    """Return the quickest chains of legs, searched backwards from each destination."""
    names = pd.Index(sorted({*legs["from_id"], *legs["to_id"]}))
    a, b = names.get_indexer(legs["from_id"]), names.get_indexer(legs["to_id"])
    n = len(names)
    minutes = np.maximum(legs["minutes"].to_numpy(), _NO_TIME)
    back = csr_array((minutes, (b, a)), shape=(n, n))
    km = pd.Series(legs["road_km"].to_numpy(), index=a.astype(np.int64) * n + b)
    ends = names.get_indexer(pd.Index(to_names))
    starts = names.get_indexer(pd.Index(from_names))
    known, at = np.unique(ends[ends >= 0], return_inverse=True)
    origins = np.flatnonzero(starts >= 0)
    if not len(known) or not len(origins):
        return _stated(legs.iloc[:0], [], [])
    time, towards = dijkstra(back, indices=known, limit=max(limit, 0.0), return_predecessors=True)
    i, j, t, d = [], [], [], []
    for position, k in zip(np.flatnonzero(ends >= 0), at, strict=True):
        reach = origins[np.isfinite(time[k, starts[origins]])]
        i.append(reach)
        j.append(np.full(len(reach), position))
        t.append(time[k, starts[reach]])
        d.append(_walked_km(starts[reach], towards[k], km, n))
    method = METHODS.index("road-table-composed")
    return pd.DataFrame(
        {
            "i": np.concatenate(i),
            "j": np.concatenate(j),
            "minutes": np.where(np.concatenate(t) < 1e-6, 0.0, np.concatenate(t)),
            "road_km": np.concatenate(d),
            "method": method,
        }
    )


def _walked_km(start: Ints, towards: Ints, km: pd.Series, n: int) -> Floats:
    """Return the km of the chain from each start, following ``towards`` to its end."""
    total = np.zeros(len(start))
    here = start.astype(np.int64)
    while True:
        ahead = towards[here].astype(np.int64)
        moving = ahead >= 0
        if not moving.any():
            return total
        total[moving] += km.reindex(here[moving] * n + ahead[moving]).to_numpy(np.float64)
        here = np.where(moving, ahead, here)


def matrix(
    minutes: npt.ArrayLike,
    km: npt.ArrayLike | None = None,
    *,
    within_minutes: float = np.inf,
    access_minutes: float = 0.0,
) -> Arcs:
    """Time journeys by a supplied (N, M) matrix, from rows to columns; blank is out of reach.

    Parameters
    ----------
    minutes
        (N, M) one-way minutes; NaN or inf where there is no way. The matrix need not be
        symmetric.
    km
        (N, M) kilometres, where known.

    Raises
    ------
    InputRefused
        When a time is negative.
    """
    t = np.asarray(minutes, dtype=np.float64)
    if t.ndim != 2:
        raise ValueError(f"a matrix has two dimensions, got {t.ndim}")
    found = [
        Finding(
            Rank.ERROR,
            "negative-minutes",
            Where(file="matrix", id=f"[{i}, {j}]"),
            Text(f"时间为负({t[i, j]:g})。", f"The time is negative ({t[i, j]:g})."),
            Text("改正该数;不通达的留空。", "Correct it; leave it blank where there is no way."),
        )
        for i, j in np.argwhere(t < 0)
    ]
    refuse_if_any(found)
    total = t + access_minutes
    i, j = np.nonzero(np.isfinite(total) & (total <= within_minutes))
    d = None if km is None else np.asarray(km, dtype=np.float64)[i, j]
    return make_arcs(i, j, total[i, j], d, method="matrix")
