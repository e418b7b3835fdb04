"""``allocator alternatives RUN`` and ``allocator price CASE SCENARIO``: what a panel asks beside a plan."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import typer
from rich.table import Table

from allocator.cli.show import AsJson, Language, chosen_language, console_for, number, say
from allocator.errors import Text, plural

if TYPE_CHECKING:
    from allocator.alternatives import NearPlans
    from allocator.report.words import Names
    from allocator.run import Run
    from allocator.scenario import ForceSpec

__all__ = ["alternatives", "price"]

Orders = Annotated[list[str] | None, typer.Option(help="SITE, SITE:TYPE or SITE:TYPE:PLACES")]
_POOL_UNITS = {"capital": "yuan", "running": "yuan/year"}
_STATES = {
    "closed": Text("关停", "closed"),
    "absent": Text("未建", "not built"),
}
_ANSWERS = {
    "yes": Text("是(已证明)", "yes, proved"),
    "no": Text("否", "no"),
    "open": Text("未定", "not settled"),
}


def alternatives(
    run: Annotated[Path, typer.Argument(help="a run folder")],
    count: Annotated[int, typer.Option(min=0, max=50, help="how many plans at most")] = 3,
    sites: Annotated[
        int, typer.Option(min=1, help="least number of sites that differ, from each other too")
    ] = 1,
    loss: Annotated[
        float, typer.Option(min=0, max=1, help="how much worse an objective may be, a share")
    ] = 0.01,
    shared: Annotated[
        bool, typer.Option(help="say which sites are in every plan within the loss, with proof")
    ] = False,
    kept: Annotated[
        bool, typer.Option(help="with --shared: facilities that stay as they are as well")
    ] = False,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Find plans nearly as good as a stored one, and the sites that none of them does without."""
    from allocator.alternatives import near_plans, shared_sites
    from allocator.io.runs import read_run
    from allocator.report.words import Names

    language, stored = chosen_language(lang), read_run(run)
    console = console_for(as_json)
    with console.status(say(language, "求解备选方案…", "solving…")) as status:
        near = near_plans(stored, count=count, sites=sites, loss=loss)
        proofs = None
        if shared:
            proofs = shared_sites(
                stored, near, loss=loss, kept=kept, progress=lambda site: status.update(site)
            )
    if as_json:
        print(json.dumps(_plain(near, proofs), ensure_ascii=False))
        return 0
    names = Names([stored], None)
    console.print(_plans_table(stored, near, loss, language, names))
    for n in range(1, len(near.plans) + 1):
        console.print(_changes_table(near, n, language, names))
    if len(near.plans) < count:
        console.print(
            say(
                language,
                f"在损失{loss:.2%}以内、至少{sites}处不同的其他方案只找到{len(near.plans)}个。",
                f"Only {plural(len(near.plans), 'other plan was', 'other plans were')} found within {loss:.2%} that differ at {plural(sites, 'site')} or more.",
            ),
            highlight=False,
        )
    if proofs is not None:
        console.print(_proof_table(proofs, loss, language, names))
    return 0


def _plain(near: NearPlans, proofs: pd.DataFrame | None) -> dict[str, Any]:
    found = {"plans": _records(near.table), "changes": _records(near.changes)}
    return found if proofs is None else {**found, "shared": _records(proofs)}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain data; what is not a finite number is null."""
    return [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in table.to_dict("records")
    ]


def _figure_columns(columns: pd.Index, language: str, names: Names) -> dict[str, tuple[str, str]]:
    """Heading and unit of each figure of a plan, by column."""
    from allocator.report.words import POOLS, word

    found: dict[str, tuple[str, str]] = {}
    for column in columns:
        kind, _, service = str(column).partition(":")
        if kind in ("places", "served"):
            what = Text("名额", "places") if kind == "places" else Text("获得服务", "served")
            name = names.service(service).in_language(language)
            found[column] = f"{name} {what.in_language(language)}", "person"
        elif kind in POOLS and not service:
            found[column] = word(POOLS, kind).in_language(language), _POOL_UNITS.get(kind, "")
    return found


def _plans_table(run: Run, near: NearPlans, loss: float, language: str, names: Names) -> Table:
    title = say(
        language,
        f"近似同优方案(各目标损失不超过{loss:.2%};末期数)",
        f"Plans nearly as good (each objective within {loss:.2%}; figures of the last period)",
    )
    table = Table(title=title)
    table.add_column(say(language, "指标", "Measure"), min_width=16)
    own = say(language, "本方案", "This plan")
    for n in near.table["plan"]:
        table.add_column(
            own if n == 0 else say(language, f"备选{n}", f"Other {n}"), justify="right"
        )
    rows: dict[str, tuple[str, str]] = {
        "sites": (say(language, "与本方案不同的地点", "Sites that differ"), ""),
        "worse": (say(language, "目标损失", "Loss"), "share"),
    } | _figure_columns(near.table.columns, language, names)
    for column, (heading, unit) in rows.items():
        cells = [
            f"{v:+.3%}" if column == "worse" else number(float(v), unit, language)
            for v in near.table[column]
        ]
        table.add_row(heading, *cells)
    table.caption = say(
        language, f"本方案求解精度 {run.plan.gap:.3%}", f"gap of this plan {run.plan.gap:.3%}"
    )
    return table


def _state(names: Names, id: str, language: str) -> str:
    known = _STATES.get(id)
    return (known or names.type(id)).in_language(language)


def _changes_table(near: NearPlans, n: int, language: str, names: Names) -> Table:
    table = Table(title=say(language, f"备选{n}:与本方案不同之处", f"Other {n}: where it differs"))
    for zh, en in (
        ("地点", "Site"),
        ("时期", "Period"),
        ("本方案", "This plan"),
        ("备选", "Other"),
    ):
        table.add_column(say(language, zh, en))
    for row in near.changes[near.changes["plan"] == n].itertuples():
        table.add_row(
            names.site(str(row.site_id)).in_language(language), str(row.period),
            _state(names, str(row.own), language), _state(names, str(row.other), language),
        )  # fmt: skip
    return table


def _proof_table(proofs: pd.DataFrame, loss: float, language: str, names: Names) -> Table:
    title = say(
        language,
        f"首要目标损失{loss:.2%}以内的所有方案是否都有该点",
        f"Is the site in every plan within {loss:.2%} of the first objective?",
    )
    table = Table(title=title)
    for zh, en in (("地点", "Site"), ("设施", "Facility"), ("都有", "In every plan")):
        table.add_column(say(language, zh, en))
    table.add_column(say(language, "没有它至少损失", "Without it at least"), justify="right")
    for row in proofs.itertuples():
        worse = float(str(row.worse_without))
        cell = "—" if math.isnan(worse) else "∞" if math.isinf(worse) else f"{worse:+.2%}"
        table.add_row(
            names.site(str(row.site_id)).in_language(language),
            _state(names, str(row.option), language),
            _ANSWERS[str(row.in_every)].in_language(language), cell,
        )  # fmt: skip
    return table


def price(
    folder: Annotated[Path, typer.Argument(help="case folder")],
    scenario: Annotated[Path, typer.Argument(help="scenario file")],
    force: Orders = None,
    ban: Orders = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Price orders on named sites: how much dearer the plan gets, and how many fewer it serves.

    Every site that the scenario forces or bans is priced, and every one given here.
    """
    from allocator.alternatives import order_prices
    from allocator.io.case import read_case
    from allocator.io.scenarios import read_scenarios
    from allocator.report.words import Names

    language = chosen_language(lang)
    (wanted,) = read_scenarios(scenario.parent, [scenario.stem])
    asked = [_order(text, "--force") for text in force or ()]
    refused = [_order(text, "--ban") for text in ban or ()]
    if not (asked or refused or wanted.options.force or wanted.options.ban):
        raise typer.BadParameter(
            "the scenario has no order: name a site / 情景中没有指定或禁止的地点,请给出地点",
            param_hint="--force, --ban",
        )
    case = read_case(folder)
    console = console_for(as_json)
    with console.status(say(language, "求解…", "solving…")) as status:
        table = order_prices(
            case, wanted, force=asked, ban=refused, progress=lambda text: status.update(text)
        )
    if as_json:
        print(json.dumps(_records(table), ensure_ascii=False))
        return 0
    names = Names([], case.catalogue)
    sites = case.region.sites.set_index("site_id")
    for row in sites.itertuples():
        zh = str(row.name_zh) or str(row.Index)
        names.sites[str(row.Index)] = Text(zh, str(row.name_en) or zh)
    for _, rows in table.groupby(["order", "site_id", "type"], sort=False):
        console.print(_price_table(rows, language, names))
    return 0


def _order(text: str, option: str) -> ForceSpec:
    """Return the order that ``SITE``, ``SITE:TYPE`` or ``SITE:TYPE:PLACES`` stands for."""
    from allocator.scenario import ForceSpec

    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise typer.BadParameter("SITE, SITE:TYPE or SITE:TYPE:PLACES", param_hint=option)
    try:
        places = float(parts[2]) if len(parts) == 3 else None
        return ForceSpec(site=parts[0], type=parts[1] or None if len(parts) > 1 else None, places=places)  # fmt: skip
    except ValueError as problem:
        raise typer.BadParameter(f"places: {parts[2]}", param_hint=option) from problem


def _price_table(rows: pd.DataFrame, language: str, names: Names) -> Table:
    """One order: each objective's difference with what is proved of it, then figures."""
    from allocator.report.words import UNITS, objective_name, word

    first = rows.iloc[0]
    kind = say(language, "指定", "Forced") if first["order"] == "force" else say(language, "禁止", "Banned")  # fmt: skip
    site = names.site(str(first["site_id"])).in_language(language)
    type_ = names.type(str(first["type"])).in_language(language) if first["type"] else ""
    table = Table(title=f"{kind} {site} {type_}".rstrip())
    table.add_column(say(language, "点名方案代价", "Price of the order"), min_width=24)
    table.add_column(say(language, "有此要求 - 无此要求", "with it - without it"), justify="right")
    table.add_column(say(language, "已证明的区间", "proved between"), justify="right")
    if first["possible"] != "yes":
        none = say(language, "没有可行方案", "no plan keeps it")
        late = say(language, "限额内未找到方案", "no plan found within the limit")
        why = str(first.get(f"why_{language}") or "")
        table.add_row(none if first["possible"] == "no" else late, why, "")
        return table
    for _, row in rows.iterrows():
        name = objective_name(str(row["objective"])).in_language(language)
        unit = word(UNITS, str(row["unit"])).in_language(language)
        cell = [
            number(float(row[c]), str(row["unit"]), language) for c in ("worse", "least", "most")
        ]
        table.add_row(
            f"{name} ({unit})", cell[0], say(language, f"{cell[1]} 至 {cell[2]}", f"{cell[1]} to {cell[2]}"),
        )  # fmt: skip
    for column, (heading, unit) in _figure_columns(rows.columns, language, names).items():
        table.add_row(heading, number(float(first[column]), unit, language), "")
    return table
