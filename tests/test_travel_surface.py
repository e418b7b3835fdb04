"""Travel over a surface: against another program, against a network, and up and down hill."""

import numpy as np
import pytest

from allocator.travel import make_network, network_arcs
from allocator.travel.surface import (
    Surface,
    speeds_from_land_cover,
    surface_arcs,
    surface_minutes,
)

CRS = "EPSG:4546"


def _surface(speed, height=None):
    return Surface(
        np.asarray(speed, dtype=float), 0.0, 100.0 * len(speed), 100.0, 100.0, CRS, height
    )


def _speeds(seed, shape=(40, 50)):
    rng = np.random.default_rng(seed)
    speed = rng.choice([2.0, 4.0, 15.0], shape)
    speed[rng.random(shape) < 0.15] = np.nan
    speed[20, 25] = 4.0
    return speed


def test_minutes_over_a_surface_equal_those_of_scikit_image():
    graph = pytest.importorskip("skimage.graph")
    speed = _speeds(1)
    found = surface_minutes(_surface(speed), (2550.0, 1950.0), directions=8)
    cost = np.where(np.isnan(speed), -1, 6 / speed)  # minutes a cell of 100 m
    expected, _ = graph.MCP_Geometric(cost).find_costs([(20, 25)])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_surface_and_a_network_of_the_same_speeds_agree_within_a_cell():
    speed = np.where(np.isnan(_speeds(2)), 4.0, _speeds(2))
    surface, (rows, cols) = _surface(speed), speed.shape
    number = np.arange(rows * cols).reshape(rows, cols)
    a, b, km = [], [], []
    for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1)):
        left = slice(1, None) if dc < 0 else slice(0, cols - dc)
        right = slice(0, cols - 1) if dc < 0 else slice(dc, None)
        a.append(number[: rows - dr, left].ravel())
        b.append(number[dr:, right].ravel())
        km.append(np.full(a[-1].size, 0.1 * np.hypot(dr, dc)))
    a, b, km = (np.concatenate(x) for x in (a, b, km))
    pace = 60 / speed.ravel()
    r, c = np.divmod(np.arange(rows * cols), cols)
    xy = np.column_stack([c * 100.0 + 50, (rows - r) * 100.0 - 50])
    network = make_network(
        xy, a, b, km=km, minutes=km * (pace[a] + pace[b]) / 2, crs=CRS, both_ways=True
    )
    rng = np.random.default_rng(4)
    start, end = rng.uniform(0, 4000, (60, 2)), rng.uniform(0, 4000, (9, 2))
    cell = np.sqrt(2) * 0.1 * pace.max()
    over = surface_arcs(surface, start, end, within_minutes=500, directions=8)
    along = network_arcs(network, start, end, within_minutes=500, walk_kmh=4)
    assert len(over) == len(along) == 540
    assert np.abs(over.minutes - along.minutes).max() <= cell


def test_sixteen_directions_bend_less_than_eight_on_open_ground():
    surface = _surface(np.full((60, 60), 6.0))
    point = (3050.0, 2950.0)
    r, c = np.indices((60, 60))
    straight = np.hypot(c - 30, r - 30) * 100 / 1000 / 6 * 60
    for directions, worst in ((8, 1.0824), (16, 1.0276)):
        ratio = surface_minutes(surface, point, directions=directions) / np.maximum(straight, 1e-9)
        ratio[30, 30] = 1
        assert ratio.min() >= 1 - 1e-9
        assert worst - 0.01 < ratio.max() <= worst


def test_a_knight_does_not_jump_over_a_barrier():
    speed = np.full((5, 5), 6.0)
    speed[2, :] = np.nan
    time = surface_minutes(_surface(speed), (50.0, 450.0))
    assert np.isinf(time[2:]).all()
    assert np.isfinite(time[:2]).all()


def test_uphill_is_slower_than_downhill_as_tobler_says():
    height = np.tile(np.arange(10) * 10.0, (3, 1))  # rises eastwards by 10 %
    surface = _surface(np.full((3, 10), 5.0), height)
    low, high = [[50.0, 150.0]], [[950.0, 150.0]]
    up = surface_arcs(surface, low, high, within_minutes=60, directions=8).minutes[0]
    down = surface_arcs(surface, high, low, within_minutes=60, directions=8).minutes[0]
    level = 0.9 / 5 * 60
    assert up == pytest.approx(level * np.exp(3.5 * (0.15 - 0.05)))
    assert down == pytest.approx(level * np.exp(3.5 * (0.05 - 0.05)))


def test_points_on_barriers_outside_the_map_and_on_zero_speed_are_named_and_reach_nothing():
    surface = _surface([[4.0, np.nan], [0.0, 4.0]])
    points = [[50, 150], [150, 150], [50, 50], [500, 50], [np.nan, 50]]
    assert surface.standing(points) == ["", "barrier", "zero-speed", "outside", "outside"]
    arcs = surface_arcs(surface, points, points, within_minutes=60)
    assert arcs.origin.tolist() == arcs.destination.tolist() == [0]


def test_roads_bridge_a_river_and_an_unnamed_land_cover_is_a_barrier():
    speed = speeds_from_land_cover(
        [[1, 2, 9]], {1: 4.0, 2: 2.0}, barriers=[[1, 0, 0]], road_kmh=[[30.0, np.nan, 0.0]]
    )
    np.testing.assert_array_equal(speed, [[30.0, 2.0, np.nan]])


def test_cells_of_a_map_in_degrees_are_as_wide_as_their_latitude_makes_them():
    surface = Surface(np.ones((2, 2)), 109.0, 61.0, 1.0, 1.0, "EPSG:4490")
    dx, dy = surface.cell_metres()
    assert dx[0] < dx[1] < 60_000
    assert (dy > 111_000).all()


@pytest.mark.parametrize("speed", [[[-1.0]], [[np.inf]], [1.0]])
def test_an_impossible_surface_is_refused(speed):
    with pytest.raises(ValueError, match="s"):
        _surface(speed)
