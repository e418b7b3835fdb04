"""The commands a planner types."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from allocator.cli.catalogue import catalogue_app
from allocator.cli.compare import compare
from allocator.cli.equity import equity
from allocator.cli.project import project
from allocator.cli.show import findings, indicator_table, say
from allocator.cli.study import study
from allocator.errors import CheckFailed, Finding, Rank

__all__ = ["app", "language_of"]

app = typer.Typer(
    name="allocator",
    help="How many places of which public service, where, of what size, by when and paid by whom.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(project)
app.command()(compare)
app.command()(study)
app.command()(equity)
app.add_typer(catalogue_app, name="catalogue")

Language = Annotated[str, typer.Option("--lang", help="zh or en", show_default="of the system")]
AsJson = Annotated[bool, typer.Option("--json", help="print plain JSON instead of tables")]
Out = Annotated[Path, typer.Option("--out", "-o", help="folder for runs and reports")]
Strict = Annotated[bool, typer.Option("--strict", help="exit 2 on any warning")]


def language_of(arguments: list[str]) -> str:
    """Return zh or en: as asked by ``--lang``, else as the system's locale says."""
    for n, word in enumerate(arguments):
        if word == "--lang" and n + 1 < len(arguments):
            return "zh" if arguments[n + 1].startswith("zh") else "en"
        if word.startswith("--lang="):
            return "zh" if word.split("=", 1)[1].startswith("zh") else "en"
    locale = (
        os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    )
    return "zh" if locale.lower().startswith("zh") else "en"


def _language(lang: str) -> str:
    return ("zh" if lang.startswith("zh") else "en") if lang else language_of([])


def _console(as_json: bool = False) -> Console:
    return Console(stderr=as_json, width=None if Console().is_terminal else 160)


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

    return run_demo(out, _language(lang), placement, as_json)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="a new folder for your county")],
    lang: Language = "",
) -> int:
    """Write a bilingual template workbook, a case file and a first scenario to fill in."""
    from allocator.io.template import write_template

    language = _language(lang)
    paths = write_template(folder)
    console = _console()
    for path in paths:
        console.print(f"  {path}", highlight=False)
    console.print(
        say(
            language,
            f"填写后运行:allocator check {folder}",
            f"Fill it in, then: allocator check {folder}",
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
    lang: Language = "",
    strict: Strict = False,
    as_json: AsJson = False,
) -> int:
    """Read a case and its scenarios and list everything found, all at once."""
    from allocator.io.scenarios import read_scenarios

    language, console = _language(lang), _console(as_json)
    case = _case(folder)
    found = list(case.findings)
    names: list[str] = []
    where = scenarios if scenarios is not None else folder / "scenarios"
    if where.is_dir():
        names = [s.name for s in read_scenarios(where)]
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
                f"{region.title.en}: {len(region.townships)} townships, {len(region.areas)} villages and communities, {len(region.sites)} sites, {len(names)} scenarios",
            ),
            highlight=False,
        )
        findings(console, found, language, most=200)
    return 2 if strict and any(f.rank is Rank.WARNING for f in found) else 0


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="case folder")],
    scenario: Annotated[Path, typer.Argument(help="scenario file")],
    out: Out = Path("runs"),
    lang: Language = "",
    strict: Strict = False,
    as_json: AsJson = False,
    report: Annotated[
        bool, typer.Option(help="write report.html, plan.xlsx and plan.gpkg too")
    ] = True,
) -> int:
    """Run one scenario: project people, estimate need, solve, check, measure, store, report."""
    from allocator.cli.demo import write_products
    from allocator.io.runs import write_run
    from allocator.io.scenarios import read_scenarios
    from allocator.run import run as run_scenario

    language, console = _language(lang), _console(as_json)
    case = _case(folder)
    (wanted,) = read_scenarios(scenario.parent, [scenario.stem])
    with console.status(say(language, "计算中…", "working…")) as status:
        result = run_scenario(case, wanted, progress=lambda text: status.update(text))
        path = write_run(out / f"{wanted.name}-{result.id}", result)
        if report:
            write_products([result], case, path.parent / f"{path.name}-report")
    if as_json:
        print(json.dumps({"run": str(path), **result.measures}, ensure_ascii=False))
    else:
        console.print(indicator_table([result], language))
        findings(console, result.findings, language)
        console.print(str(path), highlight=False)
    return 2 if strict and any(f.rank is Rank.WARNING for f in result.findings) else 0


@app.command()
def report(
    runs: Annotated[
        list[Path], typer.Argument(help="run folders; the first is the recommended plan")
    ],
    case: Annotated[Path, typer.Option(help="case folder, for the outline")],
    out: Out = Path("report"),
    lang: Language = "",
) -> int:
    """Write report.html, plan.xlsx and plan.gpkg from stored runs; nothing is computed anew."""
    from allocator.cli.demo import write_products
    from allocator.io.runs import read_run

    console = _console()
    for path in write_products([read_run(p) for p in runs], _case(case), out):
        console.print(str(path), highlight=False)
    return 0


@app.command()
def verify(
    runs: Annotated[list[Path], typer.Argument(help="run folders")],
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Check stored runs again: every file's digest, every rule, every total."""
    from allocator.io.runs import read_run
    from allocator.verify import verify as verify_plan

    language, console = _language(lang), _console(as_json)
    broken: list[Finding] = []
    for path in runs:
        begun = time.perf_counter()
        stored = read_run(path)
        found = verify_plan(stored.problem, stored.plan)
        broken += found
        took = time.perf_counter() - begun
        result = say(language, "通过" if not found else "未通过", "holds" if not found else "FAILS")
        if not as_json:
            console.print(
                f"{path.name}: {result} ({took:.1f} s, gap {stored.plan.gap:.3%})", highlight=False
            )
    if as_json:
        print(json.dumps([f.as_dict() for f in broken], ensure_ascii=False))
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
