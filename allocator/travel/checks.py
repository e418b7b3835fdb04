"""What is told about points, arcs and tables before anyone plans with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from pyproj import CRS

from allocator.errors import Finding, Rank, Text, Where, plural
from allocator.travel.arcs import Arcs, Floats, Ints, nearest
from allocator.travel.straight import as_points, distance_km

__all__ = [
    "check_against_straight_line",
    "check_missing_pairs",
    "check_off_the_map",
    "check_points",
    "check_unreached",
]

SHOWN = 20


def check_points(
    lonlat: npt.ArrayLike,
    box: tuple[float, float, float, float],
    *,
    crs: str = "EPSG:4490",
    margin: float = 0.1,
    table: str = "points",
) -> tuple[Finding, ...]:
    """Find points outside the region's box and say what they look like.

    Parameters
    ----------
    lonlat
        (N, 2) points; blank ones are passed over.
    box
        (west, south, east, north) of the region, in ``crs``.
    margin
        Share of the box's size by which a point may lie outside.

    Returns
    -------
    One error for each kind of fault: swapped axes, metres in degree columns, (0, 0), outside.
    """
    points = as_points(lonlat)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return ()
    inside = _inside(points, box, margin)
    zero = (points == 0).all(axis=1) & ~inside
    swapped = ~inside & ~zero & _inside(points[:, ::-1], box, margin)
    degrees = CRS.from_user_input(crs).is_geographic
    metres = ~inside & ~swapped & ~zero & (np.abs(points) > (180.0, 90.0)).any(axis=1) & degrees
    outside = ~(inside | zero | swapped | metres)
    words = {
        "points-swapped": (
            swapped,
            Text("经纬度疑似颠倒", "look as if longitude and latitude were swapped"),
            Text("核对经度、纬度两列。", "Check which column is longitude."),
        ),
        "points-in-metres": (
            metres,
            Text("不是度,疑似投影坐标(米)", "are no degrees and look like projected metres"),
            Text("声明坐标系或换算为经纬度。", "Declare the coordinate system, or convert them."),
        ),
        "points-at-zero": (
            zero,
            Text("坐标为(0, 0)", "stand at (0, 0)"),
            Text("未知坐标请留空。", "Leave an unknown coordinate blank."),
        ),
        "points-outside": (
            outside,
            Text("在区域范围之外", "lie outside the region's box"),
            Text("核对坐标与坐标系。", "Check the coordinates and their system."),
        ),
    }
    return tuple(
        Finding(
            Rank.ERROR,
            code,
            Where(file=table),
            Text(
                f"{which.sum()}/{len(points)} 个点({which.mean():.0%}){what.zh}。",
                f"{which.sum()} of {len(points)} points ({which.mean():.0%}) {what.en}.",
            ),
            remedy,
        )
        for code, (which, what, remedy) in words.items()
        if which.any()
    )


def _inside(
    points: Floats, box: tuple[float, float, float, float], margin: float
) -> npt.NDArray[np.bool_]:
    low, high = np.array(box[:2]), np.array(box[2:])
    slack = margin * (high - low)
    inside: npt.NDArray[np.bool_] = ((points >= low - slack) & (points <= high + slack)).all(axis=1)
    return inside


def check_unreached(
    arcs: Arcs,
    origin_ids: Sequence[str],
    destination_ids: Sequence[str],
    *,
    within_minutes: float,
    people: npt.ArrayLike | None = None,
) -> tuple[Finding, ...]:
    """Name the places that reach no site within the limit, with the nearest site and its time.

    Parameters
    ----------
    arcs
        Arcs of a longer limit than ``within_minutes``, so that the nearest site is known.
    people
        (N,) people in need; places with none are passed over.
    """
    minutes, site = nearest(arcs, len(origin_ids))
    need = np.ones(len(origin_ids)) if people is None else np.asarray(people, dtype=np.float64)
    return tuple(
        Finding(
            Rank.WARNING,
            "place-out-of-reach",
            Where(id=origin_ids[i]),
            _no_site(minutes[i], destination_ids[site[i]] if site[i] >= 0 else "", within_minutes),
            Text(
                "其需求计入未满足;可增设选址或放宽时限。",
                "Its need is counted as unmet; add a site nearby or widen the limit.",
            ),
        )
        for i in np.flatnonzero((minutes > within_minutes) & (need > 0)).tolist()
    )


def _no_site(minutes: float, site: str, limit: float) -> Text:
    zh, en = f"{limit:g} 分钟内无设施可达", f"No site is within {limit:g} minutes"
    if not site:
        return Text(f"{zh},也无任何通路。", f"{en}, and none can be reached at all.")
    return Text(
        f"{zh};最近为 {site},{minutes:.1f} 分钟。",
        f"{en}; the nearest is {site}, {minutes:.1f} minutes away.",
    )


def check_off_the_map(
    ids: Sequence[str],
    where: Sequence[str],
    *,
    existing: npt.ArrayLike,
) -> tuple[Finding, ...]:
    """Tell facilities that cannot be travelled to: an error if it exists, else a warning.

    Parameters
    ----------
    where
        (M,) ``""`` in order, or ``barrier``, ``outside``, ``zero-speed``, ``off-network``.
    existing
        (M,) whether the facility stands today.
    """
    today = np.asarray(existing, dtype=bool)
    return tuple(
        Finding(
            Rank.ERROR if today[j] else Rank.WARNING,
            f"site-{kind}",
            Where(id=ids[j]),
            Text(f"该设施{_OFF[kind].zh}。", f"This facility {_OFF[kind].en}."),
            Text(
                "核对坐标,或补充道路与地类数据。",
                "Check its point, or complete the roads and the land cover.",
            ),
        )
        for j, kind in enumerate(where)
        if kind
    )


_OFF = {
    "barrier": Text("位于不可通行处", "stands on a barrier"),
    "outside": Text("在图幅之外", "lies outside the map"),
    "zero-speed": Text("所在栅格速度为零", "stands on a cell of zero speed"),
    "off-network": Text("离路网过远", "is too far from any road"),
}


def check_missing_pairs(arcs: Arcs, n_origins: int, n_destinations: int) -> tuple[Finding, ...]:
    """Count the pairs without a journey: they are out of reach, never zero minutes."""
    missing = n_origins * n_destinations - len(arcs)
    if not missing:
        return ()
    return (
        Finding(
            Rank.INFORMATION,
            "pairs-missing",
            Where(),
            Text(
                f"{missing} 对起讫点无里程,按不可达处理。",
                f"{plural(missing, 'pair has no journey and counts', 'pairs have no journey and count')} as out of reach.",
            ),
            Text("确有通路的请补充。", "Add those that have a way."),
        ),
    )


def check_against_straight_line(
    arcs: Arcs,
    origins_lonlat: npt.ArrayLike,
    destinations_lonlat: npt.ArrayLike,
    origin_ids: Sequence[str],
    destination_ids: Sequence[str],
    *,
    fastest_kmh: float,
    crs: str = "EPSG:4490",
    slack: float = 0.01,
) -> tuple[Finding, ...]:
    """Tell journeys shorter than the straight line, or faster than anything drives.

    Parameters
    ----------
    fastest_kmh
        Speed that no journey can exceed along the straight line.
    slack
        Share by which a figure may fall short before it is told (rounded figures).
    """
    a, b = as_points(origins_lonlat)[arcs.origin], as_points(destinations_lonlat)[arcs.destination]
    straight = distance_km(a, b, crs)
    shorter = arcs.km < straight * (1 - slack)
    faster = arcs.minutes < straight / fastest_kmh * 60 * (1 - slack)
    rows = np.flatnonzero(shorter | faster)
    return tuple(_too_short(arcs, rows, straight, origin_ids, destination_ids))


def _too_short(
    arcs: Arcs, rows: Ints, straight: Floats, origins: Sequence[str], destinations: Sequence[str]
) -> Iterator[Finding]:
    if not len(rows):
        return
    pairs = [
        f"{origins[arcs.origin[r]]} → {destinations[arcs.destination[r]]}"
        f" ({arcs.km[r]:.1f} km, {arcs.minutes[r]:.1f} min; {straight[r]:.1f} km)"
        for r in rows[:SHOWN]
    ]
    more = len(rows) - len(pairs)
    listed = "; ".join(pairs) + (f"; +{more}" if more else "")
    yield Finding(
        Rank.WARNING,
        "journey-shorter-than-straight-line",
        Where(),
        Text(
            f"{len(rows)} 对起讫点的里程或时间小于直线:{listed}。",
            f"{plural(len(rows), 'journey is', 'journeys are')} shorter than the straight line: {listed}.",
        ),
        Text("核对坐标、单位与里程。", "Check points, units and distances."),
    )
