"""Journeys along a straight line, lengthened by a detour factor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pyproj import CRS, Geod
from scipy.spatial import cKDTree

from allocator.travel.arcs import Arcs, Floats, make_arcs

__all__ = ["distance_km", "straight_line"]


def straight_line(
    origins_lonlat: npt.ArrayLike,
    destinations_lonlat: npt.ArrayLike,
    *,
    detour: float,
    speed_kmh: float,
    access_minutes: float = 0.0,
    within_minutes: float,
    crs: str = "EPSG:4490",
) -> Arcs:
    """Time journeys as geodesic x detour at one speed, for pairs within the limit only.

    Parameters
    ----------
    origins_lonlat, destinations_lonlat
        (N, 2) and (M, 2) points in ``crs``, longitude (or easting) first. A point with a blank
        coordinate reaches nothing and is reached by nothing.
    detour
        Road length over straight-line length, at least 1.
    speed_kmh
        Speed on the way, positive.
    access_minutes
        Added to every journey.
    within_minutes
        Longest journey kept, access included.
    crs
        Geographic (degrees; distances on its ellipsoid) or projected (metres; planar distances).

    Returns
    -------
    Arcs
        ``km`` is the lengthened distance.

    Raises
    ------
    ValueError
        When detour is under 1, or speed or access is not a possible figure.
    """
    if not detour >= 1:
        raise ValueError(f"detour must be at least 1, got {detour}")
    if not speed_kmh > 0:
        raise ValueError(f"speed_kmh must be positive, got {speed_kmh}")
    if not access_minutes >= 0:
        raise ValueError(f"access_minutes must not be negative, got {access_minutes}")
    a, b = _points(origins_lonlat), _points(destinations_lonlat)
    has_a, has_b = (np.flatnonzero(np.isfinite(p).all(axis=1)) for p in (a, b))
    reach_km = (within_minutes - access_minutes) * speed_kmh / 60 / detour
    if reach_km < 0 or not len(has_a) or not len(has_b):
        return make_arcs([], [], [], method="straight-line")
    system = CRS.from_user_input(crs)
    at_a, at_b = _space(a[has_a], system), _space(b[has_b], system)
    # A chord is never longer than the geodesic above it, so this drops no pair within reach.
    reach_m = min(reach_km * 1000 * (1 + 1e-9) + 1e-3, 1.4e7)
    near = cKDTree(at_a).sparse_distance_matrix(cKDTree(at_b), reach_m, output_type="ndarray")
    i, j = has_a[near["i"]], has_b[near["j"]]
    km = distance_km(a[i], b[j], crs) * detour
    minutes = access_minutes + km / speed_kmh * 60
    keep = minutes <= within_minutes
    return make_arcs(i[keep], j[keep], minutes[keep], km[keep], method="straight-line")


def distance_km(a: npt.ArrayLike, b: npt.ArrayLike, crs: str = "EPSG:4490") -> Floats:
    """Return (N,) kilometres between the points of ``a`` and ``b``, row by row, in ``crs``."""
    p, q = _points(a), _points(b)
    system = CRS.from_user_input(crs)
    if system.is_geographic:
        geod: Geod = system.get_geod() or Geod(ellps="GRS80")
        metres = geod.inv(p[:, 0], p[:, 1], q[:, 0], q[:, 1])[2]
        return np.asarray(metres, dtype=np.float64) / 1000
    return np.asarray(np.hypot(*(p - q).T) * _metres_per_unit(system) / 1000)


def _points(values: npt.ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64).reshape(-1, 2)


def _metres_per_unit(system: CRS) -> float:
    return float(system.axis_info[0].unit_conversion_factor)


def _space(lonlat: Floats, system: CRS) -> Floats:
    """Return points in metres in a space where straight distance bounds travel from below."""
    if not system.is_geographic:
        return lonlat * _metres_per_unit(system)
    ellipsoid = system.ellipsoid
    a = ellipsoid.semi_major_metre if ellipsoid else 6378137.0
    b = ellipsoid.semi_minor_metre if ellipsoid else 6356752.314
    lon, lat = np.radians(lonlat).T
    n = a * a / np.hypot(a * np.cos(lat), b * np.sin(lat))
    flat = n * np.cos(lat)
    return np.column_stack([flat * np.cos(lon), flat * np.sin(lon), n * (b / a) ** 2 * np.sin(lat)])
