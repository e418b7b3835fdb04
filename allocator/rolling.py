"""The rolling year (年度滚动): next year's roll and figures, what is committed kept, a new plan.

The case folder is next year's, its roll of homes and sites as they stand. What the plan of the year
before wanted, what was done of it, how far the two lie apart and what the new plan changes stand
side by side in the table ``rolling``; ``rolling_figures`` does the same for the indicators.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from allocator.case import Case
from allocator.design import plain_data
from allocator.errors import Finding, Rank, Text, Where, refuse_if_any
from allocator.run import Run, Shared, run, run_id
from allocator.scenario import Scenario

__all__ = ["CHANGES", "next_scenario", "roll"]

UNDER_WAY = ("under-way", "committed")
CHANGES = {
    "done": Text("已建成", "done"), "kept": Text("保留", "kept"),
    "rescheduled": Text("改期", "rescheduled"), "resized": Text("调整规模", "resized"),
    "other-type": Text("改为其他设施", "another type"), "dropped": Text("取消", "dropped"),
    "added": Text("新增", "added"), "outside-plan": Text("计划外变化", "not of the plan"),
}  # fmt: skip
_PLANNED = ("type", "period", "places_resident", "places_day", "capital_yuan")


def roll(
    before: Run,
    case: Case,
    progress: pd.DataFrame,
    *,
    shared: Shared | None = None,
    say: Callable[[str], None] | None = None,
) -> Run:
    """Plan again from next year's case, with committed projects kept, and say what changed.

    Parameters
    ----------
    before
        The run whose plan is being carried out.
    case
        The case of a later base year.
    progress
        Table of schema ``progress``: what became of projects, and what was paid in this period.

    Returns
    -------
    A run with the tables ``rolling`` and ``rolling_figures`` beside the usual ones.

    Raises
    ------
    InputRefused
        When case, progress and plan do not fit together; all findings at once. See `run` for others.
    """
    scenario = next_scenario(before, case, progress)
    after = run(case, scenario, shared=shared, progress=say)
    more = {"rolling": _table(before, case, progress, after), "rolling_figures": _figures(before, after)}  # fmt: skip
    told = _plain(progress)
    return replace(
        after,
        id=run_id(case, scenario, f"{before.id}:{json.dumps(told)}"),
        tables={**after.tables, **more},
        inputs={**after.inputs, "rolled_from": before.id, "progress": told},
    )


def next_scenario(before: Run, case: Case, progress: pd.DataFrame) -> Scenario:
    """Return the scenario of a run from the case's base year on.

    Periods that are over go; the one under way begins next year with the capital that is left: its
    supply less what was paid for all but projects under way, whose whole cost the new plan bears.
    Projects under way or committed are forced with their size, dropped ones banned.

    Raises
    ------
    InputRefused
        When the years or the sites do not fit.
    """
    refuse_if_any(_faults(before, case, progress))
    old, year = before.scenario, case.base_year
    plain = plain_data(old)
    plain.pop("extends", None)
    left = [p for p in old.periods if p.to > year]
    started = left[0].from_ <= year
    periods = [p.model_dump(mode="json", by_alias=True, exclude_none=True) for p in left]
    periods[0]["from"] = year + 1
    paid = progress[~progress["status"].isin(UNDER_WAY)]["paid_yuan"].sum() if started else 0.0
    for name, pool in old.resources.items():
        supply = {p.from_: pool.supply[p.from_] for p in left}
        first = supply.pop(left[0].from_)
        if name == "capital":
            first = max(0.0, first - float(paid))  # without limit it is so large that it stays
        plain["resources"][name]["supply"] = {year + 1: first, **supply}
    options = plain.setdefault("options", {})
    planned, stands = _projects(before), _stands(case)
    asked = old.options.force
    force = [s for s in asked if s.type is None or stands.get(s.site) != s.type]  # not done yet
    options["force"] = [*force, *_committed(planned, progress, {(s.site, s.type) for s in asked})]
    options["ban"] = [*old.options.ban, *_dropped(planned, progress)]
    title = old.title.text
    return Scenario.model_validate(
        {
            **plain,
            "name": f"{old.name[:58]}-{year}",
            "title": {"zh": f"{title.zh}({year}年滚动)", "en": f"{title.en} (rolled to {year})"},
            "base_year": year,
            "periods": periods,
            "population": old.population.started(old.base_year).model_dump(
                mode="json", by_alias=True, exclude_unset=True
            ),
        }
    )


def _projects(run: Run) -> pd.DataFrame:
    """Projects of a plan by site, the first of each."""
    table: pd.DataFrame = run.tables["projects"].drop_duplicates("site_id").set_index("site_id")
    return table


def _stands(case: Case) -> dict[str, str]:
    """Facility type that stands at each site, blank where none does."""
    today = case.region.sites.set_index("site_id")["today"].fillna("").astype(str)
    return {str(site): type_ for site, type_ in today.items()}


def _committed(
    planned: pd.DataFrame, progress: pd.DataFrame, forced: Set[tuple[str, str | None]]
) -> list[dict[str, Any]]:
    """Orders to build what is under way or committed and not forced already."""
    found = []
    for row in progress[progress["status"].isin(UNDER_WAY)].sort_values("site_id").itertuples():
        project = planned.loc[row.site_id]
        if (row.site_id, project["type"]) in forced:
            continue
        places = row.places if np.isfinite(row.places) else project["places_resident"]
        spec = {"site": row.site_id, "type": project["type"], "by": int(project["period"])}
        found.append({**spec, "places": float(places)} if places > 0 else spec)
    return found


def _dropped(planned: pd.DataFrame, progress: pd.DataFrame) -> list[dict[str, Any]]:
    gone = sorted(progress[progress["status"] == "dropped"]["site_id"])
    return [{"site": s, "type": planned.loc[s, "type"]} for s in gone]


def _faults(before: Run, case: Case, progress: pd.DataFrame) -> tuple[Finding, ...]:
    found: list[Finding] = []
    old, year = before.scenario, case.base_year
    if year <= old.base_year:
        found.append(_fault("roll-not-later", Where(file="case.yaml", id="base_year"),
            Text(f"新案例的基准年 {year} 不晚于原规划的 {old.base_year}。", f"The new case's base year {year} is not after the plan's {old.base_year}."),
            Text("请使用下一年度的案例文件夹。", "Give the case folder of a later year.")))  # fmt: skip
    if year >= old.periods[-1].to:
        found.append(_fault("roll-beyond-plan", Where(file="case.yaml", id="base_year"),
            Text(f"基准年 {year} 已到规划期末 {old.periods[-1].to}。", f"The base year {year} is at or past the plan's end, {old.periods[-1].to}."),
            Text("请编制新的规划情景。", "Write a scenario for a new plan.")))  # fmt: skip
    planned, stands = _projects(before), _stands(case)
    for row in progress.itertuples():
        site, where = str(row.site_id), Where(file="progress.csv", id=str(row.site_id))
        if site not in stands:
            found.append(_fault("progress-unknown-site", where,
                Text("新案例中没有该地点。", "The new case has no such site."),
                Text("请核对地点编号,或在 sites.csv 中补列。", "Check the id, or list the site in sites.csv.")))  # fmt: skip
        elif site not in planned.index and row.status != "done":
            found.append(_fault("progress-without-project", where,
                Text("原规划在该地点没有项目。", "The earlier plan has no project at this site."),
                Text("请删除该行;计划外的在建项目写入情景的 options.force。", "Remove the row; name a project outside the plan in the scenario's options.force.")))  # fmt: skip
        elif row.status == "done" and not stands[site]:
            found.append(_fault("progress-not-standing", where,
                Text("进度表称已建成,但新名册中该地点没有设施。", "The progress table says done, but the new roll has no facility there."),
                Text("请在 sites.csv 的 today 与 homes.csv 中登记,或改为在建。", "Enter it in today of sites.csv and in homes.csv, or say under-way.")))  # fmt: skip
    return tuple(found)


def _fault(code: str, where: Where, what: Text, remedy: Text) -> Finding:
    return Finding(Rank.ERROR, code, where, what, remedy)


def _table(before: Run, case: Case, progress: pd.DataFrame, after: Run) -> pd.DataFrame:
    """One row a site that the earlier plan, the year or the new plan changed."""
    old, new = _projects(before), _projects(after)
    sites = case.region.sites.set_index("site_id")
    homes = case.region.homes.set_index("site_id")
    was = before.tables["sites"].query("year == @before.scenario.base_year").set_index("site_id")
    use = before.tables["use"].query(
        "year == @before.scenario.base_year and service == 'elderly.resident'"
    )
    earlier = use.groupby("site_id")["places"].sum().to_dict()
    told = progress.set_index("site_id")
    stands = _stands(case)
    moved = [s for s, t in stands.items() if s in was.index and t and t != was.loc[s, "state"]]
    rows = []
    for site in sorted({*old.index, *new.index, *moved}):
        here: dict[str, Any] = {"site_id": site}
        here |= {c: str(sites.loc[site, c]) if site in sites.index else "" for c in ("name_zh", "name_en", "township_id")}  # fmt: skip
        for prefix, table in (("planned", old), ("new", new)):
            for c in _PLANNED:
                blank: Any = "" if c == "type" else 0 if c == "period" else 0.0
                here[f"{prefix}_{c}"] = table.loc[site, c] if site in table.index else blank
        here["today"] = stands.get(site, "")
        here["today_places_resident"] = float(homes["places"].get(site, 0))
        here["today_places_day"] = float(homes["day_places"].get(site, 0)) if "day_places" in homes else 0.0  # fmt: skip
        here["paid_yuan"] = float(told["paid_yuan"].get(site, 0.0))
        is_done = site in old.index and here["today"] == here["planned_type"]
        if is_done and site in was.index and was.loc[site, "state"] == here["planned_type"]:
            # A home made larger or smaller stands as its type all along: its size tells.
            is_done = told["status"].get(site) == "done" or _resized(here, earlier.get(site, 0.0))
        here["status"] = str(told["status"].get(site, "done" if is_done else "open"))
        gap = {"resident": np.nan, "day": np.nan}
        if is_done:
            gap = {k: here[f"today_places_{k}"] - here[f"planned_places_{k}"] for k in gap}
        here |= {f"deviation_places_{k}": v for k, v in gap.items()}
        known = is_done and site in told.index
        here["deviation_yuan"] = here["paid_yuan"] - here["planned_capital_yuan"] if known else np.nan  # fmt: skip
        here["change"] = _change(here, is_done, site in old.index, site in new.index)
        rows.append(here)
    columns = [
        "site_id", "name_zh", "name_en", "township_id", *(f"planned_{c}" for c in _PLANNED), "status",
        "today", "today_places_resident", "today_places_day", "paid_yuan", "deviation_places_resident",
        "deviation_places_day", "deviation_yuan", *(f"new_{c}" for c in _PLANNED), "change",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _resized(here: Mapping[str, Any], earlier: float) -> bool:
    """Whether a home's places today are nearer to the planned size than to the earlier roll's."""
    today, planned = here["today_places_resident"], here["planned_places_resident"]
    return bool(abs(today - planned) < abs(today - earlier))


def _change(here: dict[str, Any], is_done: bool, was_planned: bool, is_planned: bool) -> str:
    if is_done:
        return "done"
    if not was_planned:
        return "added" if is_planned else "outside-plan"
    if not is_planned:
        return "dropped"
    if here["new_type"] != here["planned_type"]:
        return "other-type"
    if here["new_period"] != here["planned_period"]:
        return "rescheduled"
    sizes = ("places_resident", "places_day")
    same = all(abs(here[f"new_{c}"] - here[f"planned_{c}"]) < 0.5 for c in sizes)
    return "kept" if same else "resized"


def _figures(before: Run, after: Run) -> pd.DataFrame:
    """Indicators: as planned for the end of the period under way, today by the new roll, planned now."""
    year, base = after.scenario.periods[0].to, after.scenario.base_year
    was, now = (r.tables["indicators"] for r in (before, after))
    parts = {
        "planned": was[was["year"] == year], "today": now[now["year"] == base],
        "new": now[now["year"] == year],
    }  # fmt: skip
    table = was.drop_duplicates("indicator")[["indicator", "zh", "en", "unit"]].copy()
    for name, rows in parts.items():
        table[name] = table["indicator"].map(rows.set_index("indicator")["value"])
    table["year"] = year
    return table.reset_index(drop=True)


def _plain(progress: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"site_id": str(r.site_id), "status": str(r.status), "paid_yuan": float(r.paid_yuan)}
        for r in progress.sort_values("site_id").itertuples()
    ]
