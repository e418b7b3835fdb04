"""GCJ-02 and BD-09 undone, against a public library and against themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocator.io.coordinates import bd09_to_gcj02, bd09_to_wgs84, gcj02_to_wgs84, wgs84_to_gcj02

METRE = 1 / 111_000


def points(n=500):
    draw = np.random.default_rng(1)
    return draw.uniform(75, 134, n), draw.uniform(18, 53, n)


def test_conversions_agree_with_a_public_library_within_metres():
    other = pytest.importorskip("eviltransform", reason="eviltransform is not installed")
    lon, lat = points()
    for mine, theirs, metres in (
        (wgs84_to_gcj02, other.wgs2gcj, 0.05),
        (bd09_to_gcj02, other.bd2gcj, 0.01),
        (gcj02_to_wgs84, other.gcj2wgs_exact, 1.0),
    ):
        expected = np.array([theirs(y, x) for x, y in zip(lon, lat, strict=True)])
        got = mine(lon, lat)
        assert np.abs(got[0] - expected[:, 1]).max() < metres * METRE
        assert np.abs(got[1] - expected[:, 0]).max() < metres * METRE


def test_a_known_offset_is_hundreds_of_metres_and_is_undone():
    lon, lat = points()
    moved = wgs84_to_gcj02(lon, lat)
    metres = np.hypot((moved[0] - lon) * np.cos(np.deg2rad(lat)), moved[1] - lat) / METRE
    assert metres.min() > 50 and metres.max() < 1500
    back = gcj02_to_wgs84(*moved)
    assert max(np.abs(back[0] - lon).max(), np.abs(back[1] - lat).max()) < 1e-9


@given(st.floats(74, 135), st.floats(4, 53))
def test_bd09_is_within_two_kilometres_of_what_it_stands_for(lon, lat):
    x, y = bd09_to_wgs84(np.array([lon]), np.array([lat]))
    assert np.hypot(x - lon, y - lat)[0] < 0.03


def test_points_outside_china_are_not_moved():
    lon, lat = np.array([2.35, 139.7]), np.array([48.85, 35.7])
    assert np.array_equal(wgs84_to_gcj02(lon, lat)[0], lon)
