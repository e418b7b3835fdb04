"""``allocator equity RUN``: the equity evaluation of a stored run, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pandas as pd
import typer

from allocator.cli.catalogue import AsJson, Language, _language, _print_table
from allocator.errors import ExitCode, Finding, InputRefused, Rank, Text, Where

if TYPE_CHECKING:
    from allocator.measures.equity import EquityChapter
    from allocator.run import Run

__all__ = ["chapter_of_run", "equity"]


def equity(
    run: Annotated[Path, typer.Argument(help="a run folder")],
    before: Annotated[
        Path | None, typer.Option(help="the run to compare with, such as today's; default: none")
    ] = None,
    period: Annotated[int, typer.Option(help="which period, from 1; 0 is the last")] = 0,
    out: Annotated[Path | None, typer.Option(help="CSV of the whole table")] = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Evaluate how evenly a plan's services reach people in need, by township, class and need."""
    from allocator.io.runs import read_run

    language = _language(lang)
    chapter = chapter_of_run(read_run(run), read_run(before) if before else None, period)
    if out is not None:
        chapter.table.to_csv(out, index=False, encoding="utf-8-sig")
    if as_json:
        _print_table(chapter.table, True)
        return int(ExitCode.PLAN)
    shown = chapter.headline()[["service", "before", "after", "low", "high", "is_flagged", f"note_{language}"]]  # fmt: skip
    _print_table(shown, False)
    for caution in chapter.cautions:
        typer.echo(caution.in_language(language))
    return int(ExitCode.PLAN)


def chapter_of_run(
    run: Run, before: Run | None = None, period: int = 0, flags: pd.DataFrame | None = None
) -> EquityChapter:
    """Return the equity chapter of a stored run, in need, with intervals over its futures.

    Parameters
    ----------
    before
        Run to compare with, over the same areas; None leaves ``before`` blank.
    period
        From 1; 0 is the last.
    flags
        Thresholds; None takes the shipped ones.

    Raises
    ------
    InputRefused
        When the two runs do not share areas, or there is no such period.
    """
    from allocator.io.paths import shipped
    from allocator.io.policy_files import read_equity_flags
    from allocator.measures.equity import Future, equity_chapter
    from allocator.measures.equity_state import people_in_need, state_of_plan

    if flags is None:
        flags = read_equity_flags(shipped("data/catalogue"))
    t = _period(run, period)
    problem, plan = run.problem, run.plan
    areas = _areas(run)
    people = people_in_need(problem, areas, t)
    futures: tuple[Future, ...] = ()
    if len(problem.futures) > 1:
        futures = tuple(
            Future(float(problem.future_weight[w]), people_in_need(problem, areas, t, w), state_of_plan(problem, plan, t, future=w))
            for w in range(len(problem.futures))
        )  # fmt: skip
    earlier = None
    people_before = None
    if before is not None:
        if before.problem.areas != problem.areas:
            raise _refused("runs-differ", "两次运行的村(社区)不同。", "The two runs are not over the same areas.")  # fmt: skip
        t_before = _period(before, period)
        people_before = people_in_need(before.problem, areas, t_before)
        earlier = _shared(state_of_plan(before.problem, before.plan, t_before), people_before)
    return equity_chapter(
        people, _shared(state_of_plan(problem, plan, t), people), flags,
        before=earlier, people_before=people_before, futures=futures,
    )  # fmt: skip


def _shared(state: pd.DataFrame, people: pd.DataFrame) -> pd.DataFrame:
    """Leave out the areas of a state where nobody is in need."""
    return state[state["area_id"].isin(set(people["area_id"]))]


def _period(run: Run, period: int) -> int:
    n = len(run.problem.periods)
    if not 0 <= period <= n:
        raise _refused("period-unknown", f"只有{n}个规划期。", f"There are {n} periods.")
    return (period or n) - 1


def _refused(code: str, zh: str, en: str) -> InputRefused:
    remedy = Text("请核对后重试。", "Check and try again.")
    return InputRefused((Finding(Rank.ERROR, code, Where(), Text(zh, en), remedy),))


def _areas(run: Run) -> pd.DataFrame:
    """Return township and class of each area of the problem, from the tables of the run.

    The run's table ``areas`` holds the region's areas in the problem's order; the residents of a
    home (``home:SITE``) stand where their site stands.
    """
    table = run.tables["areas"]
    first = table[table["year"] == table["year"].min()]
    sites = run.tables["sites"].drop_duplicates("site_id").set_index("site_id")
    ids = np.array(run.problem.areas, dtype=object)
    homes = np.array([str(i).startswith("home:") for i in ids])
    at = [str(i).removeprefix("home:") for i in ids[homes]]
    township, kind = np.empty(len(ids), object), np.empty(len(ids), object)
    township[~homes], kind[~homes] = first["township_id"], first["area_class"]
    township[homes], kind[homes] = sites.loc[at, "township_id"], sites.loc[at, "area_class"]
    return pd.DataFrame({"area_id": ids, "township": township, "area_class": kind})
