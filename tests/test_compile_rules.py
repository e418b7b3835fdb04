"""How a scenario's rules become rules of the problem, on a corner of the county."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from small_county import corner, whole_county, written

from allocator.errors import InputRefused
from allocator.measures.inequality import gini
from allocator.model import explain, solve
from allocator.plan import Status
from allocator.prepare import prepare
from allocator.region import Region
from allocator.rules import Coverage, Gini, Nearest, Resettlement
from allocator.run import run
from allocator.verify import verify

FEW = ("S01", "S02", "S21", "S53")
RULES = [{"resettlement": {"within_minutes": 60}}]


def _problem(**changes):
    problem, _, _ = prepare(corner(FEW), written("best-mix", **changes))
    return problem


def test_residents_of_a_home_are_need_at_the_home_in_every_period():
    problem = _problem()
    s = problem.services.index("elderly.resident")
    homes = whole_county().region.homes.set_index("site_id")["residents"]
    rows = [n for n, a in enumerate(problem.areas) if a.startswith("home:")]
    assert rows
    for i in rows:
        counted = float(homes[problem.areas[i].removeprefix("home:")])
        assert problem.need[i, s].sum(0)[:, 0] == pytest.approx([counted] * len(problem.periods))


def test_a_merged_home_counts_as_closed_and_an_upgraded_one_does_not():
    problem = _problem(rules=RULES)
    found = {r.id: r for r in problem.rules_of(Resettlement)}
    closed = {problem.options[o] for o in found["resettlement-S02"].closed_options}
    assert closed == {"closed", "village-point"}


@pytest.mark.parametrize("by", [2026, 2031])
@pytest.mark.parametrize("minutes", [1, 90])
def test_a_home_merges_in_any_period_only_with_a_receiver_in_reach(by, minutes):
    """The school near by may become a centre; nothing is within a minute."""
    problem = _problem(
        options={
            "modes": ["keep", "merge", "convert"], "force": [{"site": "S02", "type": "village-point", "by": by}],
        },
        rules=[{"resettlement": {"within_minutes": minutes}}],
    )  # fmt: skip
    plan = solve(problem, gap=0.05)
    if minutes == 1:
        assert plan.status is Status.INFEASIBLE
        assert "resettlement-S02" in explain(problem)[0].where.id
        return
    assert plan.is_complete and verify(problem, plan) == ()
    home = problem.areas.index("home:S02")
    s = problem.services.index("elderly.resident")
    assert plan.unmet[home, s, :, -1].sum() == pytest.approx(0, abs=1e-6)
    last = (problem.arc_area[plan.served_arc] == home) & (plan.served_period == 1)
    there = problem.arc_site[plan.served_arc[last]]
    assert set(there) == {problem.sites.index("S21")}


@pytest.mark.parametrize("minutes", [8, 15, 30])
def test_coverage_counts_a_site_only_with_an_offer_whose_own_journey_is_in_reach(minutes):
    """A bus to a centre may be quick where the walk to a point at the same site is not."""
    rule = {"service": "elderly.day", "within_minutes": minutes, "share": 0.5}
    problem, _, _ = prepare(corner(), written("best-mix", rules=[*RULES, {"coverage": rule}]))
    (coverage,) = problem.rules_of(Coverage)
    near = problem.arc_minutes <= minutes
    journeys = set(
        zip(
            problem.arc_area[near].tolist(), problem.arc_site[near].tolist(),
            problem.arc_class[near].tolist(), strict=True,
        )
    )  # fmt: skip
    site = problem.stint_site[problem.offer_stint[coverage.pair_offer]]
    kind = problem.offer_class[coverage.pair_offer]
    pairs = set(
        zip(coverage.areas[coverage.pair_area].tolist(), site.tolist(), kind.tolist(), strict=True)
    )
    assert pairs and pairs <= journeys
    day = problem.class_service[problem.offer_class] == problem.services.index("elderly.day")
    offered = set(
        zip(
            problem.stint_site[problem.offer_stint[day]].tolist(),
            problem.offer_class[day].tolist(), strict=True,
        )
    )  # fmt: skip
    asked = set(np.asarray(coverage.areas).tolist())
    assert pairs == {(i, j, c) for i, j, c in journeys if (j, c) in offered and i in asked}


def test_more_sites_than_there_are_is_refused_before_solving():
    """Row 29."""
    asked = {"sites": {"types": ["village-point"], "at_least": 500}}
    with pytest.raises(InputRefused) as caught:
        run(corner(FEW), written("best-mix", rules=[asked]))
    (finding,) = caught.value.findings
    assert finding.code == "more-sites-than-there-are" and "500" in finding.what.en


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rules", [{"sites": {"types": ["village-point"], "at_least": 3, "at_most": 2}}]),
        ("options", {"subsidies": [{"places_min": 90, "places_max": 50, "yuan_place": 1.0}]}),
    ],
)  # fmt: skip
def test_a_minimum_above_its_maximum_is_refused(key, value):
    """Row 29."""
    with pytest.raises(ValidationError, match=r"above"):
        written("best-mix", **{key: value})


@pytest.mark.parametrize("banned", [{"site": "S53"}, {"site": "S53", "type": "county-home"}])
def test_a_site_both_forced_and_banned_is_refused(banned):
    """Row 30."""
    options = {"force": [{"site": "S53", "type": "county-home", "by": 2030}], "ban": [banned]}
    with pytest.raises(InputRefused) as caught:
        run(corner(FEW), written("best-mix", options=options))
    assert [f.code for f in caught.value.findings] == ["forced-and-banned"]


@pytest.mark.parametrize("ceiling", [0.3, 0.12])
def test_a_ceiling_on_the_gini_index_holds_by_the_index_that_is_reported(ceiling):
    problem = _problem(rules=[{"even": {"service": "elderly.resident", "index": "gini", "at_most": ceiling}}])  # fmt: skip
    [rule] = (r for r in problem.rules if isinstance(r, Gini))
    plan = solve(problem, gap=0.02)
    assert plan.is_complete and not verify(problem, plan)
    served, needed = (np.zeros(rule.part.max() + 1) for _ in range(2))
    last = len(problem.periods) - 1
    at = plan.served_period == last
    arc, people = plan.served_arc[at], plan.served[at]
    area = problem.arc_area[arc]
    mine = problem.class_service[problem.arc_class[arc]] == rule.service
    mine &= rule.part[area] >= 0
    np.add.at(served, rule.part[area[mine]], people[mine])
    inside = rule.part >= 0
    np.add.at(needed, rule.part[inside], problem.need[inside, rule.service, :, last, 0].sum(1))
    some = needed > 0
    assert served.sum() > 0
    assert gini(served[some] / needed[some], needed[some]) <= ceiling + 1e-6


def test_a_limit_on_mean_travel_binds_and_holds():
    spec = {"service": "elderly.day", "at_most_minutes": 6}
    free, held = _problem(rules=[]), _problem(rules=[{"travel": spec}])
    minutes = []
    for problem in (free, held):
        plan = solve(problem, gap=0.02)
        assert plan.is_complete and not verify(problem, plan)
        arcs, people = plan.served_arc, plan.served
        service = problem.services.index("elderly.day")
        mine = problem.class_service[problem.arc_class[arcs]] == service
        assert people[mine].sum() > 0
        minutes.append((people * problem.arc_minutes[arcs])[mine].sum() / people[mine].sum())
    assert minutes[1] <= 6 + 1e-6 < minutes[0]


def test_a_county_moved_along_its_parallel_is_the_same_problem():
    """Only distances count: every point a degree further east, and nothing else changes."""
    case, scenario = corner(FEW), written("best-mix", placement=None, rules=RULES)
    moved = {
        name: getattr(case.region, name).assign(lon=lambda t: t["lon"] + 1.0)
        for name in ("areas", "sites")
    }
    there = replace(case, region=Region(**{**case.region.__dict__, **moved}))
    here, other = (prepare(c, scenario)[0] for c in (case, there))
    assert (here.arc_area == other.arc_area).all() and (here.arc_site == other.arc_site).all()
    assert other.arc_minutes == pytest.approx(here.arc_minutes, rel=1e-9)
    assert (here.acceptance == other.acceptance).all() and (here.need == other.need).all()
    assert len(here.arc_minutes) > 50


def test_a_scenario_may_ask_that_people_use_the_nearest_place():
    problem = _problem(rules=[{"nearest": {"service": "elderly.day"}}])
    (rule,) = problem.rules_of(Nearest)
    assert problem.services[rule.service] == "elderly.day"
    plan = solve(problem, gap=0.05)
    assert plan.is_complete and verify(problem, plan) == ()
