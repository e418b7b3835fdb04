"""Isochrones and catchments: what maps and reports draw of travel times."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from allocator.travel.arcs import Arcs, Floats, nearest
from allocator.travel.network import Network, snap
from allocator.travel.surface import Surface, surface_minutes

__all__ = ["catchments", "cells_joined", "isochrones", "nearest_table", "surface_isochrones"]


def isochrones(
    network: Network,
    point: tuple[float, float],
    limits_minutes: Sequence[float],
    *,
    walk_kmh: float,
    buffer_m: float = 50.0,
    towards: bool = True,
) -> gpd.GeoDataFrame:
    """Return the streets from which a point is reached within each limit, as areas.

    Parameters
    ----------
    point
        In the network's ``crs``.
    limits_minutes
        Positive limits.
    buffer_m
        Half width of the area along a street.
    towards
        Journeys to the point; False: away from it.

    Returns
    -------
    GeoDataFrame
        ``minutes`` ascending and the area, in the network's ``crs``; empty areas where nothing is
        reached.
    """
    from allocator.travel.kernels import search_graph_all

    graph = network.reversed() if towards else network
    at = snap(network, [point])
    limits = sorted(limits_minutes)
    time, _ = search_graph_all(
        graph.indptr, graph.heads, graph.minutes, at.node,
        np.nan_to_num(at.km) / walk_kmh * 60, max(limits),
    )  # fmt: skip
    shapes = [_reached(graph, time, limit) for limit in limits]
    lines = gpd.GeoSeries(shapes, crs=network.crs)
    if lines.crs.is_geographic:
        metric = gpd.GeoSeries([shapely.Point(point)], crs=network.crs).estimate_utm_crs()
        areas = lines.to_crs(metric).buffer(buffer_m).to_crs(network.crs)
    else:
        areas = lines.buffer(buffer_m)
    return gpd.GeoDataFrame({"minutes": limits}, geometry=areas.array, crs=network.crs)


def _reached(graph: Network, time: Floats, limit: float) -> shapely.Geometry:
    """Return the edges reached within the limit, the last ones cut where time runs out."""
    tails = graph.tails
    rows = np.flatnonzero(time[tails] <= limit)
    left = limit - time[tails[rows]]
    share = np.divide(
        left, graph.minutes[rows], out=np.ones(len(rows)), where=graph.minutes[rows] > left
    )
    a, b = graph.xy[tails[rows]], graph.xy[graph.heads[rows]]
    segments = np.stack([a, a + share[:, None] * (b - a)], axis=1)
    segments = segments[(segments[:, 0] != segments[:, 1]).any(axis=1)]
    return shapely.multilinestrings(shapely.linestrings(segments))


def surface_isochrones(
    surface: Surface, point: tuple[float, float], limits_minutes: Sequence[float]
) -> gpd.GeoDataFrame:
    """Return the cells from which a point is reached within each limit, as areas.

    Needs ``rasterio`` (extra ``geo``).
    """
    from rasterio.features import shapes
    from rasterio.transform import Affine

    limits = sorted(limits_minutes)
    time = surface_minutes(surface, [point], within_minutes=max(limits))
    place = Affine(surface.cell_x, 0, surface.west, 0, -surface.cell_y, surface.north)
    areas = []
    for limit in limits:
        inside = (time <= limit).astype(np.uint8)
        parts = [shapely.geometry.shape(s) for s, _ in shapes(inside, inside > 0, transform=place)]
        areas.append(shapely.union_all(parts))
    return gpd.GeoDataFrame({"minutes": limits}, geometry=areas, crs=surface.crs)


def nearest_table(
    arcs: Arcs, origin_ids: Sequence[str], destination_ids: Sequence[str]
) -> pd.DataFrame:
    """Return a row a place: nearest destination (blank: none in reach) and minutes to it (NaN)."""
    minutes, site = nearest(arcs, len(origin_ids))
    names = np.array([*destination_ids, ""], dtype=object)
    return pd.DataFrame(
        {
            "origin_id": list(origin_ids),
            "destination_id": names[site],
            "minutes": np.where(np.isfinite(minutes), minutes, np.nan),
        }
    )


def catchments(
    arcs: Arcs,
    origins_lonlat: npt.ArrayLike,
    origin_ids: Sequence[str],
    destination_ids: Sequence[str],
    *,
    crs: str,
    outline: shapely.Geometry | None = None,
) -> gpd.GeoDataFrame:
    """Return the area from which each destination is the nearest: cells of its places, joined.

    Parameters
    ----------
    origins_lonlat
        (N, 2) points in ``crs``, none blank; places at one point share a cell.
    outline
        Areas are cut to it.

    Returns
    -------
    GeoDataFrame
        ``destination_id`` (blank: nothing in reach), ``places``, mean ``minutes``, area.
    """
    table = nearest_table(arcs, origin_ids, destination_ids)
    areas = cells_joined(table["destination_id"], origins_lonlat, crs=crs, outline=outline)
    counts = table.groupby("destination_id").agg(
        places=("origin_id", "size"), minutes=("minutes", "mean")
    )
    return areas.join(counts, on="destination_id")[
        ["destination_id", "geometry", "places", "minutes"]
    ]


def cells_joined(
    destinations: Sequence[str],
    origins_lonlat: npt.ArrayLike,
    *,
    crs: str,
    outline: shapely.Geometry | None = None,
) -> gpd.GeoDataFrame:
    """Return the cells of places joined by the destination of each: ``destination_id``, area.

    Parameters
    ----------
    origins_lonlat
        (N, 2) points in ``crs``, none blank; of places at one point the first has the cell.
    outline
        Areas are cut to it.
    """
    points = np.asarray(origins_lonlat, dtype=np.float64)
    spots, where = np.unique(points, axis=0, return_inverse=True)
    if len(spots) < 2:
        cells = np.array([outline or shapely.Point(spots[0]).buffer(1e-3)], dtype=object)
    else:
        tiles = shapely.voronoi_polygons(
            shapely.multipoints(spots), extend_to=outline, ordered=True
        )
        cells = shapely.get_parts(tiles)
    if outline is not None:
        cells = shapely.intersection(cells, outline)
    first = pd.Series(where).drop_duplicates().index
    names = pd.Series(list(destinations), name="destination_id")
    frame = gpd.GeoDataFrame(names, geometry=cells[where], crs=crs)
    return frame.loc[first].dissolve("destination_id").reset_index()
