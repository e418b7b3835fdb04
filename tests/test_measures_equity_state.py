"""The equity chapter of a plan reads the plan itself: who is open, who can reach it, what is spent."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from allocator.measures.equity_state import people_in_need, state_of_plan
from allocator.plan import Plan, Status
from allocator.problem import Problem

INT = np.int64


@pytest.fixture
def small():
    """Three areas, two sites: B opens in period 1; site A has 10 places, B 5; home C is out of reach."""
    need = np.zeros((3, 1, 2, 2, 2))
    need[0, 0, :, :, :] = 10.0
    need[1, 0, 0, :, :] = 5.0
    need[2, 0, 0, :, :] = 2.0
    need[..., 1] *= 2  # the second future has twice the need
    return Problem(
        areas=("a", "b", "home:A"), sites=("A", "B"), options=("closed", "home"),
        services=("elderly.resident",), classes=("home",), groups=("mild", "severe"),
        periods=("2026-2030", "2031-2035"), pools=("capital", "running"), futures=("x", "y"),
        period_years=np.array([5.0, 5.0]), future_weight=np.array([0.5, 0.5]), need=need,
        site_start=np.array([1, 0], INT), stint_site=np.array([0, 1, 1], INT),
        stint_from=np.array([1, 0, 0], INT), stint_option=np.array([1, 0, 1], INT),
        stint_first=np.array([0, 0, 1], INT), stint_last=np.array([1, 0, 1], INT),
        offer_stint=np.array([0, 2], INT), offer_class=np.zeros(2, INT), offer_min=np.zeros(2),
        offer_max=np.full(2, 100.0), offer_module=np.zeros(2), class_service=np.zeros(1, INT),
        occupancy_min=np.zeros(1), occupancy_max=np.ones(1), places_per_person=np.ones((1, 2)),
        arc_area=np.array([0, 1, 1], INT), arc_site=np.array([0, 0, 1], INT), arc_class=np.zeros(3, INT),
        arc_minutes=np.array([5.0, 25.0, 8.0]), acceptance=np.ones((3, 1)),
        use_stint=csr_array(np.array([[0, 0, 1000.0, 1000.0], [0, 0, 0, 0], [0, 0, 0, 500.0]])),
        use_place=csr_array(np.array([[0, 0, 10.0, 10.0], [0, 0, 0, 20.0]])),
        use_person=np.zeros((1, 2, 2, 2)), use_minute=np.zeros((1, 2)), rules=(), objectives=(),
    )  # fmt: skip


@pytest.fixture
def plan(small):
    return Plan(
        problem=small.digest, status=Status.PROVED, stints=np.array([0, 1, 2], INT),
        places=np.array([10.0, 5.0]), served_arc=np.array([0, 2], INT), served_group=np.array([0, 0], INT),
        served_period=np.array([1, 1], INT), served_future=np.array([0, 0], INT), served=np.array([8.0, 4.0]),
        unmet=np.zeros((3, 1, 2, 2, 2)), objectives=(), road="exact",
    )  # fmt: skip


def test_only_sites_open_in_the_period_count(small, plan):
    first = state_of_plan(small, plan, 0, future=0).set_index("area_id")
    last = state_of_plan(small, plan, 1, future=0).set_index("area_id")
    assert first["minutes"].tolist()[:2] == [5.0, 25.0] and last["minutes"].tolist()[:2] == [
        5.0,
        8.0,
    ]
    assert last.loc["home:A", "covered"] == 0.0 and np.isnan(last.loc["home:A", "minutes"])
    near = state_of_plan(
        small, plan, 0, future=0, reach={"elderly.resident": np.array([15.0, 15.0, 15.0])}
    )
    assert near["covered"].tolist() == [1.0, 0.0, 0.0]


def test_access_is_places_against_all_who_reach_them(small, plan):
    first = state_of_plan(small, plan, 0, future=0)["access"].tolist()
    assert first == pytest.approx([10 / 25, 10 / 25, 0.0])  # 20 + 5 in need share ten places
    last = state_of_plan(small, plan, 1, future=0)["access"].tolist()
    assert last == pytest.approx([10 / 25, 10 / 25 + 5 / 5, 0.0])


def test_spending_on_people_sums_to_the_running_cost_of_the_sites_they_use(small, plan):
    state = state_of_plan(small, plan, 1, future=0).set_index("area_id")
    people = people_in_need(small, AREAS, 1, future=0).groupby("area_id")["persons"].sum()
    total = (state["spending_yuan"] * people).sum()
    assert total == pytest.approx((1000 + 10 * 10) + (500 + 5 * 20))


def test_people_in_need_are_the_mean_over_futures_unless_one_is_named(small):
    mean = people_in_need(small, AREAS, 0)["persons"].sum()
    one = people_in_need(small, AREAS, 0, future=0)["persons"].sum()
    assert one == 27.0 and mean == pytest.approx(1.5 * one)
    with pytest.raises(ValueError, match="without township"):
        people_in_need(small, AREAS.iloc[:1], 0)


AREAS = pd.DataFrame(
    [("a", "T1", "county-town"), ("b", "T2", "village"), ("home:A", "T1", "county-town")],
    columns=["area_id", "township", "area_class"],
)


def test_each_base_has_its_own_access_and_spending_and_the_money_is_conserved(small, plan):
    need = people_in_need(small, AREAS, 1, future=0)
    residents = pd.DataFrame(
        {
            "area_id": ["a", "b"],
            "service": "elderly.resident",
            "base": "resident",
            "persons": [100.0, 50.0],
        }
    )
    people = pd.concat([need, residents], ignore_index=True)
    state = state_of_plan(small, plan, 1, future=0, people=people, part=np.array([0, 1, 0]))
    by = state.set_index(["base", "area_id"])
    assert by.loc[("resident", "b"), "access"] == pytest.approx(10 / 150 + 5 / 50)
    assert by.loc[("need", "b"), "access"] == pytest.approx(10 / 25 + 5 / 5)
    persons = people.groupby(["base", "area_id"])["persons"].sum()
    spent = (by["spending_yuan"] * persons.reindex(by.index)).groupby("base").sum()
    assert spent.tolist() == pytest.approx([1700.0, 1700.0])
    assert ("resident", "home:A") not in by.index


def test_the_catalogue_commands_show_check_compare_and_cost(tmp_path, capsys):
    import typer

    from allocator.cli.catalogue import catalogue_app
    from allocator.io.paths import shipped

    command = typer.main.get_command(catalogue_app)
    local = shipped("data/catalogue") / "local"
    people = tmp_path / "people.csv"
    people.write_text(
        "group,year,persons\nelderly-60,2026,30000\nresidents,2026,180000\nelderly-80,2026,4000\ndifficulty-elders,2026,2500\n"
    )

    def said(*words):
        code = command.main(args=[str(w) for w in words], standalone_mode=False)
        return code, capsys.readouterr().out

    code, out = said("show", "--section", "2.1", "--on", "2026-06-30", "--json", "--lang", "en")
    assert code == 0 and any(r["id"] == "day-care.area.class-1" for r in json.loads(out))
    code, out = said("check", local / "county-a", "--on", "2026-06-30", "--json", "--strict")
    assert code == 0 and json.loads(out)["below_national"] == 0
    code, out = said("check", local / "county-b", "--on", "2026-06-30", "--lang", "zh")
    assert code == 2 and "低于国家标准 3 项" in out
    a = local / "county-a"
    dates = ("--on-old", "2025-06-30", "--on-new", "2026-06-30")
    code, out = said("diff", a, a, *dates, "--json")
    assert code == 0 and len(json.loads(out)) == 7
    code, out = said(
        "cost",
        a,
        a,
        *dates,
        "--people",
        people,
        "--budget",
        5e6,
        "--json",
        "--share",
        "county=0.6",
        "--share",
        "city=0.4",
    )
    data = json.loads(out)
    assert code == 0 and all(
        r["yuan.county"] + r["yuan.city"] == r["total_yuan"] for r in data["cost"]
    )
    assert data["rank"][0]["is_carried"]


def test_a_people_file_that_cannot_be_read_is_refused_not_a_traceback(tmp_path):
    import typer

    from allocator.cli.catalogue import catalogue_app
    from allocator.errors import InputRefused
    from allocator.io.paths import shipped

    a = shipped("data/catalogue") / "local" / "county-a"
    people = tmp_path / "people.csv"
    people.write_text("group,year\nresidents,2026\n")
    for path in (people, tmp_path / "none.csv"):
        with pytest.raises(InputRefused):
            typer.main.get_command(catalogue_app).main(
                args=["cost", str(a), str(a), "--people", str(path)], standalone_mode=False
            )
