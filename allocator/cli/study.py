"""``allocator study CASE FILE``: many runs from one file, going on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from allocator.cli.show import AsJson, Language, chosen_language, console_for, number, say
from allocator.errors import Finding, Rank, StudyIncomplete, Text, Where

if TYPE_CHECKING:
    import pandas as pd

    from allocator.study import Done, Failure, Progress, StudyResults

__all__ = ["findings_of", "indicators", "study", "words_of"]

MOST_NAMED = 20
SHOWN = ("resident_met", "day_met", "home_met", "coverage_day", "places", "investment_all", "running_gap", "mean_minutes")  # fmt: skip


def study(
    folder: Annotated[
        Path, typer.Argument(help="case folder; with 'cases:' the folder that holds them")
    ],
    file: Annotated[Path, typer.Argument(help="study file")],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for studies")] = Path("studies"),
    workers: Annotated[int, typer.Option(help="processes on this machine")] = 2,
    scheduler: Annotated[
        str, typer.Option(help="address of a running dask scheduler, tcp://host:8786")
    ] = "",
    scheduler_file: Annotated[str, typer.Option(help="file that a dask scheduler wrote")] = "",
    memory: Annotated[str, typer.Option(help="memory of a worker on this machine")] = "auto",
    plain: Annotated[bool, typer.Option("--plain", help="without dask: plain processes")] = False,
    keep: Annotated[
        str, typer.Option(help="runs: whole run folders; parts: a few kB a run")
    ] = "runs",
    retry_failed: Annotated[
        bool, typer.Option(help="try again what is known to have no plan")
    ] = False,
    export: Annotated[
        Path | None, typer.Option(help="write the table to this .csv or .xlsx too")
    ] = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Run every scenario of a study; finished runs are kept, failed ones are named."""
    from allocator.io.studies import case_folders, read_study
    from allocator.study import open_study, road_of, run_study

    if keep not in ("runs", "parts"):
        raise typer.BadParameter("runs or parts", param_hint="--keep")
    language = chosen_language(lang)
    console = console_for(as_json)
    definition, members = read_study(file)
    cases: Mapping[str, Any] = {"": folder}
    if definition.cases:
        cases = case_folders(folder, definition.cases)
        definition, members = read_study(file, tuple(cases))
    road = "processes" if plain else "auto"
    _, words = road_of(
        workers, scheduler=scheduler, scheduler_file=scheduler_file, memory=memory, road=road
    )
    console.print(words.in_language(language), style="dim", highlight=False)
    with _Bar(console, definition.title.text.in_language(language), language) as bar:
        done = run_study(
            definition, members, cases, out / definition.name, workers=workers, road=road,
            scheduler=scheduler, scheduler_file=scheduler_file, memory=memory, keep=keep,
            retry_failed=retry_failed, progress=bar.tell,
        )  # fmt: skip
    results = open_study(done.folder)
    table = results.export(done.folder / "table.csv")
    if export is not None:
        results.export(export)
    if as_json:
        print(json.dumps(_plain(done, results), ensure_ascii=False))
    else:
        _tell(console, done, results, language)
        console.print(str(table), highlight=False)
    if done.failures:
        raise StudyIncomplete(findings_of(done.failures))
    return 0


class _Bar:
    """A bar with what is done, kept and failed, and an estimate of the time left."""

    def __init__(self, console: Console, title: str, language: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.language = language
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(), TextColumn("{task.fields[words]}"), console=console,
        )  # fmt: skip
        self.task = self.bar.add_task(title, total=None, words="")

    def __enter__(self) -> _Bar:
        self.bar.__enter__()
        return self

    def __exit__(self, *given: Any) -> None:
        self.bar.__exit__(*given)

    def tell(self, p: Progress) -> None:
        words = []
        if p.left_seconds is not None and p.done < p.total:
            left = _duration(p.left_seconds, self.language)
            words.append(say(self.language, f"约余 {left}", f"about {left} left"))
        if p.kept:
            words.append(say(self.language, f"已有 {p.kept}", f"{p.kept} stored before"))
        if p.failed:
            words.append(say(self.language, f"失败 {p.failed}", f"{p.failed} failed"))
        self.bar.update(self.task, completed=p.done, total=p.total, words="  ".join(words))


def _duration(seconds: float, language: str) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return say(language, f"{hours} 小时 {minutes} 分", f"{hours} h {minutes} min")
    if minutes:
        return say(language, f"{minutes} 分 {rest} 秒", f"{minutes} min {rest} s")
    return say(language, f"{rest} 秒", f"{rest} s")


def _tell(console: Console, done: Done, results: StudyResults, language: str) -> None:
    from rich.table import Table

    for name, why in list(done.changes.items())[:MOST_NAMED]:
        console.print(say(language, f"{name} 重新计算:{why.zh}", f"{name} is done anew: {why.en}"), style="yellow", highlight=False)  # fmt: skip
    table = results.table()
    if not len(table):
        return
    shown = Table(title=say(language, "各指标在全部运行中的范围(规划期末)", "Range over all runs (end of plan)"))  # fmt: skip
    shown.add_column(say(language, "指标", "Measure"))
    for zh, en in (("最小", "Least"), ("中位", "Median"), ("最大", "Most")):
        shown.add_column(say(language, zh, en), justify="right")
    for name, words, unit in indicators():
        if name in table and name in SHOWN:
            value = table[name]
            cells = (value.min(), value.median(), value.max())
            shown.add_row(
                words.in_language(language), *(number(float(v), unit, language) for v in cells)
            )
    console.print(shown)
    always = results.no_regret()
    always = always[always["share_of_state"] == 1.0]
    if "case" in always:
        always = always.assign(site_id=always["case"] + ": " + always["site_id"])
    if len(table) > 1 and len(always):
        console.print(say(language, "各次运行均选、且相同的地点:", "Chosen alike in every run: ") + ", ".join(always["site_id"]), highlight=False)  # fmt: skip


def indicators() -> list[tuple[str, Text, str]]:
    """Return (id, words, unit) of every indicator, and of capital over all periods."""
    from allocator.measures.indicators import INDICATORS

    summed = ("investment_all", Text("投资合计", "Investment, all periods"), "yuan")
    return [*((name, words, unit) for name, (words, unit, _) in INDICATORS.items()), summed]


def _plain(done: Done, results: StudyResults) -> dict[str, Any]:
    return {
        "folder": str(done.folder),
        "kept": done.kept,
        "changes": {name: {"zh": why.zh, "en": why.en} for name, why in done.changes.items()},
        "failures": [{"run": f.run, "name": f.scenario, "kind": f.kind, "reason": f.reason} for f in done.failures],
        "runs": json.loads(_records(results.table())),
    }  # fmt: skip


def _records(table: pd.DataFrame) -> str:
    text: str = table.to_json(orient="records", force_ascii=False)
    return text


def findings_of(failures: Sequence[Failure]) -> tuple[Finding, ...]:
    """Return what failed runs are told as: one finding a run, one a case whose files are faulty."""
    found: dict[tuple[str, str], list[Failure]] = {}
    for f in failures:
        found.setdefault((f.case or f.run, f.reason), []).append(f)
    return tuple(_finding(alike) for alike in found.values())


def _finding(alike: Sequence[Failure]) -> Finding:
    first = alike[0]
    from allocator.report.words import Names

    what = words_of(first.findings) or Text(first.reason, first.reason)
    what = Names([], None).said(what)
    names = ", ".join(f.scenario for f in alike[:3]) + (" …" if len(alike) > 3 else "")
    return Finding(
        Rank.ERROR, "run-failed", Where(file=first.case, id=names), what,
        Text("修改后重跑;其余已保存。", "Mend it and run again; the others are stored."),
    )  # fmt: skip


def words_of(findings: Sequence[Mapping[str, Any]]) -> Text | None:
    """Return the first findings' sentences in both languages, each after its file and row."""
    if not findings:
        return None
    said = [(_place(f, "第 {} 行"), _place(f, "row {}"), f["what"]) for f in findings[:3]]
    more = len(findings) - len(said)
    zh = "".join(f"{place}{what['zh']}" for place, _, what in said)
    en = " ".join(f"{place}{what['en']}" for _, place, what in said)
    return Text(
        zh + (f"另有 {more} 条。" if more else ""), en + (f" And {more} more." if more else "")
    )


def _place(finding: Mapping[str, Any], row: str) -> str:
    parts = [
        finding["file"],
        row.format(finding["row"]) if finding["row"] else "",
        finding["column"],
    ]
    place = " ".join(p for p in parts if p)
    return f"{place}: " if finding["file"] else ""
