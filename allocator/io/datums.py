"""Points of a map vendor among surveyed ones: the offset of GCJ-02 or BD-09 found in the points.

No file says it of itself: it shows only beside something whose place is known. Two witnesses are heard,
the roads of the case and the other table of points. Each is asked about the vendor's offset and
about the same distance in six other directions; only an offset that stands out from all of them is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from allocator.errors import Finding, Where
from allocator.io.coordinates import DATUMS, Floats, bd09_to_wgs84, gcj02_to_wgs84
from allocator.io.findings import warning

__all__ = ["check_datums"]

UNDO = dict(zip(DATUMS, (gcj02_to_wgs84, bd09_to_wgs84), strict=True))
KEYS = (("areas", "area_id"), ("sites", "site_id"))
TURNS = np.arange(8) * np.pi / 4
TAKEN, ADDED = 0, 4  # of the turns: the offset taken away, and put on again
SAME_PLACE_M = 60.0
FEWEST, FEWEST_OF_A_BATCH = 5, 8
FALL = 0.4  # of the median distance from the roads, against the best of the other directions
SHOWN = 8


def check_datums(
    tables: Mapping[str, pd.DataFrame], roads: Floats | None = None
) -> Iterator[Finding]:
    """Tell places that lie off by the offset of a map vendor, in either direction.

    Parameters
    ----------
    tables
        ``areas`` and ``sites`` in degrees, by number of row.
    roads
        (R, 2) points along the roads in degrees of WGS 84 or CGCS2000; None: no roads are known.
    """
    placed = {n: tables[n][tables[n]["lon"].notna() & tables[n]["lat"].notna()] for n, _ in KEYS}
    told = False
    if roads is not None and len(roads):
        for name, key in KEYS:
            for finding in _against_roads(name, key, placed[name], roads):
                told = True
                yield finding
    if not told:
        yield from _against_areas(placed["areas"], placed["sites"])


def _against_roads(name: str, key: str, table: pd.DataFrame, roads: Floats) -> Iterator[Finding]:
    """Batches of a table (its townships) that come to lie at the roads once moved by the offset."""
    if len(table) < FEWEST_OF_A_BATCH:
        return
    points, middle = _degrees(table), np.median(_degrees(table), axis=0)
    tree = cKDTree(_metres(roads, middle))

    def off(at: np.ndarray) -> tuple[str, int, np.ndarray] | None:
        """Return the offset by which a batch fits the roads, and which of it comes nearer."""
        stay = tree.query(_metres(points[at], middle))[0]
        for datum in DATUMS:
            apart = tree.query(_metres(_turned(points[at], datum), middle))[0]
            medians = np.median(apart, axis=1)
            turn = int(np.argmin(medians))
            by_chance = min(np.median(stay), np.delete(medians, turn).min())
            nearer = apart[turn] < stay
            if turn in (TAKEN, ADDED) and medians[turn] < FALL * by_chance and nearer.mean() >= 0.8:
                return datum, turn, at[nearer]
        return None

    whole = off(np.arange(len(table)))
    batches = table.reset_index(drop=True).groupby("township_id").indices.values()
    found: dict[tuple[str, int], list[np.ndarray]] = {}
    for datum, turn, at in (
        [whole] if whole else filter(None, (off(b) for b in batches if len(b) >= FEWEST_OF_A_BATCH))
    ):
        found.setdefault((datum, turn), []).append(at)
    for (datum, turn), parts in found.items():
        at = np.concatenate(parts)
        before = np.median(tree.query(_metres(points[at], middle))[0])
        after = np.median(tree.query(_metres(_turned(points[at], datum)[turn], middle))[0])
        yield _told(
            name, key, table, at, datum, turn,
            (
                f"离道路的中位距离由{before:,.0f}米变为{after:,.0f}米",
                f"their median distance from the roads falls from {before:,.0f} m to {after:,.0f} m",
            ),
            every=whole is not None,
        )  # fmt: skip


def _against_areas(areas: pd.DataFrame, sites: pd.DataFrame) -> Iterator[Finding]:
    """Sites that come to stand on a village's point once moved by the offset."""
    if len(areas) < FEWEST or len(sites) < FEWEST:
        return
    middle = np.median(_degrees(areas), axis=0)
    tree = cKDTree(_metres(_degrees(areas), middle))
    apart = np.flatnonzero(tree.query(_metres(_degrees(sites), middle))[0] > SAME_PLACE_M)
    points = _degrees(sites)[apart]
    if not len(points):
        return
    for datum in DATUMS:
        hits = tree.query(_metres(_turned(points, datum), middle))[0] <= SAME_PLACE_M
        counts = hits.sum(axis=1)
        turn = int(np.argmax(counts))
        by_chance = np.delete(counts, turn).max()
        if (
            turn in (TAKEN, ADDED)
            and counts[turn] >= max(FEWEST, 3 * by_chance)
            and counts[turn] >= 0.25 * len(points)
        ):
            yield _told(
                "sites", "site_id", sites, apart[hits[turn]], datum, turn,
                ("之后与某村的点重合", "they then stand on the point of a village"),
                every=counts[turn] == len(sites),
            )  # fmt: skip
            return


def _told(
    name: str,
    key: str,
    table: pd.DataFrame,
    at: np.ndarray,
    datum: str,
    turn: int,
    witness: tuple[str, str],
    every: bool,
) -> Finding:
    ids = list(table[key].iloc[at])
    shown = ", ".join(ids[:SHOWN]) + (f", +{len(ids) - SHOWN}" if len(ids) > SHOWN else "")
    row = str(table.index[at[0]])
    where = Where(
        file=f"{name}.csv", row=int(row) if row.isdigit() else None, column="lon", id=ids[0]
    )
    if turn == TAKEN:
        what = (f"减去{datum}偏移", f"the offset of {datum} is taken away")
        guess = (f"像是{datum}坐标", f"they look like points in {datum}")
    else:
        what = (f"加回{datum}偏移", f"the offset of {datum} is put on again")
        guess = (
            "像是本来不带偏移、却被换算过,或村点才是带偏移的",
            "they look as if they never had it, or as if the other points have it still",
        )
    return warning(
        "datum-differs" if every else "datum-mixed",
        where,
        (
            f"{len(table)}个点中有{len(ids)}个({shown})在{what[0]}后吻合:{witness[0]};{guess[0]}。",
            f"{len(ids)} of {len(table)} points ({shown}) fit once {what[1]}: {witness[1]}; {guess[1]}.",
        ),
        (
            "请核对几个已知点;一个文件只用一种坐标系,并在 case.yaml 的 crs 中声明。未作改动。",
            "Check some known points; keep one system in a file and declare it as crs in case.yaml. Nothing was changed.",
        ),
    )


def _turned(points: Floats, datum: str) -> Floats:
    """Return (8, N, 2) points moved by the vendor's offset, turned by eighths; the first undoes it."""
    lon, lat = UNDO[datum](points[:, 0], points[:, 1])
    narrow = np.cos(np.deg2rad(points[:, 1]))
    east, north = (lon - points[:, 0]) * narrow, lat - points[:, 1]
    cos, sin = np.cos(TURNS)[:, None], np.sin(TURNS)[:, None]
    step = np.stack([(cos * east - sin * north) / narrow, sin * east + cos * north], axis=-1)
    return np.asarray(points + step)


def _degrees(table: pd.DataFrame) -> Floats:
    return np.asarray(table[["lon", "lat"]].to_numpy(dtype=float))


def _metres(points: Floats, middle: Floats) -> Floats:
    """Return points on a plane about the middle: fine for some hundreds of metres apart."""
    return np.asarray((points - middle) * (111_320.0 * np.cos(np.deg2rad(middle[1])), 110_950.0))
