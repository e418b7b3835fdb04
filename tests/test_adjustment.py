"""A change of standard on the demonstration county: what it takes is the difference of two runs."""

import json
from html import escape
from importlib import import_module

import pandas as pd
import pytest
import tiny_county
from small_county import corner

from allocator.cli import main
from allocator.compare import extra
from allocator.compile.norms import case_under, norm_findings
from allocator.errors import InputRefused, Rank
from allocator.forecast import project
from allocator.io.case import read_case
from allocator.io.paths import shipped
from allocator.measures.adjustment import cost_of_changes, people_of_groups
from allocator.report import html_report
from allocator.report.typesetting import full_width
from allocator.run import Shared, run
from allocator.scenario import Scenario
from allocator.standards import diff

BEDS = "elderly-facilities.beds-per-1000"
CHILD = "childcare.places-per-1000"
PLACES = {"places": {"standard": BEDS}}
CHILD_PLACES = {"places": {"service": "childcare.under3", "standard": CHILD}}
CHILD_SERVICES = {
    "services": ["elderly.resident", "childcare.under3"],
    "options": {
        "modes": ["keep", "build", "extend", "convert", "purchase"],
        "types": ["county-home", "township-home", "childcare", "purchased-childcare"],
    },
}


def beds(value: float, **more):
    return {"standard": BEDS, "from": 2026, "value": value, **more}


def scenario(name: str, **more) -> Scenario:
    payers = {"central": 0.4, "region": 0.3, "city": 0.1, "county": 0.2}
    return Scenario.model_validate(
        {
            "name": name, "title": {"zh": name, "en": name}, "base_year": 2025,
            "periods": [{"from": 2026, "to": 2030}], "services": ["elderly.resident"],
            "options": {"modes": ["keep", "build", "extend"], "types": ["county-home", "township-home"]},
            "resources": {
                "capital": {"unit": "yuan", "supply": {2026: "unlimited"}, "payers": payers},
                "running": {"unit": "yuan/year", "supply": {2026: "unlimited"}, "payers": {"region": 0.3, "county": 0.7}},
                "care_workers": {"unit": "person", "supply": {2026: "unlimited"}},
            },
            "objective": ["shortfall", "capital", "unmet"], "rules": [PLACES],
            "solve": {"gap": 1e-4, "road": "exact"}, **more,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def case():
    return corner()


@pytest.fixture(scope="module")
def runs(case):
    shared = Shared()
    wanted = {
        "before": scenario("before", standards=[beds(20)]),
        "raised": scenario("raised", standards=[beds(22)]),
        "narrow": scenario("narrow", standards=[beds(22, group="elderly-65")], grants=["huashan-running"]),
        "item": scenario(
            "item", standards=[beds(20), {"standard": CHILD, "from": 2026, "value": 1.5}],
            rules=[PLACES, CHILD_PLACES], **CHILD_SERVICES,
        ),
    }  # fmt: skip
    return {name: run(case, s, shared=shared) for name, s in wanted.items()}


def _sum(table: pd.DataFrame, measure: str) -> float:
    return float(table[table["measure"] == measure]["extra"].sum())


def _reconcile(before, after) -> None:
    """Places, money and workers of the difference are those of the sites that differ, to the yuan."""
    table = extra(before, after)
    joined = [r.tables["sites"].query("year > 2025").set_index("site_id") for r in (before, after)]
    for measure, column in (("capital_yuan", "capital_yuan"), ("running_yuan_year", "running_yuan_year")):  # fmt: skip
        by_site = joined[1][column] - joined[0][column]
        assert _sum(table, measure) == pytest.approx(by_site.sum(), abs=1.0)
    workers = joined[1]["care_workers"] - joined[0]["care_workers"]
    assert _sum(table, "care_workers") == pytest.approx(workers.sum())
    used = [r.tables["use"].query("year > 2025").groupby("site_id")["places"].sum() for r in (before, after)]  # fmt: skip
    assert _sum(table, "places") == pytest.approx(used[1].sub(used[0], fill_value=0.0).sum())
    for r in (before, after):
        _payers_sum(r)


def _payers_sum(r) -> None:
    pools = r.tables["pools"].set_index(["year", "pool"])["use"]
    for table in ("payers", "costs"):
        paid = r.tables[table].groupby(["year", "pool"])["yuan"].sum()
        assert len(paid)
        for key, yuan in paid.items():
            assert yuan == round(pools[key])


@pytest.mark.slow
def test_a_raised_standard_takes_what_the_two_runs_differ_by(case, runs):
    before, raised = runs["before"], runs["raised"]
    _reconcile(before, raised)
    table = extra(before, raised)
    here = case_under(case, raised.scenario).catalogue
    was = case_under(case, before.scenario).catalogue
    changes = diff(was.norms, here.norms, here.groups, on_old="2030-12-31", on_new="2030-12-31")
    people = people_of_groups(project(case, raised.scenario), here.groups.values(), [2030])
    costs, _ = cost_of_changes(changes, here, people, {"county": 1.0})
    (asked,) = costs["units"]
    missing = _sum(table, "missing")
    assert _sum(table, "places") + missing == pytest.approx(asked, abs=1.0)  # whole places
    assert _sum(table, "capital_yuan") > 0 and _sum(table, "running_yuan_year") > 0
    assert _sum(table, "care_workers") > 0


@pytest.mark.slow
def test_a_widened_group_takes_what_the_two_runs_differ_by(case, runs):
    narrow, wide = runs["narrow"], runs["raised"]
    _reconcile(narrow, wide)
    groups = case.catalogue.groups
    people = people_of_groups(
        project(case, wide.scenario), [groups["elderly-60"], groups["elderly-65"]], [2030]
    ).set_index("group")["persons"]
    newcomers = people["elderly-60"] - people["elderly-65"]
    assert _sum(extra(narrow, wide), "places") == pytest.approx(0.022 * newcomers, abs=2.0)
    assert "standard-group-narrower" in {f.code for f in narrow.findings}


@pytest.mark.slow
def test_an_added_item_is_bought_unless_a_reason_is_stated(case, runs):
    before, item = runs["before"], runs["item"]
    _reconcile(before, item)
    new = item.tables["projects"].query("type in ('childcare', 'purchased-childcare')")
    assert set(new["mode"]) == {"purchase"} and "new-item-bought" in {f.code for f in item.findings}
    told = item.tables["items"].set_index("id").loc["01-childcare"]
    assert told["mode"] == "purchase" and told["is_new"]
    places = extra(before, item).query("measure == 'places' and part == 'childcare.under3'")
    assert places["extra"].iloc[0] > 0
    reason = {"zh": "无市场主体", "en": "No supplier"}
    levers = {"modes": ["keep", "convert"], "types": ["childcare"]}
    own = scenario(
        "own", standards=[{"standard": CHILD, "from": 2026, "value": 1.5}], rules=[CHILD_PLACES],
        **{**CHILD_SERVICES, "options": levers}, provision={"01-childcare": {"mode": "convert", "reason": reason}},
    )  # fmt: skip
    done = run(case, own)
    modes = done.tables["projects"].query("type == 'childcare'")["mode"]
    assert set(modes) == {"convert"}
    assert done.tables["items"].set_index("id").loc["01-childcare", "reason_en"] == "No supplier"
    assert not {"new-item-bought", "own-provision-without-reason"} & {f.code for f in done.findings}


@pytest.mark.slow
def test_grants_pay_first_and_payers_still_sum_to_the_yuan(runs):
    done = runs["narrow"]
    _payers_sum(done)
    granted = done.tables["grants"]
    assert len(granted) and set(granted["payer"]) == {"county"}
    share = done.tables["payers"].query("pool == 'running'").set_index("payer")["yuan"]
    assert share["county"] > 0.7 * share.sum()  # its share of what grants leave, and the grants


def test_building_a_new_item_without_a_reason_is_told_and_an_unsold_one_refused(case):
    silent = scenario("silent", provision={"01-childcare": {"mode": "convert"}}, **CHILD_SERVICES)
    assert "own-provision-without-reason" in {f.code for f in norm_findings(case, silent)}
    unsold = scenario(
        "unsold",
        services=["elderly.day"],
        rules=[],
        provision={"05-day-care": {"mode": "purchase"}},
    )
    (refusal,) = [f for f in norm_findings(case, unsold) if f.rank is Rank.ERROR]
    assert refusal.code == "provision-not-offered"


def test_row_18_a_run_that_relies_on_an_ended_norm_is_refused_before_any_solve(case, monkeypatch):
    def never(*args, **more):
        raise AssertionError("a solver was started")

    monkeypatch.setattr(import_module("allocator.run"), "solve", never)
    with pytest.raises(InputRefused) as refused:
        run(case, scenario("ended", rules=[CHILD_PLACES], **CHILD_SERVICES))
    found = [f for f in refused.value.findings if f.rank is Rank.ERROR]
    assert {f.code for f in found} == {"standard-not-valid"} and "2025-12-31" in found[0].what.en
    with pytest.raises(InputRefused) as refused:
        run(case, scenario("unfit", rules=[{"places": {"standard": "medical-circle"}}]))
    assert refused.value.findings[0].code == "standard-not-countable"


def test_row_17_norms_below_the_national_ones_or_for_fewer_are_listed_in_the_report(tmp_path):
    own = shipped("data/catalogue") / "local" / "county-b" / "standards.csv"
    header, *lines = own.read_text(encoding="utf-8").splitlines()
    ids = (BEDS, "elderly-facilities.area-per-bed")
    low = "\n".join([header, *(line for line in lines if line.startswith(ids))])
    case = read_case(tiny_county.write(tmp_path / "county", standards_csv=low))
    done = run(case, tiny_county.scenario())
    told = {f.code: f for f in done.findings}
    assert {"below-national", "standard-group-narrower"} <= told.keys()
    page = html_report([done], region=case.region, catalogue=case.catalogue).decode("utf-8")
    at = page.index("Local norms below the national ones")
    for code in ("below-national", "standard-group-narrower"):
        what = told[code].what
        assert "below national" in what.en and "低于国家标准" in what.zh
        assert page.index(full_width(what.zh)) > at and page.index(escape(what.en)) > at


def test_row_17_a_countys_own_norm_below_the_national_one_goes_before_it(tmp_path):
    import shutil

    folder = tmp_path / "county"
    shutil.copytree(shipped("data/rongshui"), folder)
    own = shipped("data/catalogue") / "local" / "county-b" / "standards.csv"
    header, *lines = own.read_text(encoding="utf-8").splitlines()
    low = [line for line in lines if line.startswith("elderly-facilities.beds-per-1000")]
    (folder / "standards.csv").write_text("\n".join([header, *low]), encoding="utf-8")
    found = read_case(folder)
    assert "below-national" in {f.code for f in found.findings}
    norm = found.catalogue.standard(BEDS, "2026-06-30")
    assert norm.level == "local" and norm.value < 40 and "standards.csv" in found.digests


@pytest.mark.slow
def test_the_report_cites_norms_and_shows_even_provision_before_and_after(case, runs, tmp_path):
    done = runs["raised"]
    page = html_report([done], region=case.region, catalogue=case.catalogue).decode("utf-8")
    for words in ("GB 50437-2007", "unconfirmed", "未核实", "均衡评估", "Indices of even provision", "基本质量标准", "未纳入范围"):  # fmt: skip
        assert words in page
    table = done.tables["equity"]
    assert {"need", "resident", "registered"} == set(table["base"])
    assert table[table["dimension"] == "county"]["before"].notna().any()


@pytest.mark.slow
def test_sampled_futures_give_intervals_to_the_stored_evaluation(case):
    done = run(case, scenario("futures", standards=[beds(20)], population={"futures": 4}))
    table = done.tables["equity"]
    row = table[(table["index"] == "access") & (table["dimension"] == "county") & (table["base"] == "resident")].iloc[0]  # fmt: skip
    assert len(done.problem.futures) == 4
    assert row["low"] < row["high"] and row["low"] <= row["after"] <= row["high"]


def test_moving_to_the_resident_base_takes_places_in_the_hills_and_adds_them_in_the_city(capsys):
    cases = [str(shipped(f"data/{name}")) for name in ("rongshui", "inflow-city")]
    code = main(["catalogue", "phase-in", *cases, "--handling", "registration-place=0.3", "--json"])
    table = pd.DataFrame(json.loads(capsys.readouterr().out))
    assert code == 0 and table.groupby("case")["year"].nunique().tolist() == [3, 3]
    last = table[table["step"] == 1.0].set_index("case")
    assert last.loc["450225", "units_change"] < 0 < last.loc["inflow-city", "units_change"]
    assert last.loc["450225", "yuan_change"] < 0 < last.loc["inflow-city", "yuan_change"]
    paid = table[[c for c in table if c.startswith("yuan.")]].sum(axis=1)
    assert (paid == table["yuan_change"]).all()


def test_the_cost_of_a_scenarios_norms_comes_from_its_case(tmp_path, capsys):
    text = (
        "name: raised\ntitle: {zh: 提高, en: Raised}\nbase_year: 2025\n"
        "periods: [{from: 2026, to: 2030}]\n"
        "resources: {running: {unit: yuan/year, supply: {2026: 1000000}, payers: {region: 0.4, county: 0.6}}}\n"
        f"standards: [{{standard: {BEDS}, from: 2028, value: 42}}]\nrules: []\n"
    )
    (tmp_path / "raised.yaml").write_text(text, encoding="utf-8")
    case = str(shipped("data/rongshui"))
    code = main(["catalogue", "cost", "--case", case, "--scenario", str(tmp_path / "raised.yaml"), "--budget", "1e6", "--json"])  # fmt: skip
    data = json.loads(capsys.readouterr().out)
    assert code == 0 and [r["year"] for r in data["cost"]] == [2028, 2029, 2030]
    assert all(r["yuan.region"] + r["yuan.county"] == r["total_yuan"] for r in data["cost"])
    assert [r["is_carried"] for r in data["rank"]] == [False]
