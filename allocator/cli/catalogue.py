"""``allocator catalogue``: norms shown, local against national, versions compared, changes costed."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer
from rich.console import Console

from allocator.cli.show import AsJson, Language, Strict, chosen_language, findings, print_table
from allocator.errors import ExitCode, Finding, InputRefused, Rank, Text, Where

if TYPE_CHECKING:
    from allocator.case import Case
    from allocator.catalogue import Catalogue, Standard
    from allocator.standards import Change

__all__ = ["catalogue_app"]

catalogue_app = typer.Typer(
    name="catalogue",
    help="The standards as data: show, check, diff, cost, phase-in / 标准目录",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Folder = Annotated[
    Path | None, typer.Option("--catalogue", help="catalogue folder; default: the shipped one")
]
On = Annotated[str, typer.Option("--on", help="ISO date; default: today")]


def _date(text: str) -> str:
    if not text:
        return date.today().isoformat()
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        what = Text(f"“{text}”不是日期。", f"{text!r} is not a date.")
        remedy = Text("请写成 2026-01-31。", "Write it as 2026-01-31.")
        raise InputRefused((Finding(Rank.ERROR, "date-not-iso", Where(column="on"), what, remedy),)) from None  # fmt: skip


def _national(folder: Path | None) -> Catalogue:
    from allocator.io.paths import shipped
    from allocator.io.policy_files import read_policy

    return read_policy(folder if folder is not None else shipped("data/catalogue"))


def _standards(path: Path) -> tuple[Standard, ...]:
    from allocator.io.policy_files import read_standards

    return read_standards(path / "standards.csv" if path.is_dir() else path)


@catalogue_app.command()
def show(
    section: Annotated[
        list[str] | None, typer.Option(help="only these headings, such as 2.1")
    ] = None,
    on: On = "",
    catalogue: Folder = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Show the norms in force, each with basis, source and mark, and what is out of scope."""
    from allocator.report.words import norm_source
    from allocator.standards import norm_table

    language, known = chosen_language(lang), _national(catalogue)
    table = norm_table(known, _date(on), language, section or None)
    if language == "zh":
        table["来源"] = [norm_source(s).zh for s in table["来源"]]
        table["依据"] = [norm_source(s).zh for s in table["依据"]]
    print_table(table, as_json)
    if not as_json and not section:
        typer.echo("未纳入范围:" if language == "zh" else "Out of scope:")
        for item in known.out_of_scope:
            typer.echo(f"  {item.name.in_language(language)}: {item.reason.in_language(language)}")
    return int(ExitCode.PLAN)


@catalogue_app.command()
def check(
    local: Annotated[Path, typer.Argument(help="a county's standards.csv, or its folder")],
    on: On = "",
    catalogue: Folder = None,
    lang: Language = "",
    strict: Strict = False,
    as_json: AsJson = False,
) -> int:
    """Compare local norms with the national ones: value, unit, direction, group, dates."""
    from allocator.standards import below_national, check_local

    language = chosen_language(lang)
    found = check_local(_national(catalogue), _standards(local), _date(on))
    below = below_national(found)
    if as_json:
        data = {"below_national": len(below), "findings": [f.as_dict() for f in found]}
        typer.echo(json.dumps(data, ensure_ascii=False))
    else:
        findings(Console(width=160), found, language, most=1000)
        typer.echo(
            f"低于国家标准 {len(below)} 项" if language == "zh" else f"{len(below)} below national"
        )
    errors = any(f.rank is Rank.ERROR for f in found)
    warnings = any(f.rank is Rank.WARNING for f in found)
    return int(ExitCode.REFUSED if errors or (strict and warnings) else ExitCode.PLAN)


def _changes(
    old: Path, new: Path, on_old: str, on_new: str, known: Catalogue
) -> tuple[Change, ...]:
    from allocator.standards import diff

    return diff(
        _standards(old), _standards(new), known.groups, on_old=_date(on_old), on_new=_date(on_new)
    )


OnOld = Annotated[str, typer.Option("--on-old", help="date at which OLD is seen; default: today")]
OnNew = Annotated[str, typer.Option("--on-new", help="date at which NEW is seen; default: today")]


@catalogue_app.command(name="diff")
def difference(
    old: Annotated[Path, typer.Argument(help="standards.csv or folder")],
    new: Annotated[Path, typer.Argument(help="standards.csv or folder; may be the same")],
    on_old: OnOld = "",
    on_new: OnNew = "",
    catalogue: Folder = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """List what one version raises, lowers, adds, withdraws, widens or narrows against another."""
    language, known = chosen_language(lang), _national(catalogue)
    rows = [
        {
            "id": c.id,
            "title": c.title.in_language(language),
            "change": ", ".join(c.kinds),
            "old": f"{c.old.value:g} {c.old.unit} · {c.old.group}" if c.old else "",
            "new": f"{c.new.value:g} {c.new.unit} · {c.new.group}" if c.new else "",
        }
        for c in _changes(old, new, on_old, on_new, known)
    ]
    print_table(pd.DataFrame(rows, columns=["id", "title", "change", "old", "new"]), as_json)
    return int(ExitCode.PLAN)


@catalogue_app.command()
def cost(
    old: Annotated[Path | None, typer.Argument(help="standards.csv or folder")] = None,
    new: Annotated[
        Path | None, typer.Argument(help="standards.csv or folder; may be the same")
    ] = None,
    people: Annotated[Path | None, typer.Option(help="CSV: group, year, persons")] = None,
    case: Annotated[Path | None, typer.Option(help="case folder: people by its projection")] = None,
    scenario: Annotated[
        Path | None, typer.Option(help="scenario file: the norms it changes, in place of OLD NEW")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="run folder without the change: the money it leaves free")
    ] = None,
    share: Annotated[
        list[str] | None,
        typer.Option(
            help="payer=share, repeated; default: the scenario's, else the catalogue's below the centre"
        ),
    ] = None,
    budget: Annotated[float | None, typer.Option(help="yuan a year")] = None,
    life: Annotated[float, typer.Option(help="years over which capital is spread")] = 30.0,
    on_old: OnOld = "",
    on_new: OnNew = "",
    catalogue: Folder = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Say what the changes cost a year and payer, rank them, and what the budget carries."""
    from allocator.measures.adjustment import cost_of_changes, rank_changes

    language = chosen_language(lang)
    if case is not None and scenario is not None:
        changes, known, counted, shares = _of_scenario(case, scenario)
    elif old is not None and new is not None and people is not None:
        known = _national(catalogue)
        changes, counted, shares = _changes(old, new, on_old, on_new, known), None, {}
    else:
        raise typer.BadParameter("give OLD, NEW and --people, or --case and --scenario")
    if people is not None:
        counted = _read_people(people)
    assert counted is not None
    table, found = cost_of_changes(changes, known, counted, _shares(share, known, shares))
    ranked = rank_changes(table, budget, life)
    room = _room(run, table) if run is not None else None
    if as_json:
        data = {
            "cost": json.loads(table.to_json(orient="records", force_ascii=False)),
            "rank": json.loads(ranked.to_json(orient="records", force_ascii=False)),
            "findings": [f.as_dict() for f in found],
        }
        if room is not None:
            data["carried"] = json.loads(room.to_json(orient="records"))
        typer.echo(json.dumps(data, ensure_ascii=False))
        return int(ExitCode.PLAN)
    for shown in (table, ranked, room):
        if shown is not None:
            print_table(shown, False)
    findings(Console(width=160), found, language)
    return int(ExitCode.PLAN)


def _of_scenario(
    folder: Path, file: Path
) -> tuple[tuple[Change, ...], Catalogue, pd.DataFrame, dict[str, float]]:
    """Return the norms a scenario changes, the catalogue, people by group and year, payers' shares."""
    from allocator.compile.norms import case_under
    from allocator.forecast import project
    from allocator.io.case import read_case
    from allocator.io.scenarios import read_scenarios
    from allocator.measures.adjustment import people_of_groups
    from allocator.standards import diff

    case = read_case(folder)
    (scenario,) = read_scenarios(file.parent, [file.stem])
    here = case_under(case, scenario).catalogue
    end = f"{scenario.years[-1]}-12-31"
    changes = diff(case.catalogue.norms, here.norms, here.groups, on_old=end, on_new=end)
    years = range(scenario.periods[0].from_, scenario.years[-1] + 1)
    people = people_of_groups(project(case, scenario), here.groups.values(), years)
    pool = scenario.resources.get("running")
    payers = {k: p.share for k, p in pool.payers.items()} if pool is not None else {}
    return changes, here, people, payers if abs(sum(payers.values()) - 1.0) < 1e-9 else {}


def _room(path: Path, costs: pd.DataFrame) -> pd.DataFrame:
    """Say whether the money that a run leaves free carries the costs, by pool and period."""
    from allocator.io.runs import read_run
    from allocator.measures.adjustment import carried

    run = read_run(path)
    first = {p.to: p.from_ for p in run.scenario.periods}
    pools = run.tables["pools"]
    pools = pools[pools["pool"].isin(("capital", "running"))]
    free = (pools["supply"] - pools["use"]).fillna(float("inf"))
    room = pools.assign(first=pools["year"].map(first), last=pools["year"], yuan=free)
    return carried(costs, room[["pool", "first", "last", "yuan"]])


@catalogue_app.command(name="phase-in")
def phase_in(
    cases: Annotated[list[Path], typer.Argument(help="case folders")],
    norm: Annotated[
        str, typer.Option(help="id of a norm by persons")
    ] = "elderly-facilities.beds-per-1000",
    years: Annotated[
        int, typer.Option(help="yearly steps from the registered to the resident base")
    ] = 3,
    by: Annotated[int | None, typer.Option(help="first year wholly on the resident base")] = None,
    share: Annotated[
        list[str] | None, typer.Option(help="payer=share of the local part, repeated")
    ] = None,
    handling: Annotated[
        list[str] | None,
        typer.Option(
            help="payer=share of arrivals' cost settled elsewhere, such as registration-place=0.3"
        ),
    ] = None,
    by_township: Annotated[bool, typer.Option(help="one row a township too")] = False,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Show what each step to provision at the place of residence adds or takes, and who pays."""
    from allocator.io.case import read_case

    chosen_language(lang)
    parts = [_steps(read_case(c), norm, years, by, share, handling) for c in cases]
    table = pd.concat(parts, ignore_index=True)
    if not by_township:
        keys = ["case", "year", "step"]
        table = table.drop(columns="place").groupby(keys, sort=False).sum(min_count=1).reset_index()
    print_table(table, as_json)
    return int(ExitCode.PLAN)


def _steps(
    case: Case,
    norm: str,
    years: int,
    by: int | None,
    share: list[str] | None,
    handling: list[str] | None,
) -> pd.DataFrame:
    """Return the phase-in of one case by township and year, costs by payer."""
    from allocator.errors import refuse_if_any
    from allocator.forecast import project
    from allocator.measures.adjustment import people_by_track
    from allocator.measures.money import phase_in_steps
    from allocator.scenario import Scenario
    from allocator.standards import check_years

    last = by if by is not None else case.base_year + years
    steps = {last - years + n: n / years for n in range(1, years + 1)}
    known = case.catalogue
    refuse_if_any(check_years(known.norms, [norm], steps))
    standard = known.standard(norm, f"{last}-12-31")
    unit, group = known.units[standard.unit], known.groups[standard.group]
    if not unit.per_persons or not group.is_counted_by_age or norm not in known.unit_costs:
        what = Text(f"“{norm}”不按年龄人口计,或没有单位成本。", f"{norm!r} is not by persons of an age, or has no unit cost.")  # fmt: skip
        remedy = Text("请换用按人口计的标准。", "Name a norm by persons.")
        refuse_if_any([Finding(Rank.ERROR, "standard-not-countable", Where(id=norm), what, remedy)])
    plan = Scenario.model_validate(
        {"name": "phase-in", "title": {"zh": "常住地提供", "en": "Place of residence"}, "resources": {},
         "base_year": case.base_year, "periods": [{"from": case.base_year + 1, "to": last}]}
    )  # fmt: skip
    towns = dict(zip(case.region.areas["area_id"], case.region.areas["township_id"], strict=True))
    people = people_by_track(project(case, plan), group, steps, towns)
    table = phase_in_steps(
        people, steps, units_per_person=standard.value / unit.per_persons,
        yuan_per_unit_year=known.unit_costs[norm].running_yuan_year,
        local=_shares(share, known), handling=_parts(handling or []),
    )  # fmt: skip
    table.insert(0, "case", case.id)
    table.insert(2, "step", table["year"].map(steps))
    return table


def _read_people(path: Path) -> pd.DataFrame:
    from allocator.errors import refuse_if_any

    where = Where(file=path.name)
    remedy = Text(
        "需要 CSV,列:group, year, persons。", "A CSV with group, year, persons is needed."
    )
    if not path.is_file():
        what = Text("没有这个文件。", "The file is missing.")
        refuse_if_any([Finding(Rank.ERROR, "file-missing", where, what, remedy)])
    table = pd.read_csv(path, dtype={"group": str}, encoding="utf-8-sig")
    missing = [c for c in ("group", "year", "persons") if c not in table]
    numbers = [] if missing else [pd.to_numeric(table[c], errors="coerce") for c in ("year", "persons")]  # fmt: skip
    bad = [n for n in numbers if n.isna().any() or (n < 0).any()]
    if missing or bad:
        what = Text(
            f"缺少列 {missing}。" if missing else "年份或人数不是有效数字。",
            f"Columns missing: {missing}." if missing else "A year or a count is no number.",
        )
        refuse_if_any([Finding(Rank.ERROR, "people-unreadable", where, what, remedy)])
    return table


def _shares(
    given: list[str] | None, known: Catalogue, usual: dict[str, float] | None = None
) -> dict[str, float]:
    """Return payers' shares: those given, else the usual, else the governments' below the centre."""
    if not given:
        if usual:
            return usual
        local = {f.id: f.share for f in known.funders.values() if f.kind == "government" and f.share > 0 and f.id != "central"}  # fmt: skip
        total = sum(local.values())
        return {p: s / total for p, s in local.items()}
    shares = _parts(given)
    if abs(sum(shares.values()) - 1.0) > 1e-9:
        raise typer.BadParameter(f"shares must sum to 1, they sum to {sum(shares.values()):g}")
    return shares


def _parts(given: list[str]) -> dict[str, float]:
    try:
        parts = {p: float(s) for p, s in (x.split("=", 1) for x in given)}
    except ValueError:
        raise typer.BadParameter("write payer=share, such as county=0.6") from None
    if any(not 0 <= s <= 1 for s in parts.values()):
        raise typer.BadParameter("a share lies between 0 and 1")
    return parts
