"""Costs are divided to the whole yuan, caps are kept, and nothing is lost between payers and sites."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocator.io.policy_files import read_policy
from allocator.measures.money import (
    UNFUNDED,
    affordability,
    grants,
    payers_by_tier,
    phase_in_steps,
    split_costs,
    split_table,
    split_whole,
    step_effect,
)

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def policy():
    return read_policy(DATA / "catalogue")


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-(10**12), 10**12),
    st.lists(st.floats(0, 1e6), min_size=1, max_size=9).filter(lambda w: sum(w) > 1e-6),
)
def test_whole_parts_sum_to_the_total_and_stay_within_one_yuan_of_proportion(total, weights):
    parts = split_whole(total, weights)
    assert parts.sum() == total
    exact = total * np.array(weights) / sum(weights)
    assert np.abs(parts - exact).max() <= 1 + 1e-6 * abs(total) / 1e6


def test_money_without_a_weight_to_divide_it_by_is_refused():
    with pytest.raises(ValueError, match="positive"):
        split_whole(5, [0.0, 0.0])
    with pytest.raises(ValueError, match="at least 0"):
        split_whole(5, [1.0, -1.0])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=8),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=6).filter(any),
)
def test_a_rounded_table_keeps_both_margins_and_rounds_each_cell_down_or_up(rows, weights):
    r = np.array(rows, dtype=np.int64)
    c = split_whole(int(r.sum()), weights)
    cells = split_table(r, c)
    assert (cells.sum(axis=1) == r).all() and (cells.sum(axis=0) == c).all()
    assert (cells >= 0).all()
    if r.sum():
        exact = r[:, None] * (c[None, :] / r.sum())
        assert np.abs(cells - exact).max() < 1 + 1e-3


USES = pd.DataFrame(
    [("A", "capital", "2026-2030", 1_000_000.4), ("B", "capital", "2026-2030", 333_333.3),
     ("C", "capital", "2026-2030", 1.0), ("A", "capital", "2031-2035", 7.0),
     ("A", "running", "2026-2030", 12_345.67)],
    columns=["site", "pool", "period", "yuan"],
)  # fmt: skip
PAYERS = pd.DataFrame(
    [("capital", "central", 0.4, np.inf, False), ("capital", "region", 0.3, np.inf, False),
     ("capital", "county", 0.3, 300_000.0, False), ("running", "fees", 0.6, np.inf, False),
     ("running", "county", 0.4, np.inf, False)],
    columns=["pool", "payer", "share", "cap", "takes_rest"],
)  # fmt: skip


def test_payers_sum_to_sites_and_to_the_total_to_the_yuan():
    out = split_costs(USES, PAYERS)
    assert out["yuan"].dtype.kind == "i"
    total = out.groupby(["pool", "period"])["yuan"].sum()
    assert total["capital", "2026-2030"] == round(1_000_000.4 + 333_333.3 + 1.0)
    assert total["capital", "2031-2035"] == 7
    assert total["running", "2026-2030"] == 12_346
    site = out.groupby(["site", "pool", "period"])["yuan"].sum()
    assert site["B", "capital", "2026-2030"] == 333_333


def test_a_capped_payer_stops_at_its_cap_and_the_rest_is_named_unfunded():
    out = split_costs(USES, PAYERS).query("pool == 'capital' and period == '2026-2030'")
    by = out.groupby("payer")["yuan"].sum()
    assert by["county"] == 300_000
    # 30 % of 1,333,335 is 400,000.5: the odd yuan goes to the earlier payer in the alphabet
    assert by[UNFUNDED] == 400_001 - 300_000
    rest = PAYERS.assign(takes_rest=PAYERS["payer"] == "region")
    by = split_costs(USES, rest).query("pool == 'capital'").groupby("payer")["yuan"].sum()
    assert UNFUNDED not in by.index


def test_row_order_of_costs_and_payers_does_not_change_who_pays():
    out = split_costs(USES.iloc[::-1], PAYERS.iloc[::-1])
    pd.testing.assert_frame_equal(out, split_costs(USES, PAYERS))


def test_shares_that_do_not_sum_to_one_and_negative_costs_are_refused():
    with pytest.raises(ValueError, match="not 1"):
        split_costs(USES, PAYERS.assign(share=0.5))
    with pytest.raises(ValueError, match="at least 0"):
        split_costs(USES.assign(yuan=-1.0), PAYERS)


def test_a_grant_pays_first_and_never_more_than_its_site_costs():
    granted = pd.DataFrame(
        [("C", "capital", "2026-2030", "central", "x", 500), ("B", "capital", "2026-2030", "central", "x", 33_333)],
        columns=["site", "pool", "period", "payer", "programme", "yuan"],
    )  # fmt: skip
    out = split_costs(USES, PAYERS, granted).set_index(["site", "pool", "period", "payer"])["yuan"]
    assert out["C", "capital", "2026-2030", "central"] == 1
    assert out.loc["C"].sum() == 1
    assert out["B", "capital", "2026-2030"].sum() == 333_333


def test_subsidy_steps_pay_by_size_mode_and_need(policy):
    projects = pd.DataFrame(
        [("A", "p", "build", 300), ("B", "p", "build", 299), ("C", "p", "convert", 80), ("D", "p", "build", 49)],
        columns=["site", "period", "mode", "places"],
    )  # fmt: skip
    steps = [s for s in policy.steps if s.programme == "huashan-build"]
    by = grants(projects, steps, "2026-01-01").set_index("site")["yuan"]
    assert by.to_dict() == {"A": 1_500_000, "B": 598_000, "C": 80_000}
    running = pd.DataFrame(
        [("A", "p", "keep", 60, "severe", 10.0), ("A", "p", "keep", 60, "mild", 10.0)],
        columns=["site", "period", "mode", "places", "group", "occupied_place_months"],
    )
    steps = [s for s in policy.steps if s.programme == "huashan-running"]
    assert grants(running, steps, "2026-01-01")["yuan"].sum() == 6_000 + 3_000


def test_steps_by_size_reward_the_larger_home(policy):
    table = step_effect(policy.steps, "huashan-build", "build", [49, 50, 299, 300], 90_000.0)
    assert table.loc[table["is_jump"], "places"].tolist() == [50, 300]
    assert table["own_yuan_place"].is_monotonic_decreasing


def test_the_five_tiers_hold_every_province_once_and_divide_central_from_local(policy):
    provinces = [t for t in policy.tiers if t.kind == "province"]
    assert len({t.place.zh for t in provinces}) == len(provinces) == 31
    assert [sum(t.tier == k for t in provinces) for k in range(1, 6)] == [12, 10, 3, 4, 2]
    assert sum(t.kind == "city" for t in policy.tiers) == 5
    shares = payers_by_tier(policy, "广西", local={"region": 0.5, "county": 0.5})
    assert shares.to_dict() == pytest.approx({"central": 0.8, "region": 0.1, "county": 0.1})
    with pytest.raises(KeyError):
        payers_by_tier(policy, "Atlantis", local={"county": 1.0})


def test_affordability_names_what_each_period_lacks():
    supply = pd.DataFrame(
        [("capital", "2026-2030", 1e6), ("capital", "2031-2035", np.inf), ("running", "2026-2030", 12_346.0)],
        columns=["pool", "period", "yuan"],
    )  # fmt: skip
    table = affordability(split_costs(USES, PAYERS), supply).set_index(["pool", "period"])
    assert not table.loc[("capital", "2026-2030"), "is_affordable"]
    assert table.loc[("capital", "2026-2030"), "missing_yuan"] == 333_335
    assert table.loc[("running", "2026-2030"), "is_affordable"]
    assert table.loc[("running", "2026-2030"), "used_share"] == 1.0


def test_moving_to_the_resident_base_adds_places_where_people_arrive_and_takes_them_where_they_leave():
    people = pd.DataFrame(
        [(p, y, t, n) for y in (2026, 2027, 2028)
         for p, t, n in [("inflow", "resident", 900.0), ("inflow", "registered", 600.0),
                         ("outflow", "resident", 300.0), ("outflow", "registered", 500.0)]],
        columns=["place", "year", "track", "persons"],
    )  # fmt: skip
    table = phase_in_steps(
        people, {2026: 0.0, 2027: 0.5, 2028: 1.0}, units_per_person=0.04, yuan_per_unit_year=26_001.0,
        local={"region": 0.5, "county": 0.5}, handling={"registration-place": 0.3},
    ).set_index(["place", "year"])  # fmt: skip
    assert table.loc[("inflow", 2028), "units_change"] == pytest.approx(12.0)
    assert table.loc[("inflow", 2027), "units_change"] == pytest.approx(6.0)
    assert table.loc[("outflow", 2028), "units_change"] == pytest.approx(-8.0)
    assert (table.xs(2026, level="year")["yuan_change"] == 0).all()
    paid = table[[c for c in table if c.startswith("yuan.")]]
    assert (paid.sum(axis=1) == table["yuan_change"]).all()
    assert table.loc[("inflow", 2028), "yuan.registration-place"] == round(12 * 26_001 * 0.3)
    assert table.loc[("outflow", 2028), "yuan.registration-place"] == 0
