"""The commands a planner types."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from allocator.cli.alternatives import alternatives, price
from allocator.cli.catalogue import catalogue_app
from allocator.cli.compare import compare
from allocator.cli.equity import equity
from allocator.cli.project import project
from allocator.cli.roll import roll
from allocator.cli.routes import routes
from allocator.cli.show import (
    AsJson,
    Language,
    Strict,
    chosen_language,
    console_for,
    findings,
    indicator_table,
    say,
)
from allocator.cli.study import study
from allocator.cli.worth import worth
from allocator.errors import (
    CheckFailed,
    Finding,
    Rank,
    plural,
    refuse_if_any,
)

__all__ = ["app"]

app = typer.Typer(
    name="allocator",
    help="How many places of which public service, where, of what size, by when and paid by whom.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Out = Annotated[Path, typer.Option("--out", "-o", help="folder for runs and reports")]


def _case(folder: Path) -> Any:
    from allocator.io.case import read_case

    return read_case(folder)


@app.command()
def demo(
    out: Out = Path("allocator-demo"),
    lang: Language = "",
    placement: Annotated[int, typer.Option(help="seed of the synthetic points, 1 to 20")] = 1,
    as_json: AsJson = False,
) -> int:
    """Plan elderly care for the Rongshui demonstration county: seven scenarios, checked and compared."""
    from allocator.cli.demo import run_demo

    return run_demo(out, chosen_language(lang), placement, as_json)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="a new folder for your county")],
    code: Annotated[str, typer.Option(help="division code of the county")] = "000000",
    title: Annotated[str, typer.Option(help="name of the county")] = "",
    year: Annotated[int, typer.Option(min=1990, max=2090, help="the year of today")] = 2025,
    crs: Annotated[
        str, typer.Option(help="coordinates: EPSG:4490, a zone's EPSG code, GCJ-02 or BD-09")
    ] = "EPSG:4490",
    lang: Language = "",
) -> int:
    """Write a bilingual template workbook, a case file and a first scenario to fill in."""
    from allocator.io.template import write_template

    language = chosen_language(lang)
    paths = write_template(folder, id=code, title=title, year=year, crs=crs)
    console = console_for()
    for path in paths:
        console.print(f"  {path}", highlight=False)
    console.print(
        say(
            language,
            f"请填写 case.xlsx(先看“说明”表),然后运行:allocator check {folder}",
            f"Fill in case.xlsx (its first sheet says how), then: allocator check {folder}",
        ),
        highlight=False,
    )
    return 0


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="case folder")],
    scenarios: Annotated[
        Path | None, typer.Option(help="scenario folder, default FOLDER/scenarios")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--findings", help="write every finding to this .csv or .json")
    ] = None,
    lang: Language = "",
    strict: Strict = False,
    as_json: AsJson = False,
) -> int:
    """Read a case and its scenarios, time the journeys, and list everything found, all at once."""
    from allocator.errors import InputRefused
    from allocator.io.findings import write_findings
    from allocator.io.scenarios import read_scenarios
    from allocator.prepare import Shared, check_journeys

    language, console = chosen_language(lang), console_for(as_json)
    found: list[Finding] = []
    names: list[str] = []
    where = scenarios if scenarios is not None else folder / "scenarios"
    try:
        case = _case(folder)
        found += case.findings
        shared = Shared()
        for scenario in read_scenarios(where) if where.is_dir() else ():
            names.append(scenario.name)
            found += [f for f in check_journeys(case, scenario, shared) if f not in found]
        refuse_if_any(found)
    except InputRefused as refused:
        if to is not None:
            write_findings(to, refused.findings)
        raise
    if to is not None:
        write_findings(to, found)
    if as_json:
        print(
            json.dumps(
                {"findings": [f.as_dict() for f in found], "scenarios": names}, ensure_ascii=False
            )
        )
    else:
        region = case.region
        console.print(
            say(
                language,
                f"{region.title.zh}:{len(region.townships)} 个乡镇,{len(region.areas)} 个村(社区),{len(region.sites)} 个地点,{len(names)} 个情景",
                f"{region.title.en}: {plural(len(region.townships), 'township')}, {plural(len(region.areas), 'village or community', 'villages and communities')}, {plural(len(region.sites), 'site')}, {plural(len(names), 'scenario')}",
            ),
            highlight=False,
        )
        findings(console, found, language, most=200)
        if to is not None:
            console.print(say(language, f"全部见 {to}", f"All are in {to}"), highlight=False)
        if names:
            plan = f"allocator run {folder} {where / names[0]}.yaml"
            console.print(say(language, f"没有必须改正之处。下一步:{plan}", f"Nothing to be mended. Next: {plan}"), highlight=False)  # fmt: skip
    return 2 if strict and any(f.rank is Rank.WARNING for f in found) else 0


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="case folder")],
    scenario: Annotated[
        Path, typer.Argument(help="scenario file, or the name of one in FOLDER/scenarios")
    ],
    out: Out = Path("runs"),
    lang: Language = "",
    strict: Strict = False,
    as_json: AsJson = False,
    report: Annotated[
        bool, typer.Option(help="write report.html, plan.xlsx and plan.gpkg too")
    ] = True,
    start: Annotated[
        Path | None,
        typer.Option(
            help="run folder whose prices to start from; part of the id (price road only)"
        ),
    ] = None,
) -> int:
    """Run one scenario: project people, estimate need, solve, check, measure, store, report."""
    from allocator.cli.products import REPORT, write_products
    from allocator.errors import LimitReached
    from allocator.io.runs import read_run, write_incomplete, write_run
    from allocator.io.scenarios import read_scenarios
    from allocator.io.travel_cache import JOURNEYS, store_in
    from allocator.run import Shared
    from allocator.run import run as run_scenario

    language, console = chosen_language(lang), console_for(as_json)
    case = _case(folder)
    own = folder / "scenarios" / scenario.name
    if not scenario.exists() and own.with_name(f"{scenario.stem}.yaml").is_file():
        scenario = own
    (wanted,) = read_scenarios(scenario.parent, [scenario.stem])
    with console.status(say(language, "计算中…", "working…")) as status:
        try:
            result = run_scenario(
                case, wanted, shared=Shared(store=store_in(out / JOURNEYS)),
                progress=lambda text: status.update(text),
                start=None if start is None else read_run(start),
            )  # fmt: skip
        except LimitReached as limit:
            if limit.incomplete is not None:
                name = f"{wanted.name}-{limit.incomplete.id}-incomplete"
                console.print(str(write_incomplete(out / name, limit.incomplete)), highlight=False)
            raise
        path = write_run(out / f"{wanted.name}-{result.id}", result)
        made = path.with_name(f"{path.name}{REPORT}")
        if report:
            write_products([result], case, made)
    if as_json:
        print(json.dumps({"run": str(path), **result.measures}, ensure_ascii=False))
    else:
        console.print(indicator_table([result], language))
        findings(console, result.findings, language)
        console.print(_gaps(result, language), highlight=False)
        console.print(str(path), highlight=False)
        if report:
            console.print(say(language, f"报告:{made / 'report.html'}", f"Report: {made / 'report.html'}"), highlight=False)  # fmt: skip
    return 2 if strict and any(f.rank is Rank.WARNING for f in result.findings) else 0


@app.command()
def report(
    runs: Annotated[
        list[Path], typer.Argument(help="run or study folders; the first run is the plan reported")
    ],
    case: Annotated[Path, typer.Option(help="case folder, for the outline and the catalogue")],
    out: Out = Path("report"),
    to: Annotated[
        str, typer.Option(help="html, docx, xlsx, pdf, gpkg, separated by commas")
    ] = "html,xlsx,gpkg",
    lang: Annotated[
        str, typer.Option(help="zh, en or zh,en: languages of the documents")
    ] = "zh,en",
    plan: Annotated[str, typer.Option(help="name of the scenario to report first")] = "",
    template: Annotated[
        Path | None, typer.Option(help="your office's Word template, see docs/reports.md")
    ] = None,
    font: Annotated[str, typer.Option(help="font of the PDF, default an open Chinese one")] = "",
    minutes: Annotated[
        str, typer.Option(help="steps of the bands around facilities, separated by commas")
    ] = "15,30,60",
) -> int:
    """Write documents from stored runs of a plan or a study; nothing is computed anew."""
    from allocator.cli.products import named_runs, study_of, write_products
    from allocator.report import FORMATS
    from allocator.report.bands import checked_steps

    wanted = [w.strip() for w in to.split(",") if w.strip()]
    languages = [w.strip() for w in lang.split(",") if w.strip()]
    if not wanted or not set(wanted) <= set(FORMATS):
        raise typer.BadParameter(", ".join(FORMATS), param_hint="--to")
    if not languages or not set(languages) <= {"zh", "en"}:
        raise typer.BadParameter("zh, en or zh,en", param_hint="--lang")
    try:
        steps = checked_steps([float(m) for m in minutes.split(",")])
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="--minutes") from problem
    console = console_for()
    with console.status(say(chosen_language(languages[0]), "正在排版…", "laying out…")):
        paths = write_products(
            named_runs(runs, plan), _case(case), out, to=wanted, languages=languages, template=template, font=font,
            study=study_of(runs), steps=steps,
        )  # fmt: skip
    for path in paths:
        console.print(str(path), highlight=False)
    return 0


@app.command()
def template(
    out: Annotated[Path, typer.Argument(help="the Word template to write, to be changed to taste")],
    lang: Language = "",
) -> int:
    """Write the built-in Word template of reports, for an office to make its own."""
    from allocator.io.paths import write_bytes
    from allocator.report.word import default_template

    write_bytes(out, default_template("zh" if chosen_language(lang) == "zh" else "en"))
    console_for().print(str(out), highlight=False)
    return 0


@app.command()
def verify(
    runs: Annotated[list[Path], typer.Argument(help="run folders")],
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Check stored runs again: every file's digest, every rule, every total."""
    from allocator.certificate import check_bound
    from allocator.io.runs import read_run
    from allocator.verify import verify as verify_plan

    language, console = chosen_language(lang), console_for(as_json)
    broken: list[Finding] = []
    told: list[Finding] = []
    for path in runs:
        begun = time.perf_counter()
        stored = read_run(path)
        of_bound = check_bound(stored.problem, stored.plan)
        wrong = [f for f in of_bound if f.rank is Rank.ERROR]
        found = [*verify_plan(stored.problem, stored.plan), *wrong]
        broken += found
        told += [f for f in of_bound if f.rank is not Rank.ERROR]
        took = time.perf_counter() - begun
        result = say(language, "通过" if not found else "未通过", "holds" if not found else "FAILS")
        if not as_json:
            console.print(
                f"{path.name}: {result} ({took:.1f} s, gap {stored.plan.gap:.3%})", highlight=False
            )
    if as_json:
        print(json.dumps([f.as_dict() for f in (*broken, *told)], ensure_ascii=False))
    else:
        findings(console, told, language)
    if broken:
        raise CheckFailed(tuple(broken))
    return 0


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="run folder")],
    to: Annotated[str, typer.Option(help="lp or mps")] = "lp",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="file; printed where not given")
    ] = None,
) -> int:
    """Write the linear problem of a stored run for another solver."""
    from allocator.io.paths import write_bytes
    from allocator.io.runs import read_run
    from allocator.model.pulp_door import export as export_problem

    if to not in ("lp", "mps"):
        raise typer.BadParameter("lp or mps", param_hint="--to")
    text = export_problem(read_run(run).problem, to)
    if out is None:
        print(text)
    else:
        write_bytes(out, text.encode("utf-8"))
    return 0


def _gaps(done: Any, language: str) -> str:
    """Return the last line on a plan: its gap; of several objectives in order, each by name."""
    from allocator.report.words import objective_name

    if len(done.plan.objectives) == 1:
        gap = f"{done.plan.gap:.3%}"
        return say(language, f"方案已独立复核,求解精度 {gap}", f"The plan was checked independently; its gap is {gap}")  # fmt: skip
    each = say(language, ";", "; ").join(
        f"{objective_name(o.id).in_language(language)} {o.gap:.3%}" for o in done.plan.objectives
    )
    return say(language, f"方案已独立复核,各目标求解精度:{each}", f"The plan was checked independently; gaps by objective: {each}")  # fmt: skip


# After the commands above: help lists them in the order in which a newcomer needs them.
for _command in (compare, alternatives, price, worth, roll, routes, study, equity, project):
    app.command()(_command)
app.add_typer(catalogue_app, name="catalogue")
