"""Need follows its named definition, and a willingness curve is recovered from origins."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocator.demand import NeedRates, WillingnessCurve, calibrate_willingness, estimate_need
from allocator.errors import InputRefused
from allocator.io.rates import read_rates
from allocator.population import (
    PhaseIn,
    Population,
    Uncertainty,
    VitalRates,
    project_small_areas,
    sample_futures,
    stack_tracks,
)

CLASS = {"a": "county-town", "b": "village"}
ELDERLY = ("elderly.day", "elderly.home", "elderly.resident")


@pytest.fixture(scope="module")
def tables():
    return read_rates()


@pytest.fixture(scope="module")
def rates(tables):
    return NeedRates.from_tables(tables)


@pytest.fixture(scope="module")
def people(tables):
    standard = tables["standard_population"]
    grid = standard.pivot_table(
        index="age", columns="sex", values="thousand", aggfunc="sum", sort=False
    )
    ages = 0.2 * grid[["m", "f"]].to_numpy(dtype=float)
    persons = np.stack([ages, 0.3 * ages])[None, None, :, None]
    return Population(("a", "b"), (2025,), persons)


def need(people, rates, **changed):
    arguments = {
        "services": ELDERLY,
        "definition": "basic-adl",
        "years": [2025],
        "area_class": CLASS,
    }
    return estimate_need(people, rates, **{**arguments, **changed})


@pytest.mark.parametrize("name", ["basic-adl", "census-2020-unable"])
def test_the_rates_of_a_definition_add_up_to_its_cited_national_share(rates, tables, name):
    share = rates.national_share(name, tables["standard_population"])
    assert share == pytest.approx(rates.definition(name).national_share, rel=1e-4)


def test_two_definitions_differ_about_seven_fold(rates, tables):
    broad, narrow = (
        rates.national_share(d, tables["standard_population"])
        for d in ("basic-adl", "census-2020-unable")
    )
    assert broad / narrow == pytest.approx(6.84, abs=0.05)


def test_every_shipped_rate_names_its_source_and_mark(tables):
    for name, table in tables.items():
        assert table["source"].astype(str).str.len().min() > 5, name
        assert set(table["mark"]) <= {"counted", "modelled", "synthetic"}, name


def test_need_is_persons_times_rate_times_mode(people, rates):
    found = need(people, rates, services=["elderly.resident"])
    g = found.groups.index("severe")
    by_hand = (
        people.persons[0, 0, 0, 0]
        * rates.grades["basic-adl", "severe"][0]
        * (1 - rates.destitute[0])
        * 0.3
    ).sum()
    assert found.amount[0, 0, g, 0, 0] == pytest.approx(by_hand)


def test_need_doubles_with_people_and_is_zero_without(people, rates):
    once = need(people, rates).amount
    twice = need(Population(people.places, (2025,), 2 * people.persons), rates).amount
    none = need(Population(people.places, (2025,), 0 * people.persons), rates).amount
    assert twice == pytest.approx(2 * once) and (none == 0).all() and once.sum() > 0


def test_an_unknown_definition_is_refused_with_the_nearest(people, rates):
    with pytest.raises(InputRefused, match="Did you mean basic-adl"):
        need(people, rates, definition="basic-adll")


def test_a_group_beyond_the_definition_is_refused_with_one_that_has_it(people, rates):
    with pytest.raises(InputRefused, match="Use the definition 'basic-adl'"):
        need(people, rates, definition="census-2020-unable", groups=["mild"])


def test_unknown_services_classes_and_groups_are_refused(people, rates):
    with pytest.raises(InputRefused, match=r"Did you mean elderly\.day"):
        need(people, rates, services=["elderly.daY"])
    with pytest.raises(InputRefused, match="village"):
        need(people, rates, area_class={"a": "county-town", "b": "vilage"})
    with pytest.raises(InputRefused, match="no area class"):
        need(people, rates, area_class={"a": "county-town"})
    with pytest.raises(InputRefused, match="Did you mean severe"):
        need(people, rates, groups=["sever"])


def test_more_people_living_alone_raise_need_and_the_national_share_leaves_it(people, rates):
    usual = need(people, rates).amount
    same = need(people, rates, living_alone={"a": 1.0}).amount
    more = need(people, rates, living_alone={"a": 2.0}).amount
    assert same == pytest.approx(usual)
    assert (more[0].sum(axis=(1, 2, 3)) > usual[0].sum(axis=(1, 2, 3))).all()
    assert more[1] == pytest.approx(usual[1])


def test_rural_need_is_higher_than_urban_for_the_same_people(people, rates):
    urban = need(people, rates, area_class={"a": "urban", "b": "urban"}).amount[1].sum()
    assert need(people, rates).amount[1].sum() > urban


def test_the_resident_base_lowers_need_where_people_have_left(people, rates):
    leaving = np.array([1.3, 0.6])[None, None, :, None, None, None]
    both = stack_tracks(Population(people.places, (2025,), people.persons * leaving), people)
    both = Population(
        both.places, (2025, 2035), np.repeat(both.persons, 2, axis=3), tracks=both.tracks
    )
    found = need(both, rates, years=[2025, 2035], phase_in=PhaseIn(since=2025, by=2030))
    total = found.amount.sum(axis=(1, 2, 4))
    assert total[0, 1] == pytest.approx(1.3 * total[0, 0]) and total[1, 1] == pytest.approx(
        0.6 * total[1, 0]
    )
    one = need(both, rates, years=[2035], base={"elderly.day": "registered"})
    day, resident = one.services.index("elderly.day"), one.services.index("elderly.resident")
    plain = need(both, rates, years=[2035])
    assert one.amount[1, day].sum() > plain.amount[1, day].sum()
    assert one.amount[1, resident] == pytest.approx(plain.amount[1, resident])


def test_age_bands_that_cut_five_year_groups_take_their_part(people, rates):
    found = need(people, rates, services=["childcare.under3", "school.primary"])
    child = found.amount[0, 0].sum()
    assert child == pytest.approx(0.06 * 0.6 * people.persons[0, 0, 0, 0, 0].sum())
    school = found.amount[0, 1].sum()
    by_hand = 0.8 * people.persons[0, 0, 0, 0, 1].sum() + 0.4 * people.persons[0, 0, 0, 0, 2].sum()
    assert school == pytest.approx(by_hand)


def test_childrens_bands_are_wider_than_elders_and_the_table_says_so(people, rates, tables):
    medium = VitalRates.from_tables(tables["mortality"], tables["fertility"], tables["migration"])
    by = Uncertainty.from_table(tables["uncertainty"], "county")
    paths = sample_futures(medium.at([2025, 2030, 2035]), by, 64, seed=2)
    later = project_small_areas(people, paths, to=2040)
    found = need(
        later, rates, services=["elderly.resident", "kindergarten"], years=[2035, 2040]
    ).band()
    width = found.pivot(index="year", columns="service", values="relative_width")
    assert (width["kindergarten"] > 2 * width["elderly.resident"]).all()
    assert (found["low"] < found["expected"]).all() and (found["expected"] < found["high"]).all()


def test_missing_tables_and_bad_rates_are_told_at_once(tables):
    spoilt = {k: v for k, v in tables.items() if k != "care_modes"}
    need_table = tables["need"].astype({"rate": object}).copy()
    need_table.loc[4, "rate"] = 1.7
    with pytest.raises(InputRefused) as refused:
        NeedRates.from_tables({**spoilt, "need": need_table})
    assert {f.code for f in refused.value.findings} == {"missing-table", "bad-rate"}


@pytest.fixture(scope="module")
def curve(tables):
    return WillingnessCurve.from_table(tables["willingness"], "assumed-default", "elderly.resident")


@settings(max_examples=80, deadline=None)
@given(
    minutes=st.floats(0, 200),
    fee=st.floats(0, 1e5),
    income=st.floats(0, 1e5),
    grade=st.sampled_from(["mild", "moderate", "severe", "destitute"]),
)
def test_acceptance_is_a_share_that_falls_with_minutes_and_fee(curve, minutes, fee, income, grade):
    here = curve.acceptance(np.array([minutes]), grade, fee, income)[0]
    assert 0 <= here <= 1
    assert curve.acceptance(np.array([minutes + 7]), grade, fee, income)[0] <= here
    assert curve.acceptance(np.array([minutes]), grade, 2 * fee, income)[0] <= here
    assert (here == 0) or minutes <= curve.limit_minutes(grade)


def test_beyond_the_limit_or_unknown_minutes_nobody_goes(curve):
    found = curve.acceptance(np.array([60.0, 60.01, np.inf, np.nan]), "severe")
    assert found[0] > 0 and (found[1:] == 0).all()


def test_a_flattened_curve_keeps_its_limit_and_accepts_more(curve):
    flat = curve.flattened(2.0)
    at = np.array([5.0, 25.0, 55.0])
    assert (flat.acceptance(at, "mild") > curve.acceptance(at, "mild")).all()
    assert flat.limit_minutes("mild") == curve.limit_minutes("mild")
    assert curve.flattened(1.0).steps == curve.steps


def test_curves_that_rise_or_reach_zero_are_refused():
    for bands in (
        ((10.0, 0.5), (20.0, 0.6)),
        ((10.0, 0.5), (20.0, 0.0)),
        ((20.0, 0.5), (10.0, 0.4)),
    ):
        with pytest.raises(ValueError, match="curve"):
            WillingnessCurve("x", "s", {"all": bands}, {}, {})


TRUTH = np.array([0.7, 0.45, 0.25, 0.1, 0.04])
BANDS = (10.0, 20.0, 30.0, 45.0, 60.0)


def simulate(seed, villages=240, extra=0.0):
    """Origins simulated by the stated behaviour: the nearest home, if it is near enough."""
    rng = np.random.default_rng(seed)
    homes = [f"h{j}" for j in range(8)]
    where, there = rng.uniform(0, 100, (villages, 2)), rng.uniform(0, 100, (len(homes), 2))
    away = np.linalg.norm(where[:, None] - there[None], axis=-1) * 1.5 + 2
    minutes = {
        (f"v{i}", homes[j]): float(away[i, j]) for i in range(villages) for j in range(len(homes))
    }
    people = {f"v{i}": float(rng.integers(20, 120)) for i in range(villages)}
    rows = []
    for i in range(villages):
        near = int(away[i].argmin())
        band = int(np.searchsorted(BANDS, away[i, near]))
        share = TRUTH[band] if band < len(TRUTH) else 0.0
        if extra:
            share = float(rng.beta(share * extra, (1 - share) * extra)) if share else 0.0
        rows.append((homes[near], f"v{i}", rng.binomial(int(people[f"v{i}"]), share)))
    return pd.DataFrame(rows, columns=["home", "origin", "count"]), people, minutes


def calibrated(seed, **changed):
    origins, people, minutes = simulate(seed, **{k: v for k, v in changed.items() if k == "extra"})
    rest = {k: v for k, v in changed.items() if k != "extra"}
    return calibrate_willingness(
        origins, people, minutes, service="elderly.resident", bands=BANDS, **rest
    )


@pytest.mark.parametrize("extra", [0.0, 20.0])
def test_calibration_recovers_a_known_curve_within_its_stated_interval(extra):
    held = []
    for seed in range(40):
        fit = calibrated(seed, extra=extra).fit
        inside = (fit["low"] <= TRUTH) & (fit["high"] >= TRUTH)
        held += inside[fit["has_data"]].tolist()
    assert np.mean(held) >= 0.85  # stated: 0.9 in each band
    assert np.abs(fit["share"] - TRUTH).max() < 0.1


def test_villages_unlike_each_other_widen_the_interval():
    alike, unlike = calibrated(3), calibrated(3, extra=10.0)
    assert unlike.dispersion > 2 > alike.dispersion
    width = [(c.fit["high"] - c.fit["low"]).mean() for c in (alike, unlike)]
    assert width[1] > 1.3 * width[0]


def test_the_fit_is_shown_and_its_expected_residents_add_up():
    found = calibrated(5)
    assert found.fit["expected_residents"].sum() == pytest.approx(
        found.fit["residents"].sum(), rel=1e-6
    )
    assert found.curve.calibrated and "residents of" in found.curve.source


def test_full_homes_are_left_out_and_told():
    found = calibrated(5, full={"h0"})
    assert "calibration-left-out" in {f.code for f in found.findings}
    assert found.fit["origins"].sum() < calibrated(5).fit["origins"].sum()


def test_a_band_without_data_takes_the_default_between_its_neighbours(curve):
    origins, people, minutes = simulate(9)
    near = {o: min(m for (v, _), m in minutes.items() if v == o) for o in people}
    gone = {o for o, m in near.items() if 20 < m <= 30}
    kept = {o: n for o, n in people.items() if o not in gone}
    found = calibrate_willingness(
        origins[~origins["origin"].isin(gone)],
        kept,
        minutes,
        service="elderly.resident",
        bands=BANDS,
        group="severe",
        default=curve,
    )
    row = found.fit.iloc[2]
    assert (
        not row["has_data"]
        and found.fit["share"].iloc[1] >= row["share"] >= found.fit["share"].iloc[3]
    )
    assert "calibration-band-empty" in {f.code for f in found.findings}


def test_origins_with_unknown_homes_or_bad_counts_are_all_told():
    origins, people, minutes = simulate(1)
    origins = origins.astype({"count": object})
    origins.loc[0, "home"] = "nowhere"
    origins.loc[1, "count"] = -4
    origins.loc[2, "origin"] = "v999"
    with pytest.raises(InputRefused) as refused:
        calibrate_willingness(origins, people, minutes, service="s", bands=BANDS)
    assert [f.code for f in refused.value.findings] == [
        "unknown-home",
        "bad-count",
        "unknown-origin",
    ]
