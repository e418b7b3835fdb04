"""Travel: journeys by straight line, road-distance table and matrix."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from allocator.errors import InputRefused
from allocator.travel import (
    METHODS,
    Arcs,
    distance_km,
    make_arcs,
    matrix,
    nearest,
    prefer,
    road_table,
    straight_line,
)


def _pairs(arcs: Arcs) -> dict[tuple[int, int], float]:
    rows = zip(arcs.origin.tolist(), arcs.destination.tolist(), arcs.minutes.tolist(), strict=True)
    return {(i, j): t for i, j, t in rows}


def _table(*rows):
    return pd.DataFrame(rows, columns=["from_id", "to_id", "road_km", "minutes"])


def test_straight_line_agrees_with_a_full_geodesic_matrix_and_keeps_only_the_limit():
    rng = np.random.default_rng(1)
    a = rng.uniform([108.8, 24.8], [109.6, 25.6], (80, 2))
    b = rng.uniform([108.8, 24.8], [109.6, 25.6], (30, 2))
    arcs = straight_line(
        a, b, detour=1.4, speed_kmh=30, access_minutes=5, within_minutes=60, crs="EPSG:4490"
    )
    geod = Geod(ellps="GRS80")
    expected = {}
    for i, (x, y) in enumerate(a):
        for j, (u, v) in enumerate(b):
            minutes = 5 + geod.inv(x, y, u, v)[2] / 1000 * 1.4 / 30 * 60
            if minutes <= 60:
                expected[i, j] = minutes
    found = _pairs(arcs)
    assert found.keys() == expected.keys()
    assert 0 < len(found) < 80 * 30
    for pair, minutes in expected.items():
        assert found[pair] == pytest.approx(minutes, abs=1e-9)


def test_a_place_without_a_point_reaches_nothing_and_a_limit_below_access_reaches_nothing():
    a = [[109.0, 25.0], [np.nan, 25.0]]
    arcs = straight_line(a, [[109.0, 25.0]], detour=1.3, speed_kmh=4, within_minutes=15)
    assert _pairs(arcs) == {(0, 0): 0.0}
    none = straight_line(a, a, detour=1.3, speed_kmh=4, access_minutes=20, within_minutes=15)
    assert len(none) == 0


def test_a_projected_system_gives_planar_distances():
    arcs = straight_line(
        [[500000.0, 2780000.0]], [[503000.0, 2784000.0]],
        detour=1.0, speed_kmh=5, within_minutes=60, crs="EPSG:4546",
    )  # fmt: skip
    assert _pairs(arcs) == {(0, 0): pytest.approx(60.0)}


@pytest.mark.parametrize(
    "fault", [{"detour": 0.9}, {"speed_kmh": 0}, {"access_minutes": -1}, {"detour": np.nan}]
)
def test_impossible_figures_of_a_straight_line_are_refused(fault):
    given_ = {"detour": 1.3, "speed_kmh": 4, "within_minutes": 15, **fault}
    with pytest.raises(ValueError, match=next(iter(fault))):
        straight_line([[109.0, 25.0]], [[109.0, 25.0]], **given_)


def test_a_road_table_is_directed_and_a_missing_pair_is_out_of_reach():
    table = _table(("a", "s", 10.0, np.nan), ("s", "b", 5.0, np.nan))
    arcs = road_table(table, ["a", "b"], ["s"], speed_kmh=30, within_minutes=100)
    assert _pairs(arcs) == {(0, 0): 20.0}
    both = road_table(table, ["a", "b"], ["s"], speed_kmh=30, within_minutes=100, both_ways=True)
    assert _pairs(both) == {(0, 0): 20.0, (1, 0): 10.0}


def test_stated_minutes_win_over_kilometres_and_a_stated_pair_over_a_quicker_chain():
    table = _table(("v", "t", 4.0, 15.0), ("t", "s", 6.0, 10.0), ("v", "s", 12.0, 40.0))
    arcs = road_table(table, ["v", "t"], ["s"], speed_kmh=30, within_minutes=100, access_minutes=2)
    assert _pairs(arcs) == {(0, 0): 42.0, (1, 0): 12.0}
    assert arcs.km.tolist() == [12.0, 6.0]
    assert [METHODS[m] for m in arcs.method] == ["road-table", "road-table"]


def test_a_pair_the_table_does_not_give_is_the_chain_village_township_county():
    table = _table(
        ("v1", "t1", 3.0, np.nan), ("v2", "t1", 8.0, np.nan), ("v3", "t2", 2.0, np.nan),
        ("t1", "county", 20.0, np.nan), ("t2", "county", 30.0, np.nan),
    )  # fmt: skip
    arcs = road_table(
        table, ["v1", "v2", "v3"], ["S1", "S2"], speed_kmh=60, within_minutes=60,
        both_ways=True, stands_at={"S1": "county", "S2": "t1"},
    )  # fmt: skip
    assert _pairs(arcs) == {
        (0, 0): 23.0, (0, 1): 3.0, (1, 0): 28.0, (1, 1): 8.0, (2, 0): 32.0, (2, 1): 52.0,
    }  # fmt: skip
    np.testing.assert_allclose(arcs.km, arcs.minutes)
    assert METHODS[arcs.method[0]] == "road-table-composed"
    assert METHODS[arcs.method[1]] == "road-table"
    stated = road_table(table, ["v1"], ["county"], speed_kmh=60, within_minutes=60, compose=False)
    assert len(stated) == 0


def test_a_row_of_a_road_table_without_figures_or_with_negative_ones_is_refused_by_row():
    table = _table(("a", "s", np.nan, np.nan), ("b", "s", 3.0, np.nan), ("c", "s", -3.0, np.nan))
    with pytest.raises(InputRefused) as refused:
        road_table(table, ["a", "b", "c"], ["s"], speed_kmh=30, within_minutes=100)
    assert [(f.code, f.where.row) for f in refused.value.findings] == [
        ("distance-figure", 2), ("distance-figure", 4),
    ]  # fmt: skip


def test_an_asymmetric_matrix_is_accepted_and_a_missing_arc_is_never_zero_minutes():
    arcs = matrix([[0.0, 10.0], [25.0, np.nan]], within_minutes=20)
    assert _pairs(arcs) == {(0, 0): 0.0, (0, 1): 10.0}
    with pytest.raises(InputRefused, match="negative-minutes"):
        matrix([[0.0, -10.0]])


@given(st.permutations(range(12)))
@settings(max_examples=30, deadline=None)
def test_the_order_of_rows_never_matters(order):
    rng = np.random.default_rng(3)
    i, j, t = rng.integers(0, 3, 12), rng.integers(0, 3, 12), rng.integers(1, 9, 12) * 1.0
    first = make_arcs(i, j, t, method="matrix")
    rows = list(order)
    again = make_arcs(i[rows], j[rows], t[rows], method="matrix")
    assert first.digest == again.digest


def test_of_a_pair_given_twice_the_quicker_stays():
    arcs = make_arcs([0, 0, 0], [1, 1, 0], [7.0, 5.0, np.inf], method="matrix")
    assert _pairs(arcs) == {(0, 1): 5.0}


def test_arcs_out_of_order_or_without_a_time_are_refused_at_construction():
    good = make_arcs([0, 0], [0, 1], [1.0, 2.0], method="matrix")
    with pytest.raises(ValueError, match="sorted"):
        Arcs(good.origin, good.destination[::-1], good.minutes, good.km, good.method)
    with pytest.raises(ValueError, match="finite"):
        Arcs(good.origin, good.destination, good.minutes * np.nan, good.km, good.method)


def test_nearest_names_the_first_of_equals_and_says_where_nothing_is_in_reach():
    arcs = make_arcs([0, 0, 2], [2, 1, 0], [4.0, 4.0, 9.0], method="matrix")
    minutes, destination = nearest(arcs, 3)
    assert minutes.tolist() == [4.0, np.inf, 9.0]
    assert destination.tolist() == [1, -1, 0]


def test_a_table_is_preferred_where_it_has_the_pair():
    table = make_arcs([0], [0], [50.0], method="road-table")
    line = make_arcs([0, 1], [0, 0], [5.0, 6.0], method="straight-line")
    both = prefer(table, line)
    assert _pairs(both) == {(0, 0): 50.0, (1, 0): 6.0}
    assert _pairs(both.within(20)) == {(1, 0): 6.0}


def test_a_degree_of_the_equator_is_as_long_as_the_ellipsoid_says():
    assert distance_km([[0, 0]], [[1, 0]])[0] == pytest.approx(np.pi * 6378.137 / 180, rel=1e-9)
