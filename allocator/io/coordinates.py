"""Points of any declared system in degrees: CGCS2000 zones, and GCJ-02 or BD-09 undone.

GCJ-02 and BD-09 are the offset systems of Chinese map vendors; they are published as code rather
than as a standard, and undoing them is approximate (近似坐标,不作测绘成果).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from allocator.errors import Finding, Where
from allocator.io.findings import notice, refusal

__all__ = [
    "DATUMS",
    "bd09_to_gcj02",
    "bd09_to_wgs84",
    "gcj02_to_wgs84",
    "to_degrees",
    "wgs84_to_gcj02",
]

Floats = npt.NDArray[np.float64]
Points = tuple[Floats, Floats]

DATUMS = ("GCJ-02", "BD-09")
GEOGRAPHIC = ("EPSG:4326", "EPSG:4490")
RESULT = "EPSG:4490"

# Krasovsky 1940, as the published offset functions use it: semi-major axis, eccentricity squared.
_AXIS, _ECCENTRICITY_2 = 6378245.0, 0.00669342162296594323
_BAIDU = np.pi * 3000.0 / 180.0
_CHINA = (72.004, 137.8347, 0.8293, 55.8271)


def _waves(
    t: Floats, first: Floats, second: Floats, long: tuple[float, float], far: tuple[float, float]
) -> Floats:
    """Sum of sines along one axis; three octaves as in the published functions."""
    near = 20.0 * np.sin(6.0 * np.pi * first) + 20.0 * np.sin(2.0 * np.pi * second)
    middle = 20.0 * np.sin(np.pi * t) + 40.0 * np.sin(np.pi * t / 3.0)
    last = long[0] * np.sin(np.pi * t / far[0]) + long[1] * np.sin(np.pi * t / far[1])
    return np.asarray((near + middle + last) * 2.0 / 3.0)


def _offset(lon: Floats, lat: Floats) -> Points:
    """Degrees that GCJ-02 adds to WGS-84 longitude and latitude; 0 outside China's box."""
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north = north + _waves(y, x, x, (160.0, 320.0), (12.0, 30.0))
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east = east + _waves(x, x, x, (150.0, 300.0), (12.0, 30.0))
    phi = np.deg2rad(lat)
    magic = 1.0 - _ECCENTRICITY_2 * np.sin(phi) ** 2
    metres_north = _AXIS * (1.0 - _ECCENTRICITY_2) / (magic * np.sqrt(magic))
    metres_east = _AXIS / np.sqrt(magic) * np.cos(phi)
    west, far_east, south, far_north = _CHINA
    here = (lon >= west) & (lon <= far_east) & (lat >= south) & (lat <= far_north)
    return (
        np.where(here, np.rad2deg(east / metres_east), 0.0),
        np.where(here, np.rad2deg(north / metres_north), 0.0),
    )


def wgs84_to_gcj02(lon: Floats, lat: Floats) -> Points:
    """Return WGS-84 (or CGCS2000) degrees in GCJ-02."""
    lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    east, north = _offset(lon, lat)
    return lon + east, lat + north


def gcj02_to_wgs84(lon: Floats, lat: Floats) -> Points:
    """Return GCJ-02 degrees in WGS-84, by fixed-point steps to well under a centimetre."""
    lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    x, y = lon, lat
    for _ in range(12):
        east, north = _offset(x, y)
        x, y = lon - east, lat - north
    return x, y


def bd09_to_gcj02(lon: Floats, lat: Floats) -> Points:
    """Return BD-09 degrees in GCJ-02."""
    x, y = np.asarray(lon, dtype=float) - 0.0065, np.asarray(lat, dtype=float) - 0.006
    z = np.hypot(x, y) - 0.00002 * np.sin(y * _BAIDU)
    theta = np.arctan2(y, x) - 0.000003 * np.cos(x * _BAIDU)
    return z * np.cos(theta), z * np.sin(theta)


def bd09_to_wgs84(lon: Floats, lat: Floats) -> Points:
    """Return BD-09 degrees in WGS-84."""
    return gcj02_to_wgs84(*bd09_to_gcj02(lon, lat))


def to_degrees(
    x: npt.ArrayLike, y: npt.ArrayLike, crs: str, where: Where
) -> tuple[Floats, Floats, str, tuple[Finding, ...]]:
    """Return longitude, latitude, the system they are in, and what was done.

    Parameters
    ----------
    x, y
        Longitude and latitude, or easting and northing of a projected system.
    crs
        ``EPSG:...``, ``GCJ-02`` or ``BD-09``, as declared.

    Raises
    ------
    InputRefused
        When the system is unknown.
    """
    lon, lat = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    name = crs.strip().upper().replace("GCJ02", "GCJ-02").replace("BD09", "BD-09")
    if name in GEOGRAPHIC:
        return lon, lat, name, ()
    if name in DATUMS:
        undo = gcj02_to_wgs84 if name == "GCJ-02" else bd09_to_wgs84
        moved = undo(lon, lat)
        return *moved, RESULT, (_approximate(name, where),)
    from pyproj import CRS, Transformer
    from pyproj.exceptions import CRSError

    try:
        if not name.startswith("EPSG:"):
            raise CRSError("only EPSG codes")
        source = CRS.from_user_input(name)
    except CRSError as problem:
        raise refusal(
            "crs-unknown",
            where,
            (f"未知的坐标系“{crs[:40]}”。", f"The coordinate system {crs[:40]!r} is unknown."),
            (
                "请写 EPSG:4490(CGCS2000)、EPSG:4326、CGCS2000分带的EPSG代码、GCJ-02 或 BD-09。",
                "Write EPSG:4490 (CGCS2000), EPSG:4326, the EPSG code of a CGCS2000 zone, GCJ-02 or BD-09.",
            ),
        ) from problem
    # EPSG lists the zones' northing first; tables carry x = easting.
    moved = Transformer.from_crs(source, RESULT, always_xy=True).transform(lon, lat)
    return np.asarray(moved[0]), np.asarray(moved[1]), RESULT, ()


def _approximate(name: str, where: Where) -> Finding:
    return notice(
        "coordinates-approximate",
        where,
        (
            f"点位由{name}换算:近似坐标,不作测绘成果。",
            f"Points were converted from {name}: approximate, not survey results.",
        ),
        ("正式成果请用测绘坐标。", "Use surveyed coordinates for formal results."),
    )
