"""Beds in use today by the model are held against the roll of the homes."""

from dataclasses import replace

import pandas as pd
import pytest
from small_county import corner, written

from allocator.measures.indicators import _roll_findings


def _case(residents):
    case = corner()
    homes = case.region.homes.assign(residents=residents)
    return replace(case, region=replace(case.region, homes=homes))


def _use(case, scenario, assigned):
    homes = case.region.homes
    return pd.DataFrame(
        {"year": scenario.base_year, "service": "elderly.resident", "site_id": homes["site_id"],
         "places": homes["places"].astype(float), "assigned": homes["places"] * assigned}
    )  # fmt: skip


def test_a_model_far_from_the_roll_is_told_with_both_figures():
    scenario, case = written("today"), _case(5)
    (found,) = _roll_findings(case, _use(case, scenario, 0.9), scenario)
    places, lived = case.region.homes["places"].sum(), 5 * len(case.region.homes)
    assert found.code == "today-off-the-roll"
    assert "90%" in found.what.zh and f"{lived / places:.0%}" in found.what.zh
    assert f"{lived} residents, {places} beds" in found.what.en


@pytest.mark.parametrize("off, told", [(0.09, 0), (0.11, 1), (-0.11, 1)])
def test_a_tenth_of_the_beds_is_let_pass(off, told):
    scenario, case = written("today"), corner()
    case = _case((case.region.homes["places"] * 0.5).astype(int))
    lived = case.region.homes["residents"].sum() / case.region.homes["places"].sum()
    assert len(_roll_findings(case, _use(case, scenario, lived + off), scenario)) == told


def test_a_limit_names_the_objectives_it_left_open():
    from types import SimpleNamespace

    from allocator.errors import Text
    from allocator.plan import ObjectiveValue, Status
    from allocator.run import _limit_findings

    values = [
        ObjectiveValue(id="unmet", value=100.0, bound=99.95, unit="person"),
        ObjectiveValue(id="travel", value=100.0, bound=80.0, unit="person-hour"),
    ]
    plan = SimpleNamespace(status=Status.LIMIT, objectives=values, gap=values[1].gap)
    words = [SimpleNamespace(id=v.id, words=Text(v.id, v.id)) for v in values]
    (found,) = _limit_findings(plan, SimpleNamespace(objectives=words), 0.001)
    assert "Only travel 20.00%" in found.what.en and "unmet" not in found.what.en
    (alone,) = _limit_findings(plan, SimpleNamespace(objectives=words), 0.0001)
    assert "Only" not in alone.what.en  # all are open: the worst gap says enough
