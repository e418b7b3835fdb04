"""A stored study as its report shows it: words and units of what was set, charts, what failed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from allocator.cli.study import SHOWN, indicators, words_of
from allocator.errors import Text

if TYPE_CHECKING:
    import pandas as pd

    from allocator.report.study_chapter import StudyView
    from allocator.study import StudyResults

LOOKED_AT = 50
"""Stored runs that are read to find the titles of plans."""

__all__ = ["asks_for_frontier", "asks_for_tornado", "study_view", "words_of_setting"]


def study_view(results: StudyResults) -> StudyView:
    """Return what a study's report shows; see `report.study_chapter.StudyView`."""
    from allocator.report.study_chapter import StudyView

    study, table = results.study, results.table()
    known = {id: (words, unit) for id, words, unit in indicators()}
    settings = {
        s: words_of_setting(results, s)
        for s in results.settings()
        if s != "sample" and s in table and table[s].nunique() > 1
    }
    cost, gain = ("budget" if "budget" in table else "investment_all"), "resident_met"
    drawn = asks_for_frontier(results) and cost in table
    failed = [(f.scenario, words_of(f.findings) or Text(f.reason, f.reason)) for f in results.failures()]  # fmt: skip
    return StudyView(
        title=study.title.text, note=Text(study.note.zh, study.note.en) if study.note else Text("", ""),
        table=table, settings=settings, measures={k: known[k] for k in SHOWN if k in table and k in known},
        cost=cost, gain=gain,
        frontier=results.frontier(cost, gain) if drawn else None,
        steps=results.marginal(cost, gain) if drawn else None,
        tornado=results.tornado(gain) if asks_for_tornado(results) else None,
        regret=results.regret() if study.futures is not None else None,
        sites=results.no_regret(), failed=tuple(failed), titles=_titles(results, table, settings),
    )  # fmt: skip


def _titles(
    results: StudyResults, table: pd.DataFrame, settings: Mapping[str, tuple[Text, str]]
) -> dict[str, Text]:
    """Words of plans (titles of stored runs) and of futures (what is set in them), by name."""
    from allocator.report.settings import setting_value
    from allocator.report.words import Names

    made: dict[str, Text] = {"as-planned": Text("按规划情形", "As planned")}
    if "base" in settings:
        base_of = dict(zip(table["name"], table["base"], strict=True))
        for run in islice(results.read_runs(), LOOKED_AT):
            made.setdefault(str(base_of.get(run.scenario.name, run.scenario.name)), run.scenario.title.text)  # fmt: skip
            if set(base_of.values()) <= set(made):
                break
    if "future" in settings:
        names = Names([], None)
        own = [s for s in settings if s not in ("base", "future")]
        for future, part in table[table["future"] != "as-planned"].groupby("future"):
            told = [(settings[s], part[s].iloc[0]) for s in own if part[s].nunique() == 1]
            said = [(words, setting_value(v, unit, names)) for (words, unit), v in told]
            if said:
                made[str(future)] = Text(
                    "、".join(f"{w.zh} {v.zh}" for w, v in said),
                    ", ".join(f"{w.en.lower()} {v.en}" for w, v in said),
                )
    return made


def asks_for_frontier(results: StudyResults) -> bool:
    """Whether the runs are choices: draws of what may come are none, nor are other counties' plans."""
    study = results.study
    drawn = study.samples is not None and study.frontier is None
    return not drawn and len(results.cases) == 1


def asks_for_tornado(results: StudyResults) -> bool:
    """Whether several things vary at a time."""
    return results.study.samples is not None or len(results.study.axes) > 1


def words_of_setting(results: StudyResults, setting: str) -> tuple[Text, str]:
    """Return the words of what was varied: the study's own title of it, else the house's."""
    from allocator.report.settings import setting_words
    from allocator.report.words import Names

    study = results.study
    own = [s.over for s in (study.samples, study.futures and study.futures.samples) if s]
    for over in own:
        assumption = over.get(setting)
        if assumption is not None and assumption.title is not None:
            return assumption.title.text, ""
    return setting_words(setting, Names([], None))
