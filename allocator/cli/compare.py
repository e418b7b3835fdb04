"""``allocator compare``: stored runs, or all of a study, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from allocator.cli.show import (
    AsJson,
    Language,
    chosen_language,
    console_for,
    number,
    say,
    scoreboard,
)
from allocator.cli.study import indicators
from allocator.cli.study_view import asks_for_frontier, asks_for_tornado, words_of_setting
from allocator.errors import Text

if TYPE_CHECKING:
    import pandas as pd

    from allocator.compare import Comparison
    from allocator.report.words import Names
    from allocator.study import StudyResults

__all__ = ["compare"]

COLUMNS = {
    "name": Text("方案", "Plan"), "run": Text("方案", "Plan"), "plan": Text("方案", "Plan"),
    "dominated_by": Text("两项均不差于它的方案", "No worse in both"), "is_chosen": Text("所选方案", "Chosen"),
    "case": Text("案例", "Case"), "site_id": Text("地点", "Site"), "what": Text("变化", "Change"), "today": Text("现状", "Today"),
    "first": Text("对照方案", "In the first"), "state": Text("期末", "At the end"),
    "places_first": Text("对照方案名额(各项服务合计)", "Places in the first, all services"), "places": Text("名额(各项服务合计)", "Places, all services"),
    "share_of_runs": Text("有变动的运行占比", "Share of runs that act"),
    "share_of_state": Text("同一做法的运行占比", "Share that do this"),
    "service": Text("服务", "Service"), "township_id": Text("乡镇代码", "Township"), "group": Text("人群", "Group"),
    "name_zh": Text("乡镇", "Township"), "name_en": Text("乡镇", "Township"),
    "setting": Text("假设", "Assumption"), "low": Text("低值", "Low"), "high": Text("高值", "High"),
    "at_low": Text("取低值时", "At low"), "at_high": Text("取高值时", "At high"), "swing": Text("幅度", "Swing"),
    "rank_correlation": Text("秩相关", "Rank correlation"), "worst": Text("最坏", "Worst"),
    "as-planned": Text("按规划情形", "As planned"),
}  # fmt: skip
"""Words of the columns that tables are shown under; tables in files keep the names."""
MEASURED = ("at_low", "at_high", "swing")
UNITS = {"share_of_runs": "share", "share_of_state": "share", "rank_correlation": "index"}
MOST_ROWS = 40


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="run folders (the first is compared with), or one study")
    ],
    cost: Annotated[
        str, typer.Option(help="what a step costs: an indicator, or budget in a study")
    ] = "",
    gain: Annotated[str, typer.Option(help="what a step brings: an indicator")] = "resident_met",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="folder for tables (xlsx) and charts (svg)")
    ] = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Compare runs: results beside inputs, sites, who gains and loses, what each step costs."""
    from allocator.io.runs import read_run

    language = chosen_language(lang)
    console = console_for(as_json)
    if len(runs) == 1 and (runs[0] / "study.json").is_file():
        from allocator.study import open_study

        return _study(console, open_study(runs[0]), cost, gain, out, language, as_json)
    from allocator.compare import compare as compare_runs

    both = compare_runs([read_run(p) for p in runs])
    cost = cost or "investment_all"
    if as_json:
        print(both.table().to_json(orient="index", force_ascii=False))
        return 0
    console.print(scoreboard(both, language))
    _print(console, _inputs(both, language), say(language, "输入差异", "What differs in the inputs"), language)  # fmt: skip
    if len(both.runs) > 1:
        _against_first(console, both, cost, gain, language)
    if out is not None:
        _write_tables(
            out / "compare.xlsx",
            {
                "indicators": both.table().reset_index(),
                "differences": both.differences().reset_index(),
                "sites": both.sites().reset_index(),
                "site changes": both.site_changes(),
                "by township": both.who(),
                "by group": both.who("group"),
                "steps": both.marginal(cost, gain),
            },
        )
    return 0


def _inputs(both: Comparison, language: str) -> pd.DataFrame:
    """What differs between the inputs, in words: a setting a row, a plan a column."""
    import pandas as pd

    from allocator.report.settings import setting_value, setting_words
    from allocator.report.words import Names

    names, table = Names(both.runs, None), both.inputs()
    rows = []
    for key, values in table.iterrows():
        words, unit = setting_words(str(key), names)
        said = [setting_value(v, unit, names).in_language(language) for v in values]
        if len(set(said)) > 1:
            rows.append([words.in_language(language), *said])
    columns = [say(language, "设置", "Setting"), *_titles(both, language).values()]
    return pd.DataFrame(rows, columns=columns)


def _titles(both: Comparison, language: str) -> dict[str, str]:
    """Titles of the runs by name; the name stands behind one that several bear."""
    titles = {r.scenario.name: r.scenario.title.text.in_language(language) for r in both.runs}
    every = list(titles.values())
    return {n: t if every.count(t) == 1 else f"{t} ({n})" for n, t in titles.items()}


def _against_first(console: Console, both: Comparison, cost: str, gain: str, language: str) -> None:
    first = both.runs[0].scenario.title.text.in_language(language)
    whats = {
        "appears": say(language, "新增", "appears"),
        "vanishes": say(language, "取消", "vanishes"),
        "changes": say(language, "变动", "changes"),
    }
    from allocator.report.words import Names

    words, titles = Names(both.runs, None), _titles(both, language)
    changes = both.site_changes()
    changes["what"] = changes["what"].map(whats)
    changes["run"] = changes["run"].map(titles)
    _print(
        console,
        changes,
        say(language, f"地点变化（相对于{first}）", f"Sites, against {first}"),
        language,
        names=words,
    )
    names = both.names[1:]
    for by, zh, en in (("township", "乡镇", "township"), ("group", "人群", "group")):
        who = both.who(by)
        moved = who[(who[names].abs() > 5e-4).any(axis=1)]
        shown = moved.drop(columns=["need", "township_id", "name_zh" if language == "en" else "name_en"], errors="ignore")  # fmt: skip
        for name in names:
            shown[name] = [_arrow(v) for v in shown[name]]
        shown[both.names[0]] = [f"{v:.1%}" for v in shown[both.names[0]]]
        _print(console, shown.rename(columns=titles), say(language, f"满足率增减，按{zh}（相对于{first}）", f"Who gains and loses, by {en}, against {first}"), language, names=words)  # fmt: skip
    _steps(console, both.marginal(cost, gain), cost, gain, language, titles)
    sites = [words.site(s).in_language(language) for s in both.no_regret()]
    console.print(say(language, "各方案均选、且相同的地点:", "Chosen alike in every plan: ") + (", ".join(sites) or "—"), highlight=False)  # fmt: skip
    found = {titles[a]: titles[b] for a, b in both.dominated().items()}
    _dominated(console, found, language)


def _study(
    console: Console, results: StudyResults, cost: str, gain: str, out: Path | None,
    language: str, as_json: bool,
) -> int:  # fmt: skip
    table, study = results.table(), results.study
    if as_json:
        print(table.to_json(orient="records", force_ascii=False))
        return 0
    cost = cost or ("budget" if "budget" in table else "investment_all")
    sheets = {"runs": table, "no-regret": results.no_regret()}
    charts = {}
    if asks_for_frontier(results):
        sheets["frontier"] = results.frontier(cost, gain)
        sheets["steps"] = results.marginal(cost, gain)
        charts["frontier"] = _frontier_chart(sheets["frontier"], cost, gain)
        others = [
            s for s in results.settings() if s in table and s != cost and table[s].nunique() > 1
        ]
        shown = table[["name", *others]].merge(sheets["frontier"], on="name", how="right")
        _print(console, shown, say(language, "前沿与被优于的方案", "Frontier and dominated plans"), language)  # fmt: skip
        _steps(console, sheets["steps"], cost, gain, language)
    if asks_for_tornado(results):
        from allocator.report.study_charts import tornado_chart

        sheets["tornado"] = results.tornado(gain)
        words, unit = _words(gain)
        told = _told(sheets["tornado"], results, language)
        charts["tornado"] = tornado_chart(told, words, _writer(unit))
        _print(console, told, say(language, f"各项假设对{words.zh}的影响", f"How far assumptions move {words.en}"), language, unit)  # fmt: skip
    if study.futures is not None:
        from allocator.report.study_charts import regret_chart

        sheets["regret"] = results.regret().reset_index()
        charts["regret"] = regret_chart(results.regret(), _writer(""))
        _print(console, sheets["regret"], say(language, "遗憾值（目标值，越小越好）", "Regret (objective; less is better)"), language)  # fmt: skip
    _print(console, sheets["no-regret"].query("share_of_runs > 0"), say(language, "各地点入选比例", "Share of runs that choose each site"), language, names=_names_of(results))  # fmt: skip
    if out is not None:
        from allocator.io.paths import write_bytes

        _write_tables(out / "compare.xlsx", sheets)
        for name, drawing in charts.items():
            write_bytes(out / f"{name}.svg", drawing.render((language,)).encode("utf-8"))
    return 0


def _told(tornado: pd.DataFrame, results: StudyResults, language: str) -> pd.DataFrame:
    """Return a tornado with assumptions and their low and high values in words."""
    from allocator.report.settings import setting_value
    from allocator.report.words import Names

    names, out = Names([], None), tornado.astype({"setting": object, "low": object, "high": object})
    for n, row in zip(out.index, tornado.to_dict("records"), strict=True):
        words, unit = words_of_setting(results, str(row["setting"]))
        out.at[n, "setting"] = words.in_language(language)
        for column in ("low", "high"):
            out.at[n, column] = setting_value(row[column], unit, names).in_language(language)
    return out


def _names_of(results: StudyResults) -> Names:
    """Return the words of a study's first stored run, the house's where parts alone are kept."""
    from allocator.report.words import Names

    first = next(results.read_runs(), None)
    return Names([] if first is None else [first], None)


def _frontier_chart(table: pd.DataFrame, cost: str, gain: str) -> Any:
    from allocator.report.study_charts import frontier_chart

    (cost_words, cost_unit), (gain_words, gain_unit) = _words(cost), _words(gain)
    return frontier_chart(table, cost_words, gain_words, _writer(cost_unit), _writer(gain_unit))


def _words(name: str) -> tuple[Text, str]:
    """Return the words and unit of an indicator or a setting."""
    from allocator.report.settings import setting_words
    from allocator.report.words import Names

    known = {i: (words, unit) for i, words, unit in indicators()}
    return known[name] if name in known else setting_words(name, Names([], None))


def _writer(unit: str) -> Callable[[float], Text]:
    return lambda v: Text(number(v, unit, "zh"), number(v, unit, "en"))


def _steps(
    console: Console, steps: pd.DataFrame, cost: str, gain: str, language: str,
    titles: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    (cost_words, cost_unit), (gain_words, gain_unit) = _words(cost), _words(gain)
    table = Table(title=say(language, "逐步的边际成本", "What each step costs and brings"))
    for zh, en in (("由", "From"), ("到", "To"), (f"多花（{cost_words.zh}）", f"More {cost_words.en.lower()}"), (f"多得（{gain_words.zh}）", f"More {gain_words.en.lower()}"), ("每百分点", "A point")):  # fmt: skip
        table.add_column(say(language, zh, en))
    for r in steps.itertuples():
        point = r.cost_per_gain / 100 if gain_unit == "share" else r.cost_per_gain
        table.add_row(
            *((titles or {}).get(n, n) for n in r[1:3]), number(r.cost, cost_unit, language), number(r.gain, gain_unit, language),
            number(float(point), cost_unit, language),
        )  # fmt: skip
    if len(steps):
        console.print(table)


def _dominated(console: Console, found: dict[str, str], language: str) -> None:
    for worse, better in found.items():
        console.print(say(language, f"{worse} 在各项指标上都不优于 {better}", f"{worse} is no better than {better} in any measure"), highlight=False)  # fmt: skip


def _arrow(change: float) -> str:
    mark = "▲" if change > 5e-4 else "▼" if change < -5e-4 else " "
    return "—" if change != change else f"{mark} {100 * change:+.1f}"


def _print(
    console: Console, table: pd.DataFrame, title: str, language: str, unit: str = "",
    names: Names | None = None,
) -> None:  # fmt: skip
    """Print a table: columns by their words, numbers in the unit of their column, else in ``unit``.

    ``names`` say services, types and groups of people in words.
    """
    if not len(table):
        return
    if names is not None:
        table = _said(table, names, language)
    shown = Table(title=title)
    units = []
    for name in table.columns:
        words, own = _words(str(name))
        words = COLUMNS.get(str(name), words)
        units.append(UNITS.get(str(name), own or (unit if name in MEASURED else "")))
        shown.add_column(escape(words.in_language(language)), overflow="fold")
    for row in table.head(MOST_ROWS).itertuples(index=False):
        shown.add_row(*(_cell(v, u, language) for v, u in zip(row, units, strict=True)))
    console.print(shown)
    if len(table) > MOST_ROWS:
        more = len(table) - MOST_ROWS
        console.print(say(language, f"… 另有 {more} 行;全部可用 --out 写入 compare.xlsx", f"… {more} more rows; --out writes all to compare.xlsx"), style="dim")  # fmt: skip


def _said(table: pd.DataFrame, names: Names, language: str) -> pd.DataFrame:
    """Return a table with ids of services, states and groups in words."""
    from allocator.report.words import GROUPS, word

    known = {"service": names.service, "group": lambda id: word(GROUPS, id), **dict.fromkeys(("first", "state", "today"), names.type)}  # fmt: skip
    out = table.copy()
    for column, words in known.items():
        if column in out:
            out[column] = [words(str(v)).in_language(language) for v in out[column]]
    return out


def _cell(value: object, unit: str, language: str) -> str:
    if isinstance(value, bool):
        return "★" if value else ""
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    if isinstance(value, float):
        plain = "—" if value != value else f"{value:,.6g}"
        return number(value, unit, language) if unit else plain
    return escape(str(value)[:60])


def _write_tables(path: Path, sheets: dict[str, pd.DataFrame]) -> None:
    from allocator.io.paths import write_bytes
    from allocator.study.results import workbook_of

    write_bytes(path, workbook_of(sheets))
