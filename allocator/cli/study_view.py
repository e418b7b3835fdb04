"""A stored study as its report shows it: words and units of what was set, charts, what failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from allocator.cli.study import SHOWN, indicators, words_of
from allocator.errors import Text

if TYPE_CHECKING:
    from allocator.report.study_chapter import StudyView
    from allocator.study import StudyResults

__all__ = ["LIMITS", "asks_for_frontier", "asks_for_tornado", "study_view"]

LIMITS: Mapping[str, tuple[Text, str]] = {
    "budget": (Text("投资额度", "Budget"), "yuan"),
    "coverage": (Text("可达覆盖要求", "Coverage asked"), "share"),
    "floor": (Text("最低乡镇满足率要求", "Least township share asked"), "share"),
    "gini": (Text("基尼系数上限", "Gini at most"), ""),
    "travel": (Text("平均出行上限", "Mean travel at most"), "minute"),
    "placement": (Text("点位组", "Placement"), ""),
    "need.flatten": (Text("距离影响减弱程度", "Flatness of the willingness curve"), ""),
    "future": (Text("情形", "Future"), ""),
    "base": (Text("方案", "Plan"), ""),
}


def study_view(results: StudyResults) -> StudyView:
    """Return what a study's report shows; see `report.study_chapter.StudyView`."""
    from allocator.report.study_chapter import StudyView

    study, table = results.study, results.table()
    known = {id: (words, unit) for id, words, unit in indicators()}
    settings = {
        s: _words(results, s)
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
        sites=results.no_regret(), failed=tuple(failed),
    )  # fmt: skip


def asks_for_frontier(results: StudyResults) -> bool:
    """Whether the runs are choices: draws of what may come are none, nor are other counties' plans."""
    study = results.study
    drawn = study.samples is not None and study.frontier is None
    return not drawn and len(results.cases) == 1


def asks_for_tornado(results: StudyResults) -> bool:
    """Whether several things vary at a time."""
    return results.study.samples is not None or len(results.study.axes) > 1


def _words(results: StudyResults, setting: str) -> tuple[Text, str]:
    """Return the words of what was varied: the study's own title of it, else the house's."""
    study = results.study
    own = [s.over for s in (study.samples, study.futures and study.futures.samples) if s]
    for over in own:
        assumption = over.get(setting)
        if assumption is not None and assumption.title is not None:
            return assumption.title.text, ""
    return LIMITS.get(setting, (Text(setting, setting), ""))
