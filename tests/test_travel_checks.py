"""Travel: what is told about points, pairs and facilities."""

import numpy as np
import pytest

from allocator.errors import InputRefused, Rank, refuse_if_any
from allocator.travel import make_arcs, matrix
from allocator.travel.checks import (
    check_against_straight_line,
    check_missing_pairs,
    check_off_the_map,
    check_points,
    check_unreached,
)

BOX = (108.8, 24.8, 109.6, 25.6)


@pytest.mark.parametrize(
    ("points", "code"),
    [
        ([[25.1, 109.2], [25.2, 109.3]], "points-swapped"),
        ([[500000, 2780000]], "points-in-metres"),
        ([[0, 0]], "points-at-zero"),
        ([[120.0, 31.0]], "points-outside"),
    ],
)
def test_misplaced_points_are_refused_with_their_share_and_what_they_look_like(points, code):
    good = [[109.2, 25.1]] * 3
    findings = check_points(good + points, BOX)
    assert [f.code for f in findings] == [code]
    assert f"{len(points)} of {3 + len(points)} points" in findings[0].what.en
    with pytest.raises(InputRefused):
        refuse_if_any(findings)


def test_points_inside_the_box_and_blank_points_find_nothing():
    assert check_points([[109.2, 25.1], [np.nan, np.nan]], BOX) == ()


def test_a_place_without_a_site_in_reach_is_told_with_the_nearest_site_and_its_time():
    arcs = make_arcs([0, 1, 1], [0, 0, 1], [10.0, 47.0, 55.0], method="matrix")
    found = check_unreached(arcs, ["a", "b", "c", "d"], ["S1", "S2"], within_minutes=30,
                            people=[5, 5, 5, 0])  # fmt: skip
    assert [(f.where.id, f.rank) for f in found] == [("b", Rank.WARNING), ("c", Rank.WARNING)]
    assert "S1, 47.0 minutes" in found[0].what.en
    assert "none can be reached" in found[1].what.en


def test_a_facility_off_the_map_is_refused_when_it_exists_and_told_when_it_is_a_candidate():
    found = check_off_the_map(["S1", "S2", "S3"], ["barrier", "", "zero-speed"],
                              existing=[True, True, False])  # fmt: skip
    assert [(f.where.id, f.code, f.rank) for f in found] == [
        ("S1", "site-barrier", Rank.ERROR), ("S3", "site-zero-speed", Rank.WARNING),
    ]  # fmt: skip


def test_missing_pairs_are_counted_and_are_not_zero_minutes():
    arcs = matrix([[1.0, np.nan], [np.inf, 2.0]])
    (found,) = check_missing_pairs(arcs, 2, 2)
    assert found.rank is Rank.INFORMATION
    assert found.what.en.startswith("2 pairs")
    assert (arcs.minutes > 0).all()
    assert check_missing_pairs(matrix([[1.0]]), 1, 1) == ()


def test_a_journey_shorter_than_the_straight_line_is_told_with_its_pair():
    a, b = [[109.0, 25.0]], [[109.1, 25.0]]  # 10.1 km apart
    short = matrix([[30.0]], [[6.0]])
    (found,) = check_against_straight_line(short, a, b, ["v"], ["S"], fastest_kmh=120)
    assert "v → S" in found.what.en
    fast = matrix([[2.0]])
    assert check_against_straight_line(fast, a, b, ["v"], ["S"], fastest_kmh=120)
    fine = matrix([[30.0]], [[12.0]])
    assert check_against_straight_line(fine, a, b, ["v"], ["S"], fastest_kmh=120) == ()
