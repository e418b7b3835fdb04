"""No plan: the rules named do contradict one another, none is idle, and the way out works."""

from dataclasses import replace

import numpy as np
import pytest
from small_problems import WORDS, random_problem, three_hamlets

from allocator.errors import Rank, Text
from allocator.model import explain, solve_exactly
from allocator.model.conflict import apply_relaxations, explanation, is_satisfiable
from allocator.plan import Status
from allocator.rules import (
    Coverage,
    Floor,
    Forced,
    PlacesRatio,
    PlacesShare,
    Resource,
    Served,
    SiteCount,
)


def _harder(problem, rng):
    """The same problem with every rule hard and asking more."""
    rules = []
    for r in problem.rules:
        if isinstance(r, Resource):
            r = replace(r, supply=r.supply * rng.uniform(0.1, 0.9))
        elif isinstance(r, Served | Floor | Coverage | PlacesShare):
            r = replace(r, price=None, share=np.minimum(r.share * 1.5 + 0.3, 1.0))
        elif isinstance(r, PlacesRatio):
            r = replace(r, price=None, minimum=r.minimum + 5)
        rules.append(r)
    return replace(problem, rules=tuple(rules))


def _conflicts(count):
    seed = 0
    while count:
        problem = _harder(random_problem(seed, most=60), np.random.default_rng(seed))
        if solve_exactly(problem, whole_places=True).status is Status.INFEASIBLE:
            found = explanation(problem)
            if found.conflict:  # else the structure itself has no plan
                yield problem, found
                count -= 1
        seed += 1


@pytest.mark.parametrize(
    "count", [pytest.param(50, marks=pytest.mark.slow), pytest.param(250, marks=pytest.mark.long)]
)
def test_of_generated_conflicts_every_member_counts_and_every_way_out_works(count):
    kinds = set()
    for problem, found in _conflicts(count):
        assert is_satisfiable(problem, found.conflict) is False
        for member in found.conflict:
            rest = [r for r in found.conflict if r != member]
            assert is_satisfiable(problem, rest) is True, f"{member} is idle"
        assert found.is_irreducible and found.is_tried
        relaxed = apply_relaxations(problem, found.relaxations)
        assert solve_exactly(relaxed).is_complete
        assert [f.rank for f in found.findings] == [Rank.ERROR, Rank.INFORMATION]
        kinds |= {r.rule for r in found.relaxations}
    assert len(kinds) >= 4


def _contradiction():
    """Everyone covered with one site at most, where it takes two; a banned pair of states."""
    problem = three_hamlets()
    everyone = Served(
        id="all-served", words=Text("全部得到服务", "everyone is served"), service=0,
        areas=np.arange(3), groups=np.array([0]), share=np.ones(1),
    )  # fmt: skip
    one_site = SiteCount(
        id="one-site", words=Text("最多一处", "one site at most"), options=np.array([1]),
        minimum=np.zeros(1), maximum=np.ones(1),
    )  # fmt: skip
    idle = Forced(
        id="idle", words=Text("甲地要有", "a home at A"), site=0, options=np.array([1]), period=0
    )
    money = replace(problem.rules[-1], supply=np.array([5000.0]))
    return replace(problem, rules=(*problem.rules[:-1], money, everyone, one_site, idle))


def test_the_conflict_is_named_in_planners_words_and_without_the_idle_rule():
    found = explanation(_contradiction())
    assert found.conflict == ("all-served", "one-site")
    assert "everyone is served" in found.findings[0].what.en
    assert "最多一处" in found.findings[0].what.zh
    assert explain(_contradiction()) == found.findings


def test_one_yuan_short_of_a_hard_floor_asks_for_one_yuan():
    """Row 27: to serve 13 takes two homes and 330; with 329 the way out is one more of capital."""
    problem = three_hamlets()
    served = Served(
        id="served", words=WORDS, service=0, areas=np.arange(3), groups=np.array([0]),
        share=np.array([0.65]),
    )  # fmt: skip
    short = replace(problem.rules[-1], supply=np.array([329.0]))
    found = explanation(replace(problem, rules=(*problem.rules[:-1], short, served)))
    assert set(found.conflict) == {"capital", "served"}
    (way,) = found.relaxations
    assert way.rule == "capital"
    assert way.amount[0] == pytest.approx(1.0, abs=1e-3)
    enough = apply_relaxations(replace(problem, rules=(*problem.rules[:-1], short, served)), [way])
    assert solve_exactly(enough).is_complete


def test_a_problem_with_a_plan_has_nothing_to_explain():
    assert explain(three_hamlets()) == ()


def test_two_orders_against_each_other_are_the_whole_conflict():
    """Row 30 as the solver sees it: open and not open at once."""
    problem = three_hamlets()
    pair = [
        Forced(id=f"f{n}", words=WORDS, site=0, options=np.array([1]), period=0, wanted=bool(n))
        for n in (0, 1)
    ]
    found = explanation(replace(problem, rules=(*problem.rules, *pair)))
    assert found.conflict == ("f0", "f1")
    assert len(found.relaxations) == 1 and found.relaxations[0].dropped


def test_explain_stays_a_function_once_it_has_run():
    """A module of the same name would take its place in the package on first import."""
    explain(_contradiction())
    from allocator import model

    assert callable(model.explain)
