"""The report's story: indicators, gap, project list, money, then what it rests on.

The order is the one a panel reads in: basis, present state, forecast, need, standards, layout, money,
staff, fairness, alternatives, uncertainty, limits; what is technical stands in the annexes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from allocator.catalogue import Catalogue
from allocator.errors import Text
from allocator.region import Region
from allocator.report.bands import STEPS, checked_steps
from allocator.report.cells import clean
from allocator.report.chapters import annex, judgement, need, opening, plan
from allocator.report.document import Chapter, Document, Note
from allocator.report.equity import equity_chapter
from allocator.report.spread import alternatives_of, few_of
from allocator.report.study_chapter import StudyView, study_chapter
from allocator.report.typesetting import set_well
from allocator.report.words import Names
from allocator.run import Run
from allocator.scenario import Title

__all__ = ["compose"]


def compose(runs: Sequence[Run], *, region: Region, catalogue: Catalogue | None = None, notes: Sequence[Note] = (), study: StudyView | None = None, steps: Sequence[float] = STEPS) -> Document:  # fmt: skip
    """Return the report of runs, the first being the one recommended.

    Runs that differ from another in the placement of points only are not alternatives; they make
    the spread of the chapter on uncertainty.

    Raises
    ------
    ValueError
        When there is no run, the runs are of different cases, or the steps of minutes cannot be.
    InputRefused
        When a name holds a control character.
    """
    if not runs:
        raise ValueError("nothing to report: hand in at least one run")
    if len({r.inputs["case"] for r in runs}) > 1:
        raise ValueError("runs of different cases cannot stand in one report")
    _refuse_control_characters(runs, notes)
    runs = _told_apart(runs, study)
    run, names = runs[0], Names(runs, catalogue)
    others = few_of(alternatives_of(runs))
    place = Text(run.inputs["title"]["zh"], run.inputs["title"]["en"])
    title = run.scenario.title.text
    chapters: list[Chapter] = [
        opening.summary(run, names), opening.background(run, names, catalogue),
        opening.present(run, region, names), need.population(others, region, names), need.need(run, names),
        need.standards(run, names), plan.layout(others, region, names), plan.reach(others, region, names, checked_steps(steps)),
        plan.money(run), plan.staff(run, names), judgement.use(others, names), judgement.fairness(others, region, names),
        judgement.alternatives(others), *([study_chapter(study, names)] if study is not None else []), judgement.uncertainty(runs, notes, names, study is not None), judgement.limits(run, names),
        annex.method(run, names), annex.parameters(run, names), annex.sources(run, names), equity_chapter(run, names), annex.use(run, names),
        annex.terms(), annex.provenance(run), annex.sites(others, region, names, catalogue),
    ]  # fmt: skip
    document = Document(
        title=Text(f"{place.zh}基本养老服务设施布局方案", f"Elderly-care facilities of {place.en}: a placement plan"),
        subtitle=Text(f"推荐方案（附求解精度）：{title.zh}", f"Recommended plan (with its gap): {title.en}"),
        disclaimer=Text(run.inputs["disclaimer"]["zh"], run.inputs["disclaimer"]["en"]),
        map_footer=Text(run.inputs["map_footer"]["zh"], run.inputs["map_footer"]["en"]),
        facts=opening.facts(run), chapters=tuple(c for c in chapters if c.blocks),
    )  # fmt: skip
    return set_well(document)


def _told_apart(runs: Sequence[Run], study: StudyView | None) -> list[Run]:
    """Return the runs with what was set in their titles, where several bear the same."""
    count = Counter(r.scenario.title.zh for r in runs)
    titled = []
    for n, run in enumerate(runs):
        s = run.scenario
        if count[s.title.zh] > 1 and s.placement is None:
            what = (
                study.label(s.name, with_plan=False) if study is not None else Text(s.name, s.name)
            )
            full = Text(f"{s.title.zh}（{what.zh}）", f"{s.title.en} ({what.en})")
            title = full if n == 0 or len(count) > 1 else what
            run = replace(run, scenario=s.model_copy(update={"title": Title.model_construct(zh=title.zh, en=title.en)}))  # fmt: skip
        titled.append(run)
    return titled


def _refuse_control_characters(runs: Sequence[Run], notes: Sequence[Note]) -> None:
    texts = [(r.scenario.name, t) for r in runs for t in (r.scenario.title.zh, r.scenario.title.en)]
    for frame in [t for r in runs for t in r.tables.values()] + [n.table for n in notes]:
        for column in frame.select_dtypes(exclude=["number", "bool"]):
            texts += [(str(column), v) for v in frame[column].unique() if isinstance(v, str)]
    clean(texts)
