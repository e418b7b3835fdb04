"""Visits by teams as real routes, against tours tried one by one."""

import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import tiny_county

from allocator.cli import main
from allocator.errors import InputRefused
from allocator.io.case import read_case
from allocator.io.runs import write_run
from allocator.routes import Shift, check_routes, plan_tours
from allocator.run import run

needs_pyvrp = pytest.mark.usefixtures("pyvrp")


@pytest.fixture
def pyvrp():
    return pytest.importorskip(
        "pyvrp", reason="the optional extra 'routes' (PyVRP) is not installed"
    )


def _line(*places):
    """Minutes between points on a road through the base at 0."""
    at = np.array([0.0, *places])
    return np.abs(at[:, None] - at[None, :])


def _by_trying(minutes, work, shift_minutes):
    """Fewest tours, then least minutes, over every order of stops and every way to cut it."""
    n, best = len(work), (np.inf, np.inf)
    for order in permutations(range(1, n + 1)):
        for cuts in range(1 << (n - 1)):
            tours, tour = [], [order[0]]
            for k, stop in enumerate(order[1:]):
                if cuts >> k & 1:
                    tours.append(tour)
                    tour = []
                tour.append(stop)
            tours.append(tour)
            long = [
                sum(minutes[a, b] for a, b in zip([0, *t], [*t, 0], strict=True)) + sum(work[s - 1] for s in t)
                for t in tours
            ]  # fmt: skip
            if max(long) <= shift_minutes + 1e-6:
                best = min(best, (len(tours), sum(long)))
    return best


@needs_pyvrp
def test_two_villages_on_one_road_share_a_tour_when_the_shift_is_long_enough():
    """At 30 and 60 minutes, an hour's work each: 240 together, 120 + 180 apart."""
    minutes, work = _line(30, 60), np.array([60.0, 60.0])
    together = plan_tours(minutes, work, Shift(hours=4))
    assert (together.count, together.minutes) == (1, pytest.approx(240))
    apart = plan_tours(minutes, work, Shift(hours=3))
    assert (apart.count, apart.minutes) == (2, pytest.approx(300))


def test_work_for_more_than_a_shift_goes_out_several_times_in_whole_visits():
    """Eight visits of 40 minutes 30 minutes away: six fit in 300 of 240 + 60, two are left: 140."""
    tours = plan_tours(_line(30), np.array([320.0]), Shift(hours=5), unit=40.0)
    assert (tours.count, tours.minutes) == (2, pytest.approx(60 + 240 + 60 + 80))


def test_a_place_that_no_shift_reaches_is_left_and_told():
    tours = plan_tours(_line(150), np.array([40.0]), Shift(hours=5), unit=40.0)
    assert (tours.count, list(tours.left)) == (0, [0])


@needs_pyvrp
@pytest.mark.parametrize("seed", range(6))
def test_tours_are_the_best_of_all_that_can_be_tried(seed):
    rng = np.random.default_rng(seed)
    at = rng.uniform(0, 60, (6, 2))
    minutes = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1)) + rng.uniform(0, 4, (6, 6))
    np.fill_diagonal(minutes, 0.0)
    work = rng.uniform(20, 90, 5)
    tours = plan_tours(minutes, work, Shift(hours=5))
    count, least = _by_trying(minutes, work, 300)
    assert tours.count == count
    assert tours.minutes == pytest.approx(least, abs=0.2)  # whole seconds a leg


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = tiny_county.write(tmp_path_factory.mktemp("routes") / "case")
    case = read_case(folder)
    return folder, case, run(case, tiny_county.scenario())


@needs_pyvrp
def test_every_base_with_visits_is_checked_beside_what_the_plan_allotted(planned):
    _, case, done = planned
    table = check_routes(done, case).table
    problem, plan = done.problem, done.plan
    teams = np.array([c.partition("/")[2] != "village-point" for c in problem.classes])
    home = problem.class_service == problem.services.index("elderly.home")
    mine = (home & teams)[problem.arc_class[plan.served_arc]]
    assert table["visits"].sum() == pytest.approx(plan.served[mine].sum()) and len(table) > 1
    arc = plan.served_arc[mine]
    planned_hours = plan.served[mine] @ (40 + 2 * problem.arc_minutes[arc] / 3) / 60
    assert table["hours_planned"].sum() == pytest.approx(planned_hours)
    assert (table["vehicles"] >= 1).all() and (table["tours"] >= 1).all()
    again = check_routes(done, case).table
    assert table.equals(again)


@needs_pyvrp
def test_a_case_with_placements_is_checked_after_it_was_run(planned):
    """What a run keeps on its case (rates as need is estimated from them) does not stand in the way."""
    _, case, done = planned
    areas = case.region.areas.rename(columns={"area_id": "point_id"})
    points = areas[["point_id", "lon", "lat"]].assign(seed=1)
    assert case.need_rates is not None
    drawn = replace(done, scenario=done.scenario.model_copy(update={"placement": 1}))
    moved = replace(case, placements=points)
    assert moved.need_rates is not None
    assert check_routes(drawn, moved).table.equals(check_routes(done, case).table)


@needs_pyvrp
def test_an_estimate_that_was_too_small_is_told_in_planners_words(planned):
    """Thirty visits a journey are promised; a shift of four hours holds five or so."""
    _, case, done = planned
    types = {
        k: replace(t, offers=tuple(replace(o, visits_trip=30.0) for o in t.offers))
        for k, t in case.catalogue.types.items()
    }
    hopeful = replace(case, catalogue=replace(case.catalogue, types=types))
    found = check_routes(done, hopeful, shift=Shift(hours=4))
    told = [f for f in found.findings if f.code == "routes-longer-than-planned"]
    assert told and "vehicles" in told[0].what.en and "车时" in told[0].what.zh
    short = found.table.set_index("site_id").loc[told[0].where.id]
    assert short["hours"] > short["hours_planned"]
    fleet = done.scenario.model_copy(
        update={"resources": {**done.scenario.resources, "vehicle_hours": _fleet(0.9 * found.table["hours"].sum())}}
    )  # fmt: skip
    codes = {f.code for f in check_routes(replace(done, scenario=fleet), hopeful, shift=Shift(hours=4)).findings}  # fmt: skip
    assert "routes-beyond-the-fleet" in codes


def _fleet(hours):
    from allocator.scenario import PoolSpec

    return PoolSpec(unit="hour/month", supply={2026: float(hours)})


def test_without_the_optional_package_the_way_out_is_named(planned, monkeypatch):
    _, case, done = planned
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputRefused) as caught:
        check_routes(done, case)
    assert "[routes]" in caught.value.findings[0].remedy.en


@needs_pyvrp
def test_the_command_prints_tables_and_plain_data(planned, tmp_path, capsys):
    folder, _, done = planned
    stored = write_run(tmp_path / "run", done)
    assert main(["routes", str(stored), str(folder), "--lang", "en"]) == 0
    assert "Vehicles" in capsys.readouterr().out
    assert main(["routes", str(stored), str(folder), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["bases"]
    assert rows and {"site_id", "hours", "hours_planned", "vehicles"} <= set(rows[0])
