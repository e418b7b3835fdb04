"""What a case gives decides how its people are projected, and a scenario whom its services count."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from io_cases import CASE, write

from allocator.errors import InputRefused
from allocator.forecast import (
    base_people,
    forecast,
    need_bands,
    need_of,
    needs_registered,
    people_by_age,
    project,
    sampled_people,
)
from allocator.io.case import read_case
from allocator.population import AGES_5
from allocator.prepare import Shared, prepare, today_of
from allocator.run import run
from allocator.scenario import Scenario

SPEEDS = "travel: {speed_kmh: {car: 30}}\n"
ROOT = Path(__file__).parents[1]
TOWNS = "township_id,name_zh,population,year,area_class,share_before,year_before\n"


def scenario(population=None, need=None, services=("elderly.resident",), **more):
    return Scenario.model_validate(
        {
            "name": "one",
            "title": {"zh": "一", "en": "One"},
            "periods": [{"from": 2026, "to": 2030}, {"from": 2031, "to": 2035}],
            "resources": {"capital": {"unit": "yuan", "supply": {2026: 5e6, 2031: 5e6}}},
            "population": population or {},
            "need": need or {},
            "services": services,
            **more,
        }
    )


@pytest.fixture
def tiny(tmp_path):
    def make(**changes):
        files = {k.replace("__", "."): v for k, v in changes.items()}
        return read_case(write(tmp_path, {"case.yaml": CASE["case.yaml"] + SPEEDS, **files}))

    return make


@cache
def city():
    """Two tracks in forty areas: more residents than registered."""
    return read_case(ROOT / "data" / "inflow-city")


@cache
def city_people():
    return project(city(), scenario())


def shares(people):
    total = people.total()[0, 0]
    return total / total.sum(axis=0)


def test_shares_of_the_census_before_carry_the_drift_to_the_town(tiny):
    towns = (
        TOWNS + "01,甲镇,1000,2020,county-town,50,2010\n02,乙乡,500,2020,township-seat,50,2010\n"
    )
    case = tiny(townships__csv=towns)
    moving, still = (shares(project(case, scenario({"drift": d}))) for d in (True, False))
    gain = np.diff(moving[0])
    assert moving[0, 0] > 2 / 3 and (gain > 0).all() and np.diff(gain)[0] < 0
    assert moving[0, -1] > still[0, -1] + 0.1
    assert still[0, -1] == pytest.approx(2 / 3, abs=0.02)


def test_a_township_without_a_share_before_takes_its_part_of_the_rest(tiny):
    rows = "01,甲镇,1000,2020,county-town,40,\n02,乙乡,500,2020,township-seat,,\n"
    known = "01,甲镇,1000,2020,county-town,40,2010\n02,乙乡,500,2020,township-seat,60,2010\n"
    third = "03,丙乡,100,2020,township-seat,,\n"
    areas = CASE["areas.csv"] + "0301,03,village,109.3,25.2,100,20,3\n"
    case = {"case.yaml": CASE["case.yaml"].replace("1500", "1600") + SPEEDS, "areas.csv": areas}
    case = {k.replace(".", "__"): v for k, v in case.items()}
    one = shares(project(tiny(townships__csv=TOWNS + rows + third, **case), scenario()))
    assert one[0, -1] == pytest.approx(one[0].max())  # one share alone is no history
    both = TOWNS + known.replace("60,2010", "30,2010") + third
    moved = shares(project(tiny(townships__csv=both, **case), scenario()))
    assert moved[-1, -1] < 100 / 1600  # it had 30 % with nobody else named, so it lost


def test_a_census_before_that_is_not_before_is_refused(tiny):
    towns = (
        TOWNS + "01,甲镇,1000,2020,county-town,50,2020\n02,乙乡,500,2020,township-seat,50,2020\n"
    )
    with pytest.raises(InputRefused, match="not before"):
        project(tiny(townships__csv=towns), scenario())


def test_provincial_controls_and_plans_of_townships_hold_residents_and_not_the_registered():
    spec = {"county_total": {2030: 430_000, 2035: 420_000}, "place_total": {"900001101": {2035: 90_000}}}  # fmt: skip
    held = project(city(), scenario(spec))
    town = city().region.township_of_area
    assert held.total()[0, 0].sum(axis=0)[-1] == pytest.approx(420_000, rel=1e-3)
    old_town = held.grouped(town.to_dict()).total()[0, 0, 0, -1]
    assert old_town == pytest.approx(90_000, rel=1e-3)
    registered = held.tracks.index("registered")
    assert held.persons[registered] == pytest.approx(city_people().persons[registered])
    with pytest.raises(InputRefused, match="900001101"):
        project(city(), scenario({"place_total": {"900001111": {2035: 90_000}}}))


def test_resettled_people_live_in_town_and_stay_registered_in_the_hills():
    ids = city().region.area_ids
    one = {"from": ids[-1], "to": ids[0], "persons": 300, "year": 2030}
    moved, still = project(city(), scenario({"moves": [one]})), city_people()
    change = moved.total()[:, 0] - still.total()[:, 0]
    last = list(moved.years).index(2035)
    assert change[0, 0, last] == pytest.approx(300) and change[0, -1, last] == pytest.approx(-300)
    assert change[1] == pytest.approx(0.0)


def test_two_censuses_by_age_go_on_in_each_place(tiny):
    def rows(year, town, village):
        parts = (("0101", town), ("0201", village), ("0202", village))
        return "".join(f"{a},{year},{s},{age},{n}\n" for a, n in parts for s in "mf" for age in AGES_5)  # fmt: skip

    head = "area_id,year,sex,age,persons\n"
    twice = head + rows(2010, 18.0, 12.0) + rows(2020, 23.8, 5.95)
    once = head + rows(2020, 23.8, 5.95)
    grown, flat = (
        shares(project(tiny(population__csv=t), scenario({"drift": False}))) for t in (twice, once)
    )
    assert grown[0, -1] > flat[0, -1] + 0.02


def test_sampled_futures_share_the_past_and_part_later():
    spec = {"futures": 16, "seed": 3}
    people = project(city(), scenario(spec))
    total = people.total()[0].sum(axis=1)
    assert people.futures[0] == "path-0001" and len(people.futures) == 16
    assert people.future_weight.sum() == pytest.approx(1.0)
    assert total[:, 0] == pytest.approx(total[0, 0])  # 2025, the base year
    assert total[:, -1].std() > 1000
    again = project(city(), scenario(spec))
    assert (again.persons == people.persons).all()
    other = project(city(), scenario({**spec, "seed": 4}))
    assert not np.allclose(other.persons, people.persons)


def test_paths_begin_at_the_base_year_even_where_people_were_counted_before(tiny):
    people = project(tiny(), scenario({"futures": 8}))  # counted in 2020, planned from 2025
    total = people.total()[0].sum(axis=1)
    spread = total.std(axis=0)
    assert people.years == (2025, 2030, 2035)
    assert spread[0] == pytest.approx(0.0, abs=1e-9) and 0 < spread[1] < spread[2]


def test_many_futures_go_in_slices_and_give_the_same_people(monkeypatch):
    whole = project(city(), scenario({"futures": 10}))
    monkeypatch.setattr("allocator.forecast._CHUNK", 4)
    parts = project(city(), scenario({"futures": 10}))
    assert parts.futures == whole.futures and parts.future_weight == pytest.approx(0.1)
    assert parts.persons == pytest.approx(whole.persons, rel=1e-6)


def test_variants_stand_side_by_side_with_weights():
    people = project(city(), scenario({"futures": "variants"}))
    assert people.futures == ("low", "medium", "high")
    assert people.future_weight == pytest.approx([0.25, 0.5, 0.25])
    children = people.total(0, 10)[0].sum(axis=1)[:, -1]
    assert children[0] < children[1] < children[2]


def test_a_county_gives_its_own_migration_beside_national_births_and_deaths(tiny):
    rows = "region,from_year,variant,net_per_1000\n000001,2020,medium,20\n"
    case = tiny(**{"rates/migration__csv": rows})
    plain = forecast(replace(case, rates={**case.rates, "migration": case.rates["migration"].assign(net_per_1000=0.0)}), scenario())  # fmt: skip
    grown = project(case, scenario()).total()[0, 0].sum(axis=0)
    assert grown[-1] > 1.2 * plain.population.total()[0, 0].sum(axis=0)[-1]
    lost = case.rates["migration"].assign(region="999")
    with pytest.raises(InputRefused, match="neither of 000001 nor of CN"):
        project(replace(case, rates={**case.rates, "migration": lost}), scenario())


def test_services_have_bases_tiers_and_places_of_their_own():
    hills, old = "900001105", city().region.area_ids[0]
    phase = {
        "to": "resident",
        "by": 2035,
        "tiers": [{"id": "five-years", "share": 0.4, "from": 2028}],
        "places": {hills: {"base": "registered"}, old: {"by": 2027}},
    }
    spec = {"base": "registered", "phase_in": phase, "services": {"elderly.home": {"base": "resident"}}}  # fmt: skip
    services = ("elderly.day", "elderly.home")

    def amount(population):
        need = need_of(city(), scenario(population, services=services), city_people())
        return need.amount.sum(axis=2)[..., 0], need

    mixed, need = amount(spec)
    resident, registered = (amount({"base": b})[0] for b in ("resident", "registered"))
    day, home = (need.services.index(s) for s in services)
    assert mixed[:, home] == pytest.approx(resident[:, home])
    in_hills = (city().region.township_of_area == hills).to_numpy()
    assert mixed[in_hills, day] == pytest.approx(registered[in_hills, day])
    assert mixed[0, day] == pytest.approx(resident[0, day])  # its own way, done by 2027
    others = ~in_hills & (np.arange(len(in_hills)) > 0)
    between = mixed[others, day, 0]
    assert (between > registered[others, day, 0]).any()
    assert between.sum() < resident[others, day, 0].sum()
    assert mixed[others, day, 1] == pytest.approx(resident[others, day, 1])
    assert "elderly.home: resident" in need.base and "registered to resident" in need.base


def test_unknown_places_and_services_of_a_phase_in_are_refused_by_name():
    phase = {"to": "resident", "by": 2030, "places": {"900001155": {"by": 2027}}}
    with pytest.raises(InputRefused, match="900001155"):
        need_of(city(), scenario({"base": "registered", "phase_in": phase}), city_people())
    with pytest.raises(InputRefused, match=r"elderly\.daz"):
        need_of(
            city(), scenario({"services": {"elderly.daz": {"base": "resident"}}}), city_people()
        )


@pytest.mark.parametrize(
    ("population", "words"),
    [
        ({"phase_in": {"to": "resident", "by": 2020}}, "cannot end"),
        ({"phase_in": {"to": "resident", "by": 2030, "places": {"x": {}}}}, "either the base"),
        ({"phase_in": {"to": "resident", "by": 2030, "tiers": [{"id": "a", "share": 0.6, "from": 2026}, {"id": "b", "share": 0.6, "from": 2027}]}}, "more than 1"),
        ({"futures": 1}, "two and more"),
    ],
)  # fmt: skip
def test_phase_ins_that_cannot_be_are_refused(population, words):
    with pytest.raises(ValueError, match=words):
        scenario(population)


def test_today_is_judged_on_the_base_the_plan_starts_from():
    spec = {"base": "registered", "phase_in": {"to": "resident", "by": 2030}}
    today = need_of(city(), today_of(scenario(spec)), city_people())
    plain = need_of(city(), today_of(scenario({"base": "registered"})), city_people())
    assert today.amount == pytest.approx(plain.amount)


def test_the_roll_of_registered_elders_rules_over_modelled_ages_of_the_registered():
    case = city()
    areas = case.region.areas.assign(registered_60=1000.0, registered_80=np.nan)
    changed = replace(case, region=replace(case.region, areas=areas))
    registered = base_people(changed)[0]["registered"]
    assert registered.total(60)[0, 0, :, 0] == pytest.approx(1000.0)
    given = base_people(case)[0]["registered"].total()[0, 0, :, 0]
    assert registered.total()[0, 0, :, 0] == pytest.approx(given)
    counted = replace(changed, population=case.population.assign(mark="counted"))
    rows = case.population.query("track == 'registered'").groupby("area_id")["persons"].sum()
    assert base_people(counted)[0]["registered"].total()[0, 0, :, 0] == pytest.approx(rows)
    assert base_people(counted)[0]["registered"].total(60)[0, 0, 0, 0] != pytest.approx(1000.0)


def test_without_registered_ages_the_roll_stands_in_for_elders_and_is_told(tiny):
    head = "area_id,year,sex,age,persons\n"
    people = head + "".join(f"{a},2020,{s},{g},12\n" for a in ("0101", "0201", "0202") for s in "mf" for g in AGES_5)  # fmt: skip
    case = tiny(population__csv=people)
    wish = scenario({"base": "registered"})
    assert needs_registered(wish.population) and not needs_registered(scenario().population)
    made, found = base_people(case, registered=True)
    assert [f.code for f in found] == ["registered-from-roll"]
    elders = made["registered"]
    assert elders.total(60)[0, 0, :, 0] == pytest.approx([200, 90, 60])
    assert elders.total(80)[0, 0, :, 0] == pytest.approx([30, 12, 9])
    assert elders.total(0, 60)[0, 0, :, 0] == pytest.approx(288.0)
    told = forecast(case, wish)
    assert told.population.tracks == ("resident", "registered")
    assert "registered-from-roll" in {f.code for f in told.findings}


def test_local_surveys_change_need_by_township_and_by_area(tiny):
    rows = "place_id,need_factor,living_alone_factor\n02,1.5,1\n0202,2,1\n"
    case = tiny(**{"rates/places__csv": rows})
    plain = replace(case, rates={k: v for k, v in case.rates.items() if k != "places"})
    people = project(case, scenario())
    ratio = (
        need_of(case, scenario(), people).amount.sum(axis=(1, 2, 3, 4))
        / need_of(plain, scenario(), people).amount.sum(axis=(1, 2, 3, 4))
    )  # fmt: skip
    assert ratio == pytest.approx([1.0, 1.5, 2.0])
    with pytest.raises(InputRefused, match="'09'"):
        bad = case.rates["places"].assign(place_id=["09", "0202"])
        need_of(replace(case, rates={**case.rates, "places": bad}), scenario(), people)


def test_bands_of_children_are_wider_than_those_of_elders_and_the_words_say_so():
    case = city()
    wish = scenario()
    need = need_of(case, wish, city_people())
    table, told = need_bands(case, wish, city_people(), need, sampled_people(case, wish))
    width = table.pivot(index="year", columns="id", values="relative_width")
    assert (width["0-14"] > 3 * width["60+"]).all()
    assert (width.loc[2035] > width.loc[2030]).all()
    assert ((table["low"] < table["expected"]) & (table["expected"] < table["high"])).all()
    service = table[(table["id"] == "elderly.resident") & (table["year"] == 2035)]["expected"]
    assert service.iloc[0] == pytest.approx(need.total("elderly.resident")[1, 0])
    assert told.code == "need-band" and "wider than elders'" in told.what.en
    planned = {("elderly.resident", 2030): 70.0, ("elderly.resident", 2035): 90.0}
    held, _ = need_bands(case, wish, city_people(), need, sampled_people(case, wish), planned)
    mine = held[held["id"] == "elderly.resident"].sort_values("year")
    assert mine["expected"].tolist() == [70.0, 90.0]
    assert (mine["high"] / mine["low"]).tolist() == pytest.approx(
        (table["high"] / table["low"])[mine.index].tolist()
    )
    assert "儿童" in told.what.zh and "宽" in told.what.zh


def test_people_of_a_case_with_registered_counts_alone_are_those():
    only = replace(city(), population=city().population.query("track == 'registered'"))
    people = project(only, scenario({"base": "registered"}))
    assert people.tracks == ("registered",)
    assert people_by_age(people, [2030])["60+"].sum() > 0
    with pytest.raises(InputRefused, match="no resident track"):
        need_of(only, scenario(), people)


def test_flatter_willingness_is_flatter_and_one_makes_distance_count_for_nothing(tiny):
    case = tiny()
    phi = [prepare(case, scenario(need={"flatten": f}))[0] for f in (0.0, 0.5, 1.0)]
    given, half, whole = (p.acceptance for p in phi)
    some = given > 0
    assert (half >= given).all() and (whole >= half).all() and (half[some] > given[some]).any()
    ordinary = phi[0].arc_area < 3
    for g in range(given.shape[1]):
        each = whole[ordinary, g]
        assert np.ptp(each[each > 0]) == pytest.approx(0.0) if (each > 0).any() else True


def test_a_plan_under_several_futures_serves_people_in_each(tiny):
    done = run(tiny(), scenario({"futures": 4}, objective=["unmet", "travel"]))
    problem = done.problem
    assert problem.futures == tuple(f"path-000{n}" for n in range(1, 5))
    assert problem.future_weight == pytest.approx(0.25)
    assert problem.need[..., 1, :].sum(axis=(0, 1, 2)).std() > 0
    assert set(done.plan.served_future) == {0, 1, 2, 3}
    assert {"people", "service"} == set(done.tables["bands"]["kind"])
    assert "need-band" in {f.code for f in done.findings}
    bands = done.tables["bands"]
    needs = done.tables["needs"].groupby(["service", "year"])["need"].sum()
    for row in bands[bands["kind"] == "service"].itertuples():
        assert row.expected == pytest.approx(needs[row.id, row.year])


TRUTH = {10.0: 0.6, 20.0: 0.4, 30.0: 0.25, 45.0: 0.1, 60.0: 0.05}


def came_from(problem, need, site_ids, share=TRUTH, seed=7):
    """Residents by home and origin: of the people in need the stated share of their band."""
    rng = np.random.default_rng(seed)
    rows = []
    for i, people in enumerate(need):
        here = (problem.arc_area == i) & np.isin(
            np.array(problem.sites)[problem.arc_site], site_ids
        )
        near = np.flatnonzero(here)[problem.arc_minutes[here].argmin()]
        band = next(m for m in share if problem.arc_minutes[near] <= m)
        count = rng.binomial(round(people), share[band])
        rows.append((problem.sites[problem.arc_site[near]], problem.areas[i], count))
    return pd.DataFrame(rows, columns=["home", "origin", "count"])


def test_a_scenario_takes_the_curve_its_case_calibrates_and_shows_the_fit():
    case = city()
    homes = case.region.homes.assign(residents=0)
    case = replace(case, region=replace(case.region, homes=homes))
    wish = scenario(need={"willingness": {"elderly.resident": "calibrated"}})
    with pytest.raises(InputRefused, match="origins"):
        prepare(case, wish)
    problem, _, _ = prepare(case, scenario())
    today = scenario(periods=[{"from": 2026, "to": 2026}])
    need = need_of(case, today_of(today), project(case, today_of(today))).amount.sum(axis=(1, 2, 3, 4))  # fmt: skip
    table = came_from(problem, need, sorted(homes["site_id"]))
    case = replace(case, rates={**case.rates, "origins": table})
    shared = Shared()
    fitted, _, _ = prepare(case, wish, shared)
    (made,) = (v for k, v in shared.done.items() if k[0] == "calibration")
    fit = made.fit[made.fit["has_data"]]
    truth = fit["up_to_minutes"].map(TRUTH)
    assert len(fit) >= 2 and ((fit["low"] <= truth) & (truth <= fit["high"])).mean() >= 0.6
    assert made.curve.calibrated and made.curve.id == "calibrated"
    shown = {round(float(s), 6) for _, s in made.curve.steps["all"]}
    assert set(np.unique(fitted.acceptance)) - {0.0} <= shown
    assert fit["expected_residents"].sum() == pytest.approx(fit["residents"].sum(), rel=1e-6)
