"""The classic models as presets agree with a published package and with brute force."""

import itertools

import numpy as np
import pytest

from allocator.compile.presets import (
    capacitated,
    maximal_covering,
    p_center,
    p_median,
    set_covering,
    uncapacitated,
)
from allocator.model import solve_exactly
from allocator.verify import verify


def _case(seed):
    rng = np.random.default_rng(seed)
    areas, sites = rng.random((12, 2)), rng.random((6, 2))
    cost = np.hypot(*(areas[:, None] - sites[None]).transpose(2, 0, 1))
    weight = rng.integers(1, 30, 12).astype(float)
    return cost, weight, int(rng.integers(2, 4)), float(cost.min(1).max() * 1.05)


def _value(problem):
    plan = solve_exactly(problem, gap=0.0)
    assert plan.is_complete and verify(problem, plan) == ()
    return plan.objectives[0].value


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(30))
def test_presets_agree_with_spopt(seed):
    locate = pytest.importorskip("spopt.locate")
    import pulp

    cost, weight, p, radius = _case(seed)
    solver = pulp.PULP_CBC_CMD(msg=False)

    def theirs(model):
        return model.solve(solver).problem.objective.value()

    assert _value(set_covering(cost, radius)) == pytest.approx(
        theirs(locate.LSCP.from_cost_matrix(cost, radius)), abs=1e-5
    )
    covered = theirs(locate.MCLP.from_cost_matrix(cost, weight, radius * 0.7, p_facilities=p))
    assert weight.sum() - _value(maximal_covering(cost, weight, radius * 0.7, p)) == pytest.approx(
        covered, abs=1e-4
    )
    assert _value(p_median(cost, weight, p)) == pytest.approx(
        theirs(locate.PMedian.from_cost_matrix(cost, weight, p_facilities=p)), rel=1e-5
    )
    assert _value(p_center(cost, p)) == pytest.approx(
        theirs(locate.PCenter.from_cost_matrix(cost, p_facilities=p)), rel=1e-5
    )


@pytest.mark.parametrize("seed", range(4))
def test_uncapacitated_and_capacitated_agree_with_every_subset(seed):
    from scipy.optimize import linprog

    cost, weight, _, _ = _case(seed)
    rng = np.random.default_rng(seed + 100)
    opening = rng.uniform(5, 40, cost.shape[1])
    capacity = rng.uniform(0.3, 0.6, cost.shape[1]) * weight.sum()
    free, tight = np.inf, np.inf
    for n in range(1, cost.shape[1] + 1):
        for chosen in map(list, itertools.combinations(range(cost.shape[1]), n)):
            fixed = opening[chosen].sum()
            free = min(free, fixed + weight @ cost[:, chosen].min(1))
            if capacity[chosen].sum() < weight.sum():
                continue
            serve = np.kron(np.eye(len(weight)), np.ones(n))
            use = np.kron(np.ones(len(weight)), np.eye(n))
            found = linprog(
                cost[:, chosen].ravel(), A_ub=use, b_ub=capacity[chosen], A_eq=serve, b_eq=weight
            )
            if found.status == 0:
                tight = min(tight, fixed + found.fun)
    assert _value(uncapacitated(cost, opening, weight)) == pytest.approx(free, rel=1e-6)
    assert _value(capacitated(cost, opening, weight, capacity)) == pytest.approx(tight, rel=1e-6)
