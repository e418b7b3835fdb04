"""Those whom a site sends on: how many there are, where they go, and that they are people once only."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from oracle import best_by_enumeration
from pydantic import ValidationError
from small_county import corner, written
from small_problems import WORDS, random_problem, three_hamlets

from allocator.certificate import bound_from_prices
from allocator.compile import origins
from allocator.compile.onward import with_onward_need
from allocator.errors import Rank
from allocator.measures.choice import free_choice, of_residents, sent_on
from allocator.model import solve, solve_exactly
from allocator.preconditions import preconditions
from allocator.prepare import prepare
from allocator.report.siting import catchments
from allocator.report.words import Names
from allocator.rules import Referral
from allocator.run import run
from allocator.verify import verify

CLINIC, BEDS = "clinic.visit", "health.township-centre"
SITES = ("S01", "S21", "S23", "S52", "S53")
SHARE = 0.02
REFERRAL = {"service": CLINIC, "onward": BEDS, "share": SHARE, "types": ["village-clinic"]}


@cache
def _case():
    """The corner with ground that nothing stands on, so that clinics and health centres may be built."""
    case = corner(SITES)
    sites = case.region.sites.copy()
    sites.loc[sites["site_id"] != "S01", "building"] = "none"
    return replace(case, region=replace(case.region, sites=sites))


def _scenario(*rules, **changes):
    pools = written("best-mix").model_dump(mode="json", by_alias=True)["resources"]
    return written(
        "best-mix", **{
            "services": [CLINIC, BEDS], "need": {"factor": {CLINIC: 0.5, BEDS: 0.1}},
            "objective": ["unmet", "travel"], "rules": list(rules),
            "resources": {**pools, "capital": {"unit": "yuan", "supply": dict.fromkeys((2026, 2031), "unlimited")}},
            **changes,
        },
    )  # fmt: skip


@cache
def _ran(*which):
    rules = {"referral": {"referral": REFERRAL}, "overflow": {"overflow": {k: v for k, v in REFERRAL.items() if k != "share"}}}  # fmt: skip
    return run(_case(), _scenario(*(rules[w] for w in which)))


def _visits(done, types):
    """Served last year at the sites and classes of a type, those sent on left out."""
    problem, plan = done.problem, done.plan
    kind = np.array(problem.classes)[problem.arc_class[plan.served_arc]]
    some = np.array([k.endswith(types) for k in kind]) & (plan.served_period == 1)
    some &= ~problem.onward[problem.arc_area[plan.served_arc]]
    return float(plan.served[some].sum())


def test_beds_bind_the_clinics_that_send_people_to_them():
    """Two in a hundred visits go on to a bed: beds are full, and fewer are seen at the clinics than could be."""
    free, held = _ran(), _ran("referral")
    (rule,) = held.problem.rules_of(Referral)
    onward = held.problem.onward[held.problem.arc_area[held.plan.served_arc]]
    late = held.plan.served_period == 1
    sent = held.plan.served[onward & late].sum()
    assert sent == pytest.approx(SHARE * _visits(held, "/village-clinic"), rel=1e-5)
    assert 0 < _visits(held, "/village-clinic") < _visits(free, "/village-clinic") - 100
    use = held.tables["use"].query("year == 2035 and service == @BEDS")
    assert use["assigned"].sum() == pytest.approx(use["places"].sum(), rel=1e-4)
    assert use["places"].sum() > 0 and len(rule.site) == len(SITES)
    assert held.plan.objectives[0].value > free.plan.objectives[0].bound * (1 + 1e-6)


def test_those_sent_on_are_no_second_need_and_no_second_people():
    free, held = _ran(), _ran("referral")
    same = ["year", "service", "group", "need"]
    assert free.tables["needs"][same].equals(held.tables["needs"][same])
    for name in ("people", "people_60", "need"):
        assert free.tables["townships"][name].equals(held.tables["townships"][name])
    towns, needs = held.tables["townships"], held.tables["needs"]
    by_need = needs.groupby(["year", "service"])[["served", "unmet"]].sum()
    by_town = towns.groupby(["year", "service"])[["served", "unmet"]].sum()
    assert np.allclose(by_need, by_town.reindex(by_need.index), atol=1e-6)
    use = held.tables["use"].groupby(["year", "service"])["assigned"].sum()
    onward = held.tables["onward"].groupby(["year", "service"])["people"].sum()
    both = by_need["served"].add(onward, fill_value=0.0)
    assert np.allclose(use, both.reindex(use.index))
    lives = ~held.problem.onward
    assert np.array_equal(held.problem.own_need[lives], free.problem.need)
    assert len(held.tables["areas"]) == len(free.tables["areas"])


def test_a_report_says_from_which_site_those_sent_on_come():
    held = _ran("referral")
    flows = held.tables["onward"].query("year == 2035 and to_site != 'other'")
    assert len(flows) and set(flows["from_site"]) <= set(SITES)
    names = Names([held], _case().catalogue)
    table = catchments([held], _case().region, names)
    at = [c.id for c in table.columns].index("from")
    told = [row[at] for row in table.rows if "转自" in getattr(row[at], "zh", "")]
    assert told and all("sent on from" in cell.en for cell in told)


def test_without_a_referral_nobody_sets_out_from_a_site_and_no_table_speaks_of_it():
    free = _ran()
    assert not free.problem.onward.any() and free.problem.own_need is free.problem.need
    assert "onward" not in free.tables
    assert origins(_case(), _scenario()).equals(origins(_case()))


def test_all_whom_an_overflow_receives_go_on_and_some_stay_where_both_are_offered():
    held = _ran("overflow")
    problem, plan = held.problem, held.plan
    (rule,) = problem.rules_of(Referral)
    assert rule.id.startswith("overflow") and (rule.share == 1).all()
    onward = problem.onward[problem.arc_area[plan.served_arc]]
    assert plan.served[onward].sum() == pytest.approx(
        _sum(problem, plan, np.isin(problem.arc_class, rule.classes)), rel=1e-5
    )
    own = np.array([problem.areas[i].endswith(problem.sites[j]) for i, j in zip(problem.arc_area, problem.arc_site, strict=True)])  # fmt: skip
    assert (problem.onward[problem.arc_area] & own).any()


def _sum(problem, plan, arcs):
    return plan.served[arcs[plan.served_arc]].sum()


def test_the_price_road_holds_those_sent_on_and_its_prices_prove_their_bound():
    """The county's first objective by prices: checked, bracketed with the exact road, bound recomputed."""
    problem = _ran("referral").problem
    problem = replace(problem, objectives=problem.objectives[:1])
    exact = solve_exactly(problem, gap=1e-4).objectives[0]
    plan = solve(problem, road="prices", threads=1)
    assert plan.is_complete and verify(problem, plan) == ()
    (priced,) = plan.objectives
    assert np.any(plan.prices[problem.rules_of(Referral)[0].id] != 0)
    assert priced.bound <= exact.value * (1 + 1e-6) and exact.bound <= priced.value * (1 + 1e-6)
    proved = bound_from_prices(problem, plan.prices)
    assert proved == pytest.approx(plan.work["price_bound"], rel=1e-6)


def test_free_choice_sends_on_as_many_as_came():
    held = _ran("referral")
    problem = held.problem
    (rule,) = problem.rules_of(Referral)
    use = free_choice(problem, held.plan)
    came = of_residents(problem, use)
    come = came.people[np.isin(problem.arc_class[came.arc], rule.classes)].sum()
    gone = sent_on(problem, use).people.sum()
    assert 0 < gone <= SHARE * come + 1e-9
    kinds = problem.arc_class[sent_on(problem, use).arc]
    assert set(problem.class_service[kinds]) == {rule.service}


def _two_services(share=0.5, beds=4.0):
    """Hamlets of 10, 6 and 4 see A or B (`three_hamlets`); half of those at A go on to beds at B only."""
    plain = three_hamlets()
    rule = Referral(
        id="referral", words=WORDS, site=np.array([0, 1]), area=np.array([3, 4]),
        classes=np.array([0]), service=1, share=np.array([share]),
    )  # fmt: skip
    need = np.zeros((5, 2, 1, 1, 1))
    need[:3, :1] = plain.need
    return with_onward_need(replace(
        plain, areas=(*plain.areas, "onward:A", "onward:B"), services=("care", "beds"),
        classes=("care:home", "beds:home"), need=need, class_service=np.array([0, 1]),
        occupancy_min=np.zeros(2), occupancy_max=np.ones(2), places_per_person=np.ones((2, 1)),
        offer_stint=np.array([1, 3, 3]), offer_class=np.array([0, 0, 1]),
        offer_min=np.array([5.0, 5.0, 0.0]), offer_max=np.array([12.0, 12.0, beds]),
        offer_module=np.zeros(3), use_place=plain.use_place[[0, 1, 1]] * np.array([[1.0], [1.0], [0.0]]),
        use_person=np.zeros((2, 1, 1, 1)), use_minute=np.zeros((2, 1)),
        arc_area=np.array([0, 1, 1, 2, 3, 4]), arc_site=np.array([0, 0, 1, 1, 1, 1]),
        arc_class=np.array([0, 0, 0, 0, 1, 1]), arc_minutes=np.array([10.0, 20.0, 10.0, 10.0, 30.0, 0.0]),
        acceptance=np.array([[1.0], [0.5], [1.0], [1.0], [1.0], [1.0]]),
        rules=(*plain.rules[:-1], replace(plain.rules[-1], supply=np.array([1000.0])), rule),
        objectives=(replace(plain.objectives[0], unmet=np.ones((1, 2, 1))),),
    ))  # fmt: skip


def test_the_most_that_may_go_on_is_a_share_of_the_fewer_of_those_who_come_and_those_who_fit():
    """12 fit in A, where 10 and half of 6 might come; 10 might come to B."""
    need = _two_services().need[3:, 1].ravel()
    assert need.tolist() == [0.5 * 12, 0.5 * 10]
    assert _two_services().onward.tolist() == [False, False, False, True, True]
    free = np.broadcast_to(_two_services().objectives[0].unmet, (5, 2, 1))
    assert free[:3].all() and not free[3:].any()


@pytest.mark.parametrize(("beds", "unmet"), [(10.0, 0.0), (4.0, 12.0), (0.0, 20.0)])
def test_beds_at_the_end_of_the_way_decide_how_many_are_seen_at_its_start(beds, unmet):
    """Half of those seen need a bed: 4 beds let 8 of 20 be seen, 10 all, none nobody."""
    problem = _two_services(beds=beds)
    plan = solve_exactly(problem, gap=0.0, whole_places=False)
    assert plan.objectives[0].value == pytest.approx(unmet, abs=1e-6)
    assert best_by_enumeration(problem) == pytest.approx([unmet], abs=1e-6)
    assert verify(problem, plan) == ()


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_flow_that_is_more_or_less_than_its_share_is_caught(factor):
    problem = _two_services(beds=10.0)
    plan = solve_exactly(problem, gap=0.0, whole_places=False)
    onward = problem.onward[problem.arc_area[plan.served_arc]]
    served = np.where(onward, plan.served * factor, plan.served)
    cells = problem.need.copy()
    for a, x in zip(plan.served_arc, served, strict=True):
        cells[problem.arc_area[a], problem.class_service[problem.arc_class[a]]] -= x
    spoiled = replace(plan, served=served, unmet=np.maximum(cells, 0.0))
    assert verify(problem, plan) == ()
    told = " ".join(f.what.en + str(f.where) for f in verify(problem, spoiled))
    assert "go on" in told and "referral" in told


@pytest.mark.parametrize("seed", range(12))
def test_the_most_that_may_go_on_never_binds(seed):
    """With onward needs three times as great as `with_onward_need` says, the plan is worth the same."""
    problem = random_problem(seed, most=60, families={"referral", "resource", "reserved"})
    far = problem.onward[:, None, None, None, None]
    problem = with_onward_need(replace(problem, need=np.where(far, 0.0, problem.need)))
    wide = replace(problem, need=np.where(far, 3.0, 1.0) * problem.need)
    assert far.any()
    found = [solve_exactly(p, gap=0.0, whole_places=False) for p in (problem, wide)]
    assert found[0].is_complete == found[1].is_complete
    if found[0].is_complete:
        first, second = (plan.objectives[0].bound for plan in found)
        assert first == pytest.approx(second, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("key", ["referral", "overflow"])
def test_people_do_not_go_on_to_the_service_they_come_for(key):
    spec = {"service": CLINIC, "onward": CLINIC, **({"share": 0.1} if key == "referral" else {})}
    with pytest.raises(ValidationError, match="another service"):
        _scenario({key: spec})


def test_two_way_referral_sends_people_there_and_back():
    """Clinics send on to beds and beds to clinics: needs are finite, and both shares are kept."""
    back = {"service": BEDS, "onward": CLINIC, "share": 0.5}
    problem, _, _ = prepare(_case(), _scenario({"referral": REFERRAL}, {"referral": back}))
    there, home = problem.rules_of(Referral)
    assert problem.onward.sum() == 2 * len(SITES) and np.isfinite(problem.need).all()
    assert problem.need[there.area].sum() > 0 and problem.need[home.area].sum() > 0
    plan = solve_exactly(problem, gap=0.01)
    assert plan.is_complete and verify(problem, plan) == ()


def test_a_site_that_reaches_no_bed_is_told_and_a_group_that_no_bed_is_for():
    """Nobody is sent on from A once its way to B is gone; those sent on are of the one group there is."""
    problem = _two_services()
    assert preconditions(problem) == ()
    near = np.flatnonzero(problem.arc_area != 3)
    cut = replace(
        problem, arc_area=problem.arc_area[near], arc_site=problem.arc_site[near],
        arc_class=problem.arc_class[near], arc_minutes=problem.arc_minutes[near],
        acceptance=problem.acceptance[near],
    )  # fmt: skip
    (told,) = preconditions(cut)
    assert told.code == "no-way-on" and told.rank is Rank.WARNING
    assert told.what.en.endswith("not served there: A.")
    plan = solve_exactly(cut, gap=0.0, whole_places=False)
    assert not plan.served[problem.arc_site[near][plan.served_arc] == 0].any()
    day = {"service": "elderly.day", "onward": CLINIC, "share": 0.1}
    mixed, _, _ = prepare(_case(), _scenario({"referral": day}, services=["elderly.day", CLINIC]))
    codes = {f.code: f for f in preconditions(mixed)}
    assert "all" not in codes["group-sent-on-unknown"].what.en
