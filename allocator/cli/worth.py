"""``allocator worth RUN``: what one more yuan, worker, site, place or person is worth to a plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from allocator.cli.show import AsJson, Language, chosen_language, console_for, number, say

if TYPE_CHECKING:
    from allocator.report.words import Names
    from allocator.run import Run
    from allocator.shadow import Worth

__all__ = ["worth"]


def worth(
    run: Annotated[Path, typer.Argument(help="run folder of the plan")],
    most: Annotated[int, typer.Option(min=1, max=1000, help="places and areas shown")] = 10,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Shadow prices: what more money, workers, places are worth, and what other budgets can reach at best."""
    from allocator.io.runs import read_run
    from allocator.report.words import Names
    from allocator.shadow import worth_of

    language, console = chosen_language(lang), console_for(as_json)
    done = read_run(run)
    with console.status(say(language, "求边际效益…", "seeking prices…")):
        found = worth_of(done.problem, done.plan)
    if as_json:
        tables = {k: getattr(found, k).to_dict("records") for k in ("resources", "budgets", "places", "people")}  # fmt: skip
        head = {"unit": found.unit, "value": found.value, "bound": found.bound}
        print(json.dumps({**head, **tables}, ensure_ascii=False))
        return 0
    names = Names([done], None)
    objective = done.problem.objectives[0]
    words = objective.words.in_language(language)
    console.print(
        say(
            language,
            f"首要目标“{words}”:{found.value:,.1f},已证明不可能低于 {found.bound:,.1f}。以下各值为该目标的减少量。",
            f"First objective, {words}: {found.value:,.1f}, proved not below {found.bound:,.1f}. Figures below are how much lower it gets.",
        ),
        highlight=False,
    )
    console.print(_what_holds_back(found, language), highlight=False)
    console.print(_resources(found, language))
    console.print(_budgets(found, language))
    console.print(_places(found, names, language, most))
    console.print(_people(found, names, language, most, done))
    return 0


def _what_holds_back(found: Worth, language: str) -> str:
    """One sentence: the pools of which more would help, and those of which more alone would not."""
    by_pool = found.by_pool
    matters = [_pool(str(p), language) for p in by_pool[by_pool > 1e-3 * abs(found.value)].index]
    idle = [_pool(str(p), language) for p in by_pool[by_pool <= 1e-3 * abs(found.value)].index]
    comma = say(language, "、", ", ")
    parts = []
    if matters:
        parts.append(
            say(
                language,
                f"制约本方案的是{comma.join(matters)}。",
                f"What holds this plan back: {comma.join(matters)}.",
            )
        )
    if idle:
        parts.append(
            say(
                language,
                f"单独增加{comma.join(idle)}几乎没有作用。",
                f"More of these alone would hardly change it: {comma.join(idle)}.",
            )
        )
    return say(language, "", " ").join(parts)


def _titled(title: str, columns: list[tuple[str, str]], language: str) -> Table:
    """A table whose first column is text and the others figures."""
    table = Table(title=title, title_justify="left")
    for n, (zh, en) in enumerate(columns):
        table.add_column(say(language, zh, en), justify="left" if n == 0 else "right")
    return table


def _pool(pool: str, language: str) -> str:
    from allocator.report.words import POOLS, word

    sites = say(language, "设施处数", "Number of sites")
    return sites if pool == "sites" else word(POOLS, pool).in_language(language)


def _amount(pool: str, value: float, language: str) -> str:
    return number(value, "yuan" if pool in ("capital", "running") else "", language)


def _resources(found: Worth, language: str) -> Table:
    table = _titled(
        say(language, "边际效益:再增加一份资源值多少", "What one more step of a resource is worth"),
        [("资源", "Resource"), ("时期", "Period"), ("现有限额", "Limit"), ("一份", "One step"),
         ("约减少", "Lower by about"), ("至多减少(已证明)", "Lower by at most (proved)")],
        language,
    )  # fmt: skip
    for row in found.resources.to_dict("records"):
        pool = str(row["pool"])
        table.add_row(
            _pool(pool, language), str(row["period"]), _amount(pool, row["supply"], language),
            _amount(pool, row["step"], language), _fine(row["worth"]), _fine(row["at_most"]),
        )  # fmt: skip
    return table


def _budgets(found: Worth, language: str) -> Table:
    table = _titled(
        say(language, "限额改变后目标不可能低于", "With another limit the objective cannot be below"),
        [("资源", "Resource"), ("各期限额变动", "Change in all periods"), ("不低于(已证明)", "Not below (proved)")],
        language,
    )  # fmt: skip
    for row in found.budgets.to_dict("records"):
        table.add_row(
            _pool(str(row["pool"]), language), f"{row['change']:+.0%}", f"{row['bound']:,.1f}"
        )
    return table


def _places(found: Worth, names: Names, language: str, most: int) -> Table:
    table = _titled(
        say(language, "何处再添一个床位(名额)最有用", "Where one more place is worth most"),
        [("地点", "Site"), ("时期", "Period"), ("约减少", "Lower by about")],
        language,
    )
    top = found.places.sort_values(["worth", "site_id", "period"], ascending=[False, True, True])
    for row in top[top["worth"] > 0].head(most).to_dict("records"):
        site = names.site(str(row["site_id"])).in_language(language)
        table.add_row(site, str(row["period"]), _fine(row["worth"]))
    return table


def _people(found: Worth, names: Names, language: str, most: int, done: Run) -> Table:
    """By township: the mean over its areas, by need."""
    from allocator.report.words import SERVICES, word

    table = _titled(
        say(language, "何处每一人的需求最难满足", "Where a person's need weighs most"),
        [("乡镇", "Township"), ("服务", "Service"), ("时期", "Period"), ("需求", "In need"),
         ("每少一人约减少", "Lower by about, a person less")],
        language,
    )  # fmt: skip
    towns = done.tables["townships"].drop_duplicates("township_id").set_index("township_id")
    called = towns["name_zh" if language == "zh" else "name_en"]
    points = done.tables["areas"].drop_duplicates("point").sort_values("point")["township_id"]
    # Points are areas in their order; after them come residents of today's homes, who have a place.
    home = dict(zip(done.problem.areas, points, strict=False))
    people = found.people.assign(
        township=found.people["area_id"].map(home),
        total=found.people["need"] * found.people["worth"],
    )
    whole = people.groupby(["township", "service", "period"], as_index=False)[
        ["need", "total"]
    ].sum()
    whole["worth"] = whole["total"] / whole["need"]
    top = whole.sort_values(["worth", "need", "township"], ascending=[False, False, True])
    for row in top[top["worth"] > 0].head(most).to_dict("records"):
        town = str(called.get(row["township"]) or row["township"])
        service = word({**SERVICES, **names.services}, str(row["service"])).in_language(language)
        table.add_row(town, service, str(row["period"]), f"{row['need']:,.0f}", _fine(row["worth"]))
    return table


def _fine(value: float) -> str:
    """A worth to three figures: it may be a small part of a person."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
