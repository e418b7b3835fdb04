"""Who is within how many minutes of the nearest facility, today and at the end of a plan, as areas.

Areas are cells of places, not streets: a place and its cell lie in a band by the journey of the place.
"""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import pandas as pd

from allocator.region import Region
from allocator.run import Run
from allocator.travel.isochrones import cells_joined

__all__ = ["STEPS", "WHEN", "bands", "catchments", "checked_steps", "isochrones", "near"]

STEPS = (15.0, 30.0, 60.0)
"""Minutes of the bands unless others are asked for."""
WHEN = {"today": "", "planned": "_planned"}
"""Ends of names of tables and layers: of today's facilities, and of those open at the end."""
MOST_STEPS = 6


def checked_steps(steps: Sequence[float]) -> tuple[float, ...]:
    """Return steps in ascending order.

    Raises
    ------
    ValueError
        When there are none or over six, one is twice there, or one is not above zero and within a day.
    """
    found = tuple(sorted(float(s) for s in steps))
    if not 0 < len(found) <= MOST_STEPS or len(set(found)) < len(found):
        raise ValueError(f"steps are 1 to {MOST_STEPS} different numbers of minutes")
    if not all(0 < s <= 1440 for s in found):
        raise ValueError("a step lies above 0 and within 1440 minutes")
    return found


def near(run: Run, when: str) -> pd.DataFrame | None:
    """Return places with a point and their nearest facility by service; None where there are none."""
    table = run.tables.get("nearest" + WHEN[when])
    if table is None:
        return None
    places = run.tables["areas"].drop_duplicates("point").set_index("point")[["lon", "lat"]]
    found = table.join(places, on="point").dropna(subset=["lon", "lat"])
    return None if found.empty else found


def catchments(part: pd.DataFrame, region: Region) -> gpd.GeoDataFrame:
    """Return the area nearest to each facility of one service: ``site_id`` (blank: none in reach)."""
    areas = _cells(part["site_id"].fillna(""), part, region)
    return areas.rename(columns={"destination_id": "site_id"})


def isochrones(
    part: pd.DataFrame, region: Region, steps: Sequence[float] = STEPS
) -> gpd.GeoDataFrame:
    """Return the part of each catchment within each of the steps: ``site_id``, ``within_minutes``."""
    drawn = []
    for limit in steps:
        inside = part["site_id"].fillna("").where(part["minutes"] <= limit, "")
        areas = _cells(inside, part, region)
        drawn.append(areas[areas["destination_id"] != ""].assign(within_minutes=limit))
    joined = pd.concat(drawn, ignore_index=True)
    return joined.rename(columns={"destination_id": "site_id"})


def bands(part: pd.DataFrame, region: Region, steps: Sequence[float] = STEPS) -> gpd.GeoDataFrame:
    """Return the areas between the steps: ``step`` (position of the first that holds) and area.

    Bands do not overlap; what no step holds is left out.
    """
    step = sum((part["minutes"] > limit).astype(int) for limit in steps)
    step = pd.Series(step, index=part.index).where(part["minutes"].notna(), len(steps))
    areas = _cells(step.astype(str), part, region)
    areas["step"] = areas["destination_id"].astype(int)
    return areas[areas["step"] < len(steps)].drop(columns="destination_id")


def _cells(names: pd.Series, part: pd.DataFrame, region: Region) -> gpd.GeoDataFrame:
    outline = region.outline.union_all() if region.outline is not None else None
    return cells_joined(names, part[["lon", "lat"]], crs=region.crs, outline=outline)
