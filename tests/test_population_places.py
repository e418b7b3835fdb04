"""Places sum to their county, carry the drift to the town, and count the people they should."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocator.errors import InputRefused
from allocator.io.rates import read_rates
from allocator.population import (
    CountyShares,
    Move,
    PhaseIn,
    Population,
    ShareHistory,
    SmallAreaMethod,
    Tier,
    Uncertainty,
    VitalRates,
    absent_from,
    backcast_shares,
    eligible,
    estimate_ages,
    fit_uncertainty,
    hamilton_perry,
    move,
    project_county,
    project_small_areas,
    rake,
    sample_futures,
    share_of_growth,
    small_area_projection,
    stack_tracks,
    variant_futures,
)

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def tables():
    return read_rates()


@pytest.fixture(scope="module")
def rates(tables):
    return VitalRates.from_tables(tables["mortality"], tables["fertility"], tables["migration"])


@pytest.fixture(scope="module")
def donor(tables):
    standard = tables["standard_population"]
    grid = standard.pivot_table(
        index="age", columns="sex", values="thousand", aggfunc="sum", sort=False
    )
    return grid[["m", "f"]].to_numpy(dtype=float)


def county(name):
    table = pd.read_csv(DATA / name / "townships.csv", dtype={"area": str}).sort_values("area")
    return tuple(table["area"]), table


@pytest.fixture(scope="module")
def pingli(donor):
    places, table = county("pingli")
    ages = estimate_ages(table["persons_2020"].to_numpy(dtype=float), donor)
    shares = table[["share_2010_percent", "share_2020_percent"]].to_numpy(dtype=float)
    return Population(places, (2020,), ages[None, None, :, None]), ShareHistory(
        places, (2010, 2020), shares
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7), st.booleans())
def test_raking_meets_both_margins(seed, places, sparse):
    rng = np.random.default_rng(seed)
    seed_table = rng.uniform(0.1, 5.0, (places, 12))
    if sparse:
        seed_table[:, 3] = 0.0
    totals, cells = rng.uniform(1, 9, places), rng.uniform(1, 9, 12)
    found = rake(seed_table, totals, cells)
    assert found.table.sum(axis=0) == pytest.approx(cells)
    assert found.table.sum(axis=1) == pytest.approx(totals * cells.sum() / totals.sum(), rel=1e-6)
    assert (found.table >= 0).all()


def test_places_sum_to_their_county_in_every_cell_and_year(pingli, rates):
    base, history = pingli
    found = small_area_projection(base, rates, to=2050, method=SmallAreaMethod(history=history))
    summed = found.population.persons.sum(axis=2)[0]
    assert np.moveaxis(summed, 1, 0) == pytest.approx(found.county.persons)
    assert np.abs(found.county.imbalance).max() < 1e-6


def test_the_county_town_keeps_drawing_people_ever_more_slowly(pingli, rates):
    base, history = pingli
    with_drift = project_small_areas(base, rates, to=2050, method=SmallAreaMethod(history=history))
    without = project_small_areas(base, rates, to=2050)
    share = with_drift.total()[0, 0] / with_drift.total()[0, 0].sum(axis=0)
    gain = np.diff(share[0])
    assert (gain > 0).all() and (np.diff(gain) < 0).all()
    assert share[0, -1] > without.total()[0, 0, 0, -1] / without.total()[0, 0, :, -1].sum() + 0.05


def test_those_who_drift_to_town_are_young_so_the_villages_age(pingli, rates):
    base, history = pingli
    found = project_small_areas(base, rates, to=2040, method=SmallAreaMethod(history=history))
    old = found.total(60)[0, 0, :, -1] / found.total()[0, 0, :, -1]
    assert old[1:].min() > old[0]


def test_villages_sum_to_their_townships(pingli, rates):
    base, history = pingli
    parts = np.array([0.5, 0.3, 0.2])
    names = sorted(f"{p}{n}" for p in base.places for n in "abc")
    persons = np.stack(
        [
            base.persons[0, 0, base.places.index(n[:-1]), 0] * parts["abc".index(n[-1])]
            for n in names
        ]
    )
    villages = Population(tuple(names), (2020,), persons[None, None, :, None])
    method = SmallAreaMethod(history=history, parents={n: n[:-1] for n in names})
    found = project_small_areas(villages, rates, to=2040, method=method)
    above = project_small_areas(base, rates, to=2040, method=SmallAreaMethod(history=history))
    assert found.grouped({n: n[:-1] for n in names}).persons == pytest.approx(
        above.persons, rel=1e-4
    )


def test_row_order_of_the_history_does_not_matter(pingli, rates):
    base, history = pingli
    turned = ShareHistory(history.places[::-1], history.years, history.shares[::-1])
    one = project_small_areas(base, rates, to=2035, method=SmallAreaMethod(history=history))
    other = project_small_areas(base, rates, to=2035, method=SmallAreaMethod(history=turned))
    assert one.persons == pytest.approx(other.persons)


def test_a_given_county_total_is_met_by_migrants(pingli, rates):
    base, history = pingli
    method = SmallAreaMethod(history=history, county_total={2030: 170_000.0, 2040: 150_000.0})
    found = project_small_areas(base, rates, to=2040, method=method)
    assert found.total()[0, 0].sum(axis=0)[-1] == pytest.approx(150_000.0, rel=1e-4)


def test_years_between_steps_are_interpolated_and_later_ones_refused(pingli, rates):
    found = project_small_areas(pingli[0], rates, to=2035, years=[2027, 2030, 2035])
    assert found.years == (2027, 2030, 2035)
    with pytest.raises(InputRefused, match="2041"):
        found.at(2041)


def test_hamilton_perry_repeats_the_cohort_change_of_a_county_of_one():
    rng = np.random.default_rng(3)
    before = rng.uniform(50, 100, (1, 21, 2))
    now = before.copy()
    now[:, 1:] = 0.97 * before[:, :-1]
    ratios = np.full((21, 2), 0.97)
    found = hamilton_perry(before, now, 5, ratios)
    assert found[:, 1:20] == pytest.approx(0.97 * now[:, :19])


def test_hamilton_perry_never_explodes_nor_goes_below_zero():
    before = np.full((3, 21, 2), 100.0)
    now = before.copy()
    now[1] *= 8.0
    now[2] *= 0.02
    for interval in (5, 10):
        found = hamilton_perry(before, now, interval, np.ones((21, 2)), cap=2.0)
        assert (found >= 0).all()
        assert found[1].sum() < 2.5 * now[1].sum()


def test_two_censuses_of_places_carry_their_cohorts_on_and_still_sum(pingli, rates, donor):
    base, _ = pingli
    earlier = (
        base.persons * np.linspace(0.8, 1.3, len(base.places))[None, None, :, None, None, None]
    )
    both = Population(base.places, (2015, 2020), np.concatenate([earlier, base.persons], axis=3))
    found = small_area_projection(both, rates, to=2040)
    assert found.population.persons.sum(axis=2)[0, 0, -1] == pytest.approx(
        found.county.persons[-1, 0]
    )
    share = found.population.total()[0, 0] / found.population.total()[0, 0].sum(axis=0)
    assert share[0, -1] > share[0, 0] and share[-1, -1] < share[-1, 0]


def test_known_counts_of_the_aged_are_met_where_given(donor):
    totals = np.array([1000.0, 500.0, 800.0])
    aged = {60: np.array([260.0, np.nan, 90.0]), 80: np.array([40.0, np.nan, 8.0])}
    found = estimate_ages(totals, donor, aged=aged)
    assert found.sum(axis=(1, 2)) == pytest.approx(totals)
    assert found[0, 12:].sum() == pytest.approx(260.0) and found[0, 16:].sum() == pytest.approx(
        40.0
    )
    assert found[2, 16:].sum() == pytest.approx(8.0)
    assert found[1] == pytest.approx(500.0 * donor / donor.sum())


def test_share_of_growth_meets_the_total_and_spares_the_growing_place():
    found = share_of_growth(np.array([100.0, 100.0]), np.array([120.0, 90.0]), 200.0)
    assert found.sum() == pytest.approx(200.0)
    assert found[0] > 120.0 > 90.0 > found[1]


def backcast_counties():
    found = {}
    for name in ("pingli", "tongxin"):
        places, table = county(name)
        seat = table.loc[table["area_class"] == "county-town", "area"].iloc[0]
        shares = table[["share_2010_percent", "share_2020_percent"]].to_numpy(dtype=float)
        found[name] = CountyShares(places, seat, shares[:, 0], shares[:, 1])
    return found


def test_the_drift_of_other_counties_beats_constant_shares_in_every_county():
    table, summary = backcast_shares(backcast_counties())
    assert len(table) == 22
    wrong = summary.pivot(index="county", columns="method", values="misplaced_percent")
    assert (wrong["seat-drift"] < 0.8 * wrong["constant"]).all()


def two_tracks():
    """A village that registers more than live there, and an inflow town."""
    ages = np.ones((21, 2))

    def one(village, town):
        persons = np.stack([village * ages, town * ages])[None, None, :, None]
        return Population(
            ("town", "village"), (2025, 2035), np.repeat(persons[:, :, ::-1], 2, axis=3)
        )

    return stack_tracks(one(60.0, 150.0), one(100.0, 110.0))


def test_the_new_base_lowers_need_in_the_village_and_raises_it_in_the_town():
    people = two_tracks()
    change = PhaseIn(since=2025, by=2030)
    found = eligible(people, [2025, 2028, 2030], phase_in=change)[0, :, :, 0, 0]
    assert found[0] == pytest.approx([110.0, 134.0, 150.0])
    assert found[1] == pytest.approx([100.0, 76.0, 60.0])


def test_tiers_join_when_entitled_and_a_place_may_go_its_own_way():
    people = two_tracks()
    tiers = (Tier("over-5-years", 0.5, 2027), Tier("permit", 0.3, 2029, entitled=0.5))
    own = {"village": PhaseIn(since=2025, by=2026)}
    change = PhaseIn(since=2025, by=2035, tiers=tiers, overrides=own)
    found = eligible(people, [2026, 2028, 2029], phase_in=change)[0, :, :, 0, 0]
    assert found[0] == pytest.approx([110.0, 130.0, 136.0])
    assert found[1] == pytest.approx([60.0, 60.0, 60.0])


def test_a_base_that_is_not_there_is_refused():
    people = two_tracks().select(track="resident")
    with pytest.raises(InputRefused, match="no registered track"):
        eligible(people, [2025], base="registered")
    with pytest.raises(InputRefused, match="Did you mean resident"):
        eligible(people, [2025], base="residents")


def test_resettlement_moves_residence_and_leaves_registration():
    people = two_tracks()
    moved = move(people, [Move("village", "town", 420.0, 2030)])
    assert moved.persons.sum(axis=2) == pytest.approx(people.persons.sum(axis=2))
    assert moved.total()[0, 0, :, 1] == pytest.approx([150 * 42 + 420, 60 * 42 - 420])
    assert moved.persons[:, :, :, 0] == pytest.approx(people.persons[:, :, :, 0])
    assert moved.persons[1] == pytest.approx(people.persons[1])


def test_absent_people_leave_the_resident_track():
    registered = two_tracks().select(track="registered")
    stays = absent_from(registered, np.full((2, 21, 2), 0.25))
    assert stays.tracks == ("resident",) and stays.mark == "modelled"
    assert stays.persons == pytest.approx(0.75 * registered.persons)


def test_low_and_high_variants_enclose_the_medium(pingli, tables):
    parts = {
        v: VitalRates.from_tables(
            tables["mortality"], tables["fertility"], tables["migration"], variant=v
        )
        for v in ("low", "medium", "high")
    }
    total = (
        project_small_areas(pingli[0], variant_futures(parts), to=2040)
        .total()[0, :, :, -1]
        .sum(axis=1)
    )
    assert total[0] < total[1] < total[2]


def test_the_same_seed_gives_the_same_paths_and_another_seed_others(rates, tables):
    by = Uncertainty.from_table(tables["uncertainty"], "county")
    one, same, other = (sample_futures(rates, by, 20, seed).tfr for seed in (4, 4, 5))
    assert (one == same).all() and not np.allclose(one, other)
    assert one.mean(axis=1) == pytest.approx(rates.tfr[:, 0], rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("country", ["CHN", "JPN"])
def test_the_band_of_the_national_total_matches_the_published_one(country):
    from allocator.io.un import read_un_folder
    from allocator.population.un import un_rates
    from tests.test_population_un import validation

    folder = validation("wpp", "wpp2019", country)
    base, medium = un_rates(read_un_folder(folder), start=2020, to=2050)
    band = pd.read_csv(folder / "pop_intervals.csv").rename(
        columns={"pop_80l": "low", "pop_80u": "high"}
    )
    band = band[band["year"] <= 2050]
    start = Uncertainty(
        tfr_sd=0.13,
        tfr_growth=0.3,
        tfr_memory=0.9,
        mortality_sd=0.03,
        migration_sd=0.0,
        migration_memory=0.8,
    )
    fit = fit_uncertainty(base, medium, band, start, launch=2020, count=1024)
    paths = sample_futures(medium, fit.uncertainty, 4096, seed=77)  # fresh draws, not those fitted
    found = project_county(base[None], paths, launch=2020, to=2050).persons[1:].sum(axis=(-2, -1))
    low, high = np.quantile(found, [0.1, 0.9], axis=1)
    width = (high - low) / (band["high"] - band["low"]).to_numpy()
    assert width == pytest.approx(1.0, abs=0.1)
    assert low / band["low"].to_numpy() == pytest.approx(1.0, abs=0.003)
    assert high / band["high"].to_numpy() == pytest.approx(1.0, abs=0.003)


def test_a_population_refuses_nan_negatives_and_unsorted_places():
    good = np.ones((1, 1, 2, 1, 21, 2))
    for spoilt in (np.nan, -1.0):
        bad = good.copy()
        bad[0, 0, 0, 0, 0, 0] = spoilt
        with pytest.raises(ValueError, match="finite"):
            Population(("a", "b"), (2025,), bad)
    with pytest.raises(ValueError, match="sorted"):
        Population(("b", "a"), (2025,), good)


def test_missing_columns_and_unknown_variants_of_rates_are_refused(tables):
    with pytest.raises(InputRefused, match="mx_m"):
        VitalRates.from_tables(tables["mortality"].drop(columns="mx_m"), tables["fertility"])
    with pytest.raises(InputRefused, match="Did you mean medium"):
        VitalRates.from_tables(tables["mortality"], tables["fertility"], variant="mediun")
    spoilt = tables["fertility"].copy()
    spoilt.loc[0, "tfr"] = -1.0
    with pytest.raises(InputRefused, match="tfr"):
        VitalRates.from_tables(tables["mortality"], spoilt, variant=spoilt.loc[0, "variant"])
