"""How a scenario's rules become rules of the problem, on a corner of the county."""

import pytest
from small_county import corner, whole_county, written

from allocator.model import explain, solve
from allocator.plan import Status
from allocator.rules import Resettlement
from allocator.run import prepare
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
