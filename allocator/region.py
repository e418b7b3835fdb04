"""Who lives where and what stands where: `Region`, one county in one coordinate system.

Tables have the columns declared in `schema`, sorted by id; nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
import pandas as pd

from allocator.errors import Text

__all__ = ["AREA_CLASSES", "Region"]

AREA_CLASSES: Mapping[str, Text] = {
    "county": Text("全县", "Whole county"),
    "county-town": Text("县城", "County town"),
    "township-seat": Text("乡镇驻地", "Township seats"),
    "village": Text("村", "Villages"),
}
"""Names of the classes of areas, and of all together."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Region:
    """One county: townships, areas (villages and communities), sites, homes of today.

    Parameters
    ----------
    id, title
        Division code and name.
    crs
        Coordinate system of ``lon``/``lat`` and of the outline, such as ``EPSG:4490``.
    townships, areas, sites, homes
        Tables of the schemas of those names, sorted by id, ids unique and text.
    outline
        County outline in ``crs``; None where the user has none.
    seat
        (lon, lat) of the county seat; None where unknown.
    """

    id: str
    title: Text
    crs: str
    townships: pd.DataFrame
    areas: pd.DataFrame
    sites: pd.DataFrame
    homes: pd.DataFrame
    outline: gpd.GeoDataFrame | None = None
    seat: tuple[float, float] | None = None

    @property
    def area_ids(self) -> tuple[str, ...]:
        """Ids of the areas, sorted."""
        return tuple(self.areas["area_id"])

    @property
    def site_ids(self) -> tuple[str, ...]:
        """Ids of the sites, sorted."""
        return tuple(self.sites["site_id"])

    @property
    def township_of_area(self) -> pd.Series:
        """Township id by area id."""
        return self.areas.set_index("area_id")["township_id"]

    def placed(self, points: pd.DataFrame) -> Region:
        """Return the region with areas and sites at other points.

        Parameters
        ----------
        points
            Columns ``point_id``, ``lon``, ``lat`` in degrees of ``crs``; points not named stay.
        """
        at = points.set_index("point_id")
        moved = {}
        for name, key in (("areas", "area_id"), ("sites", "site_id")):
            table: pd.DataFrame = getattr(self, name).copy()
            known = table[key].isin(at.index)
            for column in ("lon", "lat"):
                new = table[key].map(at[column])
                table[column] = np.where(known, new, table[column])
            moved[name] = table
        return replace(self, **moved)
