"""Indices equal hand calculations and public packages, weigh people, and say their base and unit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocator.io.policy_files import read_policy
from allocator.measures.equity import INDICES, Future, equity_chapter
from allocator.measures.inequality import (
    Arcs,
    agglomeration,
    binary_decay,
    density_index,
    gaussian_decay,
    gini,
    interval,
    kernel_decay,
    location_quotient,
    lorenz,
    step_decay,
    theil,
    two_step,
    variable_limits,
    variation,
    weighted_mean,
    weighted_quantile,
)

DATA = Path(__file__).parents[1] / "data"
LEVELS = st.lists(st.floats(0, 1e4), min_size=2, max_size=20)


def test_gini_equals_a_hand_calculation_with_unequal_people():
    # one person has 0, three have 2 each: sum_ij w|d| = 2*(1*3*2) = 12; / (2 * 1.5 * 16) = 0.25
    assert gini([0.0, 2.0], [1.0, 3.0]) == pytest.approx(0.25)
    assert gini([5.0, 5.0], [1.0, 9.0]) == pytest.approx(0.0)
    assert gini([0.0, 0.0], [1.0, 1.0]) == 0.0


@settings(max_examples=50, deadline=None)
@given(LEVELS, st.integers(0, 1000))
def test_weighing_a_zone_equals_repeating_its_people(values, seed):
    counts = np.random.default_rng(seed).integers(0, 5, len(values)) + 1
    each = np.repeat(values, counts)
    ones = np.ones(len(each))
    assert gini(values, counts) == pytest.approx(gini(each, ones), abs=1e-9)
    assert theil(values, counts).total == pytest.approx(theil(each, ones).total, abs=1e-9)
    assert variation(values, counts) == pytest.approx(variation(each, ones), abs=1e-9)
    assert weighted_quantile(values, counts, 0.9) == weighted_quantile(each, ones, 0.9)


def test_indices_on_equal_weights_equal_the_inequality_package():
    pytest.importorskip("inequality", reason="inequality is not installed")
    from inequality.gini import Gini
    from inequality.theil import Theil as Peer
    from inequality.theil import TheilD

    rng = np.random.default_rng(7)
    values = rng.gamma(2.0, 3.0, 60)
    groups = np.repeat(list("abcd"), 15)
    ones = np.ones(60)
    assert gini(values, ones) == pytest.approx(Gini(values).g, rel=1e-9)
    assert theil(values, ones).total == pytest.approx(float(Peer(values).T), rel=1e-9)
    split, peer = theil(values, ones, list(groups)), TheilD(values, groups)
    assert split.between == pytest.approx(float(np.ravel(peer.bg)[0]), rel=1e-9)
    assert split.within == pytest.approx(float(np.ravel(peer.wg)[0]), rel=1e-9)


@settings(max_examples=50, deadline=None)
@given(LEVELS, st.integers(0, 1000))
def test_theil_between_and_within_sum_to_the_total(values, seed):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 9, len(values))
    groups = [str(x) for x in rng.integers(0, 4, len(values))]
    split = theil(values, weights, groups)
    assert split.between + split.within == pytest.approx(split.total, abs=1e-9)
    assert sum(split.parts.values()) == pytest.approx(split.within, abs=1e-9)


def test_lorenz_curve_runs_below_the_diagonal_from_nothing_to_all():
    x, y = lorenz([3.0, 1.0, 0.0], [1.0, 2.0, 1.0])
    assert x.tolist() == pytest.approx([0, 0.25, 0.75, 1]) and y.tolist() == pytest.approx(
        [0, 0, 0.4, 1]
    )
    assert (y <= x + 1e-12).all()


def test_quotients_and_densities_equal_hand_calculations():
    assert location_quotient([30.0, 10.0], [100.0, 100.0]).tolist() == pytest.approx([1.5, 0.5])
    hrad, ratio = agglomeration([30.0, 10.0], [100.0, 100.0], [1.0, 3.0])
    assert hrad.tolist() == pytest.approx([3.0, 1 / 3])  # 75 % of beds on 25 % of land
    assert ratio.tolist() == pytest.approx([1.5, 0.5])  # PAD is 2 and 2/3
    assert density_index([30.0], [100.0], [3.0]).tolist() == pytest.approx([np.sqrt(300.0 * 10.0)])
    assert np.isnan(location_quotient([0.0, 0.0], [1.0, 1.0])).all()


def test_levels_that_are_no_numbers_are_refused():
    for bad in ([np.nan, 1.0], [-1.0, 1.0], [np.inf, 1.0]):
        with pytest.raises(ValueError):
            gini(bad, [1.0, 1.0])
    with pytest.raises(ValueError):
        gini([1.0, 1.0], [1.0, -1.0])
    assert gini([np.nan, 1.0, 1.0], [0.0, 1.0, 1.0]) == 0.0  # nobody lives where it is unknown


def test_an_interval_holds_its_share_of_futures():
    samples = np.arange(1, 101, dtype=float)
    assert interval(samples, np.ones(100), 0.8) == (10.0, 90.0)
    assert interval([1.0, 50.0], [1.0, 0.0], 0.8) == (1.0, 1.0)


ARCS = Arcs(np.array([0, 0, 1, 2]), np.array([0, 1, 0, 1]), np.array([5.0, 12.0, 10.0, 20.0]))
SUPPLY, DEMAND = np.array([30.0, 20.0]), np.array([100.0, 50.0, 25.0])


def test_two_step_catchments_equal_a_hand_calculation():
    score = two_step(SUPPLY, DEMAND, ARCS, binary_decay(15.0))
    # site 0: 30 / (100 + 50) = 0.2; site 1 within 15 minutes reaches area 0 only: 20 / 100 = 0.2
    assert score.tolist() == pytest.approx([0.4, 0.2, 0.0])
    banded = two_step(SUPPLY, DEMAND, ARCS, step_decay([6.0, 15.0], [1.0, 0.5]))
    r0, r1 = 30 / (100 * 1 + 50 * 0.5), 20 / (100 * 0.5)
    assert banded.tolist() == pytest.approx([r0 + 0.5 * r1, 0.5 * r0, 0.0])


@pytest.mark.parametrize(
    "decay", [binary_decay(25.0), gaussian_decay(25.0, 0.01), kernel_decay(25.0), step_decay([6.0, 25.0], [1.0, 0.4])]
)  # fmt: skip
def test_scores_times_people_give_back_the_supply_that_is_reached(decay):
    assert two_step(SUPPLY, DEMAND, ARCS, decay) @ DEMAND == pytest.approx(SUPPLY.sum())


def test_decays_are_one_at_home_and_nothing_beyond_the_limit():
    m = np.array([0.0, 10.0, 10.001])
    for decay, at in ((binary_decay(10.0), 1.0), (gaussian_decay(10.0, 0.01), 0.01), (kernel_decay(10.0), 0.0)):  # fmt: skip
        assert decay(m).tolist() == pytest.approx([1.0, at, 0.0])
    assert step_decay([5.0, 10.0], [1.0, 0.3])(m).tolist() == [1.0, 0.3, 0.0]


def test_two_step_catchments_equal_the_access_package():
    pytest.importorskip("access", reason="access is not installed")
    from access import Access, weights

    rng = np.random.default_rng(3)
    n, k = 40, 9
    demand = pd.DataFrame({"id": range(n), "pop": rng.integers(10, 900, n).astype(float)})
    supply = pd.DataFrame({"id": range(k), "beds": rng.integers(5, 80, k).astype(float)})
    minutes = rng.uniform(0.5, 60, (n, k))
    cost = pd.DataFrame(
        [(i, j, minutes[i, j]) for i in range(n) for j in range(k)],
        columns=["origin", "dest", "cost"],
    )
    peer = Access(
        demand_df=demand, demand_index="id", demand_value="pop",
        supply_df=supply, supply_index="id", supply_value="beds",
        cost_df=cost, cost_origin="origin", cost_dest="dest", cost_name="cost",
    )  # fmt: skip
    arcs = Arcs(cost["origin"].to_numpy(), cost["dest"].to_numpy(), cost["cost"].to_numpy())
    beds, pop = supply["beds"].to_numpy(), demand["pop"].to_numpy()
    plain = peer.two_stage_fca(name="a", cost="cost", max_cost=30, normalize=False)
    assert two_step(beds, pop, arcs, binary_decay(30.0)) == pytest.approx(
        plain.iloc[:, 0].reindex(range(n)).fillna(0).to_numpy(), rel=1e-9
    )
    fn = weights.step_fn({10: 1, 20: 0.68, 30: 0.22})
    banded = peer.enhanced_two_stage_fca(
        name="b", cost="cost", max_cost=30, weight_fn=fn, normalize=False
    )
    ours = two_step(beds, pop, arcs, step_decay([10, 20, 30], [1, 0.68, 0.22]))
    assert ours == pytest.approx(banded.iloc[:, 0].reindex(range(n)).fillna(0).to_numpy(), rel=1e-9)


def test_facility_levels_have_their_own_reach_and_modes_share_the_people():
    by_level = two_step(SUPPLY, DEMAND, ARCS, [binary_decay(7.0), binary_decay(15.0)], kind=[0, 1])
    assert by_level.tolist() == pytest.approx([30 / 100 + 20 / 100, 0.0, 0.0])
    two_modes = Arcs(
        np.array([0, 0]), np.array([0, 0]), np.array([5.0, 40.0]), np.array([0.25, 0.75])
    )
    score = two_step([10.0], [100.0], two_modes, binary_decay(15.0))
    assert score[0] == pytest.approx(0.25 * 10 / 25)  # only those who drive reach it


def test_variable_catchments_widen_until_enough_people_are_near():
    limits = variable_limits([1.0, 10.0], DEMAND, ARCS, [6.0, 12.0, 30.0], persons_per_place=10.0)
    assert limits.tolist() == [6.0, 12.0]
    assert len(ARCS.within(limits).minutes) == 2


# The chapter -----------------------------------------------------------------------------------

PEOPLE = pd.DataFrame(
    [("a", "T1", "county-town", "resident", "60-79", 300.0), ("a", "T1", "county-town", "resident", "80+", 100.0),
     ("b", "T1", "village", "resident", "60-79", 100.0), ("c", "T2", "village", "resident", "60-79", 100.0),
     ("d", "T3", "village", "resident", "60-79", 3.0),
     ("a", "T1", "county-town", "registered", "60-79", 200.0), ("b", "T1", "village", "registered", "60-79", 200.0),
     ("c", "T2", "village", "registered", "60-79", 200.0)],
    columns=["area_id", "township", "area_class", "base", "age", "persons"],
)  # fmt: skip


def _state(access_c, minutes_c=np.nan):
    near = np.isfinite(minutes_c)
    return pd.DataFrame(
        [("elderly.day", "a", 1.0, 5.0, 0.04, 900.0), ("elderly.day", "b", 1.0, 20.0, 0.02, 500.0),
         ("elderly.day", "c", float(near), minutes_c, access_c, 0.0)],
        columns=["service", "area_id", "covered", "minutes", "access", "spending_yuan"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def flags():
    return read_policy(DATA / "catalogue").flags


@pytest.fixture(scope="module")
def chapter(flags):
    land = pd.Series({"T1": 10.0, "T2": 40.0, "T3": 30.0})
    return equity_chapter(PEOPLE, _state(0.03, 15.0), flags, before=_state(0.0), area_km2=land)


def _row(chapter, index, base="resident", dimension="county", part="county"):
    t = chapter.table
    hit = t[
        (t["index"] == index)
        & (t["base"] == base)
        & (t["dimension"] == dimension)
        & (t["part"] == part)
    ]
    assert len(hit) == 1
    return hit.iloc[0]


def test_the_chapter_weighs_people_not_zones(chapter):
    assert _row(chapter, "coverage")["before"] == pytest.approx(500 / 603)
    assert _row(chapter, "coverage")["after"] == pytest.approx(600 / 603)
    assert _row(chapter, "coverage", base="registered")["before"] == pytest.approx(400 / 600)
    assert _row(chapter, "mean-minutes")["after"] == pytest.approx(
        (400 * 5 + 100 * 20 + 100 * 15) / 600
    )
    assert _row(chapter, "p90-minutes")["after"] == 20.0
    access = (400 * 0.04 + 100 * 0.02 + 100 * 0.03) / 603 * 1000
    assert _row(chapter, "access")["after"] == pytest.approx(access)
    assert _row(chapter, "access", dimension="township", part="T2")["after"] == pytest.approx(30.0)
    assert _row(chapter, "gini")["after"] < _row(chapter, "gini")["before"]


def test_resident_and_registered_bases_stand_side_by_side_and_differ(chapter):
    assert _row(chapter, "gini")["before"] != _row(chapter, "gini", base="registered")["before"]
    assert {"resident", "registered"} == set(chapter.table["base"])


def test_every_row_says_base_and_unit_in_both_languages(chapter):
    t = chapter.table
    assert t["note_zh"].str.contains("基数:").all() and t["note_en"].str.contains("base: ").all()
    assert (t["unit_zh"] != "").all() and (t["unit_en"] != "").all()
    assert set(t["index"]) == set(INDICES)
    assert not t.duplicated(["service", "index", "base", "dimension", "part"]).any()


def test_flags_come_from_data_and_carry_the_caution(chapter, flags):
    assert not bool(_row(chapter, "gini")["is_flagged"])
    strict = [replace(f, threshold=0.01) if f.index == "gini" else f for f in flags]
    tight = equity_chapter(PEOPLE, _state(0.03, 15.0), strict)
    assert (
        bool(_row(tight, "gini")["is_flagged"])
        and "above the flag at 0.01" in _row(tight, "gini")["note_en"]
    )
    assert any("not a law" in c.en for c in chapter.cautions)
    default = [f.threshold for f in flags if f.kind == "flag" and f.index == "gini"]
    assert default == [0.3]


def test_parts_of_too_few_people_are_not_shown(chapter):
    small = chapter.table.query("part == 'T3'")
    assert len(small) and small[["before", "after"]].isna().all().all()
    assert small["note_zh"].str.contains("不公布").all()


def test_an_area_that_nothing_serves_lowers_the_indices_instead_of_vanishing(flags):
    only_a = _state(0.03, 15.0).query("area_id == 'a'")
    table = equity_chapter(PEOPLE, only_a, flags).headline()
    coverage = table[(table["index"] == "coverage") & (table["base"] == "resident")]["after"]
    assert coverage.iloc[0] == pytest.approx(400 / 603)
    with pytest.raises(ValueError, match="without people"):
        equity_chapter(PEOPLE.query("area_id != 'c'"), _state(0.03), flags)


def test_futures_give_intervals_that_hold_the_plan_itself(flags):
    futures = [
        Future(1.0, PEOPLE.assign(persons=PEOPLE["persons"] * f), _state(0.03 * f, 15.0))
        for f in (0.8, 0.9, 1.0, 1.1, 1.2)
    ]
    got = equity_chapter(PEOPLE, _state(0.03, 15.0), flags, futures=futures)
    row = _row(got, "access", dimension="township", part="T2")
    assert row["low"] == pytest.approx(24.0) and row["high"] == pytest.approx(36.0)
    assert row["low"] <= row["after"] <= row["high"]


def test_a_service_that_nobody_can_reach_is_not_called_even(flags):
    none = _state(0.0).assign(access=0.0, covered=0.0, minutes=np.nan)
    table = equity_chapter(PEOPLE, none, flags).headline().set_index(["index", "base"])
    for index in ("gini", "theil", "cv"):
        assert np.isnan(table.loc[(index, "resident"), "after"])
    assert table.loc[("coverage", "resident"), "after"] == 0.0
    assert bool(table.loc[("coverage", "resident"), "is_flagged"])
    assert "even" not in table.loc[("gini", "resident"), "note_en"]


def test_row_order_does_not_change_the_chapter(chapter, flags):
    land = pd.Series({"T3": 30.0, "T2": 40.0, "T1": 10.0})
    again = equity_chapter(
        PEOPLE.iloc[::-1],
        _state(0.03, 15.0).iloc[::-1],
        flags,
        before=_state(0.0).iloc[::-1],
        area_km2=land,
    )
    pd.testing.assert_frame_equal(chapter.table, again.table, rtol=1e-12)


def test_the_mean_weighs_persons():
    assert weighted_mean([1.0, 4.0], [2.0, 1.0]) == pytest.approx(2.0)
