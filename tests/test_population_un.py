"""The UN's inputs give the UN's answer, and missing tables are told, never guessed in silence."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocator.errors import InputRefused
from allocator.io.un import read_un_folder, write_table
from allocator.population.un import project_un

ROOT = Path(__file__).parents[1]


def validation(*parts):
    given = os.environ.get("ALLOCATOR_VALIDATION_DATA")
    folder = Path(given) if given else ROOT / ".." / "shared" / "data"
    found = folder.joinpath(*parts)
    if not found.exists():
        pytest.skip("validation data not there: set ALLOCATOR_VALIDATION_DATA")
    return found


def answer(folder, variant, year):
    table = pd.read_csv(folder / "population_5x5.csv")
    rows = table[(table["variant"] == variant) & (table["year"] == year)]
    return rows[["pop_m", "pop_f"]].to_numpy()


def without_later(tables, year=2020):
    """Take away every projected population, so that none can be read."""
    people = tables["population_5x5"]
    return {**tables, "population_5x5": people[people["year"] <= year]}


@pytest.mark.parametrize("variant", ["low", "medium", "high"])
@pytest.mark.parametrize("country", ["CHN", "JPN"])
def test_un_inputs_give_the_un_answer(country, variant):
    folder = validation("wpp", "wpp2019", country)
    tables = without_later(read_un_folder(folder))
    found = project_un(tables, start=2020, to=2050, variant=variant)
    here = found.table[found.table["year"] == 2050][["pop_m", "pop_f"]].to_numpy()
    there = answer(folder, variant, 2050)
    assert abs(here.sum() / there.sum() - 1) < 0.0015
    assert abs(here[13:].sum() / there[13:].sum() - 1) < 0.003
    assert np.abs(here[:18] / there[:18] - 1).mean() < 0.005
    assert found.flows["imbalance"].abs().max() < 1e-6


@pytest.mark.parametrize("country", ["CHN", "JPN"])
def test_the_past_is_met_from_an_early_base_whose_open_group_is_eighty(country):
    folder = validation("wpp", "wpp2019", country)
    found = project_un(read_un_folder(folder), start=1970, to=2020)
    here = found.table[found.table["year"] == 2020][["pop_m", "pop_f"]].to_numpy()
    assert abs(here.sum() / answer(folder, "estimate", 2020).sum() - 1) < 0.01
    assert not found.table.isna().any().any()


@pytest.mark.parametrize("start", [1950, 1960, 1970])
def test_high_mortality_and_fertility_meet_the_past_as_well(start):
    """China at life expectancies of 42 to 63 and five to six children a woman."""
    folder = validation("wpp", "wpp2019", "CHN")
    tables = without_later(read_un_folder(folder), start)
    found = project_un(tables, start=start, to=start + 30)
    here = found.table[found.table["year"] == start + 30][["pop_m", "pop_f"]].to_numpy()
    there = answer(folder, "estimate", start + 30)
    assert abs(here.sum() / there.sum() - 1) < 0.0015
    assert abs(here[13:].sum() / there[13:].sum() - 1) < 0.003
    assert np.abs(here[:16] / there[:16] - 1).mean() < 0.005
    for lost in ("mx_5x5", "pasfr_5x5"):
        rough = project_un(
            {n: t for n, t in tables.items() if n != lost}, start=start, to=start + 30
        )
        total = rough.table.loc[rough.table["year"] == start + 30, ["pop_m", "pop_f"]].sum().sum()
        assert abs(total / there.sum() - 1) < 0.01


@pytest.mark.parametrize(
    "lost", ["mx_5x5", "pasfr_5x5", "srb", "net_mig_thousand", "tfr_medium at 2030"]
)
@pytest.mark.parametrize("country", ["CHN", "JPN"])
def test_what_stands_in_stays_within_one_percent_of_the_un_total(country, lost):
    folder = validation("wpp", "wpp2019", country)
    tables = without_later(read_un_folder(folder))
    summary = tables["summary_5y"]
    if lost in tables:
        tables = {name: table for name, table in tables.items() if name != lost}
    elif lost in summary:
        tables = {**tables, "summary_5y": summary.drop(columns=lost)}
    else:
        tables = {**tables, "summary_5y": summary[summary["period"] != "2030-2035"]}
    found = project_un(tables, start=2020, to=2050)
    here = found.table[found.table["year"] == 2050][["pop_m", "pop_f"]].to_numpy()
    assert np.isfinite(here).all()
    assert abs(here.sum() / answer(folder, "medium", 2050).sum() - 1) < 0.01
    assert "stood-in" in {f.code for f in found.findings}


def test_the_residual_finds_the_migrants_that_were_there(country):
    known = project_un(country, start=2015, to=2020)
    after = known.table[known.table["year"] == 2020]
    people = country["population_5x5"]
    later = people["year"] == 2020
    people = people.astype({"pop_m": float, "pop_f": float})
    people.loc[later, ["pop_m", "pop_f"]] = after[["pop_m", "pop_f"]].to_numpy()
    gone = {
        **country,
        "population_5x5": people,
        "summary_5y": country["summary_5y"].drop(columns="net_mig_thousand"),
    }
    found = project_un(gone, start=2020, to=2030)
    assert found.flows["net_migrants"].to_numpy() == pytest.approx(30.0, rel=0.02)


@pytest.fixture
def country():
    """A small invented country in the tidy layout."""
    ages = [0, 1, *range(5, 101, 5)]
    groups = [*(f"{a}-{a + 4}" for a in range(0, 100, 5)), "100+"]
    periods = [f"{y}-{y + 5}" for y in range(2015, 2050, 5)]
    rate = {a: 0.02 * (a == 0) + 0.0005 + 0.00004 * np.exp(0.095 * a) for a in ages}
    people = [
        {
            "iso3": "XXX",
            "variant": "estimate",
            "year": y,
            "age": g,
            "pop_m": 500 - 20.0 * i,
            "pop_f": 495 - 19.0 * i,
        }
        for y in (2015, 2020)
        for i, g in enumerate(groups)
    ]
    deaths = [
        {"iso3": "XXX", "period": p, "age": a, "mx_m": 1.2 * rate[a], "mx_f": rate[a]}
        for p in periods
        for a in ages
    ]
    births = [
        {"iso3": "XXX", "period": p, "age": f"{a}-{a + 4}", "pasfr_pct": s}
        for p in periods
        for a, s in zip(range(15, 50, 5), (10, 25, 30, 20, 10, 4, 1), strict=True)
    ]
    summary = [
        {"iso3": "XXX", "period": p, "tfr_medium": 2.0, "tfr_low": 1.5, "tfr_high": 2.5,
         "net_mig_thousand": 30.0, "srb": 1.06, "e0_m": 72.0, "e0_f": 76.0}
        for p in periods
    ]  # fmt: skip
    tables = {
        "population_5x5": people,
        "mx_5x5": deaths,
        "pasfr_5x5": births,
        "summary_5y": summary,
    }
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def write(country, folder):
    for name, table in country.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


UNLIKE = {
    "as it is": (1.0, 2.0, 30.0),
    "few children, strong inflow": (0.7, 1.25, 700.0),
    "strong outflow": (1.0, 1.5, -900.0),
    "high mortality, many children": (8.0, 5.6, -100.0),
    "high mortality, strong inflow": (12.0, 6.5, 800.0),
}
"""Factor on death rates, children a woman, net migrants in thousands a period (of 12.9 m people)."""


def changed(country, level, children, migrants):
    deaths = country["mx_5x5"].copy()
    deaths[["mx_m", "mx_f"]] = np.minimum(level * deaths[["mx_m", "mx_f"]], 1.5)
    summary = country["summary_5y"].drop(columns=["e0_m", "e0_f"])
    summary = summary.assign(tfr_medium=children, net_mig_thousand=migrants)
    return {**country, "mx_5x5": deaths, "summary_5y": summary}


def by_single_years(tables, net):
    """2050 by single years and ages in plain loops: another discretisation, the same inputs."""
    start = tables["population_5x5"].query("year == 2020")[["pop_m", "pop_f"]].to_numpy()
    now = np.zeros((101, 2))
    for g in range(20):
        now[5 * g : 5 * g + 5] = start[g] / 5.0
    now[100] = start[20]
    mx = tables["mx_5x5"].query("period == '2020-2025'")[["mx_m", "mx_f"]].to_numpy()
    rate = np.zeros((101, 2))
    for x in range(101):
        rate[x] = mx[0 if x == 0 else 1 if x < 5 else 1 + x // 5]
    a0 = np.where(rate[0] >= 0.107, [0.33, 0.35], np.array([0.045, 0.053]) + rate[0] * [2.684, 2.8])
    q0 = rate[0] / (1.0 + (1.0 - a0) * rate[0])
    shares = np.array([10, 25, 30, 20, 10, 4, 1]) / 100.0
    fertility = np.repeat(tables["summary_5y"]["tfr_medium"].iloc[0] * shares / 5.0, 5)
    for year in range(30):
        moved = np.zeros((101, 2))
        for g in range(20):
            moved[5 * g : 5 * g + 5] = net[year // 5][g] / 25.0
        moved[100] = net[year // 5][20] / 5.0
        begun = np.maximum(now + moved / 2.0, 0.0)
        end = np.zeros((101, 2))
        for x in range(100):
            passed = (
                np.exp(-(rate[x] + rate[x + 1]) / 2.0)
                if x
                else ((1.0 - q0) * np.exp(-rate[1] / 2.0) / (1.0 - (1.0 - a0) * q0))
            )
            end[x + 1] += begun[x] * passed
        end[100] += begun[100] * np.exp(-rate[100])
        end = np.maximum(end + moved / 2.0, 0.0)
        births = float(fertility @ (now[15:50, 1] + end[15:50, 1]) / 2.0)
        end[0] += births * np.array([1.06, 1.0]) / 2.06 * (1.0 - (1.0 - a0) * q0)
        now = end
    return now


@pytest.mark.parametrize("name", UNLIKE)
def test_countries_unlike_those_staged_agree_with_single_years_within_one_percent(country, name):
    tables = changed(country, *UNLIKE[name])
    found = project_un(tables, start=2020, to=2050)
    here = found.table[found.table["year"] == 2050][["pop_m", "pop_f"]].to_numpy()
    assert np.isfinite(here).all() and found.flows["imbalance"].abs().max() < 1e-6
    age = [*range(0, 101, 5)]
    table = pd.DataFrame({"iso3": "XXX", "period": "2020-2025", "age": [*(f"{a}-{a + 4}" for a in age[:-1]), "100+"]})  # fmt: skip
    net = np.zeros((6, 21, 2))
    bell = np.exp(-0.5 * ((np.array(age) - 24.0) / 11.0) ** 2) + 0.01
    net[:] = (UNLIKE[name][2] * bell / bell.sum() / 2.0)[None, :, None]
    rows = [
        table.assign(period=f"{y}-{y + 5}", mig_m=net[0, :, 0], mig_f=net[0, :, 1])
        for y in range(2020, 2050, 5)
    ]
    given = {**tables, "migration_5x5": pd.concat(rows)}
    by_age = project_un(given, start=2020, to=2050)
    mine = by_age.table[by_age.table["year"] == 2050][["pop_m", "pop_f"]].to_numpy()
    truth = by_single_years(tables, net)
    assert abs(mine.sum() / truth.sum() - 1) < 0.01


@pytest.mark.parametrize("name", UNLIKE)
@pytest.mark.parametrize(
    "lost", ["mx_5x5", "pasfr_5x5", "srb", "net_mig_thousand", "migration", "all"]
)
def test_no_missing_table_gives_nan_in_any_country(country, name, lost):
    tables = changed(country, *UNLIKE[name])
    summary = tables["summary_5y"].assign(e0_m=45.0, e0_f=48.0)
    for gone in ("mx_5x5", "pasfr_5x5") if lost == "all" else (lost,):
        tables.pop(gone, None)
        summary = summary.drop(columns=[c for c in (gone,) if c in summary])
    found = project_un(
        {**tables, **models(), "summary_5y": summary}, start=2020, to=2050, variant="high"
    )
    values = found.table[["pop_m", "pop_f"]].to_numpy()
    assert np.isfinite(values).all() and (values >= 0).all()
    assert found.flows["imbalance"].abs().max() < 1e-6


def models():
    from allocator.io.rates import read_rate_table, shipped_rates

    names = ("model_mortality", "model_fertility")
    return {n: read_rate_table(shipped_rates() / f"{n}.csv") for n in names}


def test_the_table_has_the_agreed_columns_years_and_ages(country):
    found = project_un(country, start=2020, to=2050).table
    assert list(found.columns) == ["year", "age", "pop_m", "pop_f"]
    assert sorted(found["year"].unique()) == list(range(2020, 2051, 5))
    assert found["age"].iloc[20] == "100+" and len(found) == 7 * 21


def test_migrants_by_age_are_used_where_given_and_the_total_is_kept(country):
    groups = list(country["population_5x5"]["age"].unique())
    rows = [
        {
            "iso3": "XXX",
            "period": f"{y}-{y + 5}",
            "age": g,
            "mig_m": 20.0 * (g == "20-24"),
            "mig_f": 0.0,
        }
        for y in range(2020, 2050, 5)
        for g in groups
    ]
    by_age = project_un({**country, "migration_5x5": pd.DataFrame(rows)}, start=2020, to=2050)
    assert by_age.flows["net_migrants"].to_numpy() == pytest.approx(20.0)
    assert not by_age.findings
    by_total = project_un(country, start=2020, to=2050)
    assert by_total.flows["net_migrants"].to_numpy() == pytest.approx(30.0)
    assert [f.code for f in by_total.findings] == ["migration-profile"]


@pytest.mark.parametrize("lost", ["mx_5x5", "pasfr_5x5"])
def test_a_missing_table_is_stood_in_for_and_told(country, lost, tmp_path):
    kept = {name: table for name, table in country.items() if name != lost}
    found = project_un(read_un_folder(write(kept, tmp_path)), start=2020, to=2050)
    assert np.isfinite(found.table[["pop_m", "pop_f"]]).all().all()
    assert any(f.code == "stood-in" and lost in f.where.file for f in found.findings)


@pytest.mark.parametrize("lost", ["population_5x5", "summary_5y"])
def test_what_cannot_be_stood_in_for_is_refused_by_name(country, lost, tmp_path):
    kept = {name: table for name, table in country.items() if name != lost}
    with pytest.raises(InputRefused, match=lost):
        project_un(read_un_folder(write(kept, tmp_path)), start=2020, to=2050)


def test_blank_rates_are_interpolated_and_told(country):
    spoilt = country["mx_5x5"].copy()
    spoilt.loc[spoilt["period"] == "2030-2035", "mx_m"] = np.nan
    spoilt = spoilt[spoilt["age"] != 100]
    found = project_un({**country, "mx_5x5": spoilt}, start=2020, to=2050)
    whole = project_un(country, start=2020, to=2050).table[["pop_m", "pop_f"]].to_numpy().sum()
    assert found.table[["pop_m", "pop_f"]].to_numpy().sum() == pytest.approx(whole, rel=0.005)
    assert any("mx_5x5" in f.where.file for f in found.findings)


def test_all_bad_cells_are_told_at_once_with_their_rows(country):
    spoilt = country["summary_5y"].astype({"tfr_medium": object, "srb": object}).copy()
    spoilt.loc[1, "tfr_medium"] = "two"
    spoilt.loc[3, "srb"] = -1
    with pytest.raises(InputRefused) as refused:
        project_un({**country, "summary_5y": spoilt}, start=2020, to=2050)
    rows = {(f.where.column, f.where.row) for f in refused.value.findings}
    assert rows == {("tfr_medium", 3), ("srb", 5)}


def test_more_leaving_than_are_there_leaves_nobody_negative_and_is_told(country):
    strong = country["summary_5y"].assign(net_mig_thousand=-9000.0)
    found = project_un({**country, "summary_5y": strong}, start=2020, to=2050)
    assert (found.table[["pop_m", "pop_f"]] >= 0).all().all()
    assert "migration-clipped" in {f.code for f in found.findings}
    assert found.flows["imbalance"].abs().max() < 1e-6


@pytest.mark.parametrize(("start", "to"), [(2021, 2050), (2020, 2015), (2020, 2052), (2010, 2050)])
def test_years_that_cannot_be_used_are_refused(country, start, to):
    with pytest.raises(InputRefused):
        project_un(country, start=start, to=to)


def test_a_mistyped_column_or_file_is_refused_with_the_nearest_name(country, tmp_path):
    mistyped = {**country, "mx_5x5": country["mx_5x5"].rename(columns={"mx_f": "mxf"})}
    with pytest.raises(InputRefused, match="'mxf'"):
        project_un(mistyped, start=2020, to=2050)
    folder = write(country, tmp_path)
    (folder / "population_5x5.csv").rename(folder / "populaton_5x5.csv")
    with pytest.raises(InputRefused, match=r"population_5x5\.csv"):
        read_un_folder(folder)


def test_a_file_that_is_no_utf8_table_is_refused(country, tmp_path):
    folder = write(country, tmp_path)
    (folder / "mx_5x5.csv").write_bytes("时期,年龄".encode("gbk"))
    with pytest.raises(InputRefused, match="mx_5x5"):
        read_un_folder(folder)


def test_a_folder_above_the_countries_names_them(country, tmp_path):
    (tmp_path / "ABC").mkdir()
    write(country, tmp_path / "ABC")
    with pytest.raises(InputRefused, match="ABC"):
        read_un_folder(tmp_path)


def test_writing_where_one_cannot_leaves_nothing_behind(country, tmp_path):
    table = project_un(country, start=2020, to=2025).table
    with pytest.raises(InputRefused, match="no such folder"):
        write_table(table, tmp_path / "nowhere" / "out.csv")
    write_table(table, tmp_path / "out.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_the_command_writes_the_table_and_exits_2_on_refusal(country, tmp_path):
    import typer
    from typer.testing import CliRunner

    from allocator.cli.project import project

    app = typer.Typer()
    app.command()(project)
    folder = tmp_path / "in"
    folder.mkdir()
    write(country, folder)
    out = tmp_path / "out.csv"
    good = CliRunner().invoke(
        app, [str(folder), "--from", "2020", "--to", "2050", "--out", str(out)]
    )
    assert good.exit_code == 0, good.output
    assert len(pd.read_csv(out)) == 7 * 21
    bad = CliRunner().invoke(app, [str(folder), "--variant", "mediun", "--out", str(out)])
    assert bad.exit_code == 2
    assert "medium" in bad.output


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 100_000), faults=st.integers(1, 6))
def test_spoilt_tables_give_finite_people_or_a_refusal(country, seed, faults):
    rng = np.random.default_rng(seed)
    spoilt = {name: table.astype(object).copy() for name, table in country.items()}
    values = [np.nan, "", "-", 0, -3, "1,234", "x", np.inf, 1e12, "100+", "2020"]
    for _ in range(faults):
        name = str(rng.choice(sorted(spoilt)))
        table = spoilt[name]
        kind = rng.integers(4)
        if kind == 0 and len(table.columns):
            spoilt[name] = table.drop(columns=str(rng.choice(table.columns)))
        elif kind == 1 and len(table):
            keep = rng.uniform(size=len(table)) < rng.uniform()
            spoilt[name] = table[keep].reset_index(drop=True)
        elif len(table) and len(table.columns):
            row, column = int(rng.integers(len(table))), int(rng.integers(len(table.columns)))
            table.iloc[row, column] = values[int(rng.integers(len(values)))]
    try:
        found = project_un(spoilt, start=2020, to=2050)
    except InputRefused as refused:
        assert refused.findings
    else:
        assert np.isfinite(found.table[["pop_m", "pop_f"]].to_numpy(dtype=float)).all()
