"""``allocator catalogue``: norms shown, local against national, versions compared, changes costed."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer

from allocator.cli.show import AsJson, Language, Strict, chosen_language, findings, print_table
from allocator.errors import ExitCode, Finding, InputRefused, Rank, Text, Where

if TYPE_CHECKING:
    from allocator.catalogue import Catalogue, Standard
    from allocator.standards import Change

__all__ = ["catalogue_app"]

catalogue_app = typer.Typer(
    name="catalogue",
    help="The standards as data: show, check, diff, cost / 标准目录",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Folder = Annotated[
    Path | None, typer.Option("--catalogue", help="catalogue folder; default: the shipped one")
]
On = Annotated[str, typer.Option("--on", help="ISO date; default: today")]


def _date(text: str) -> str:
    if not text:
        return date.today().isoformat()
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        what = Text(f"“{text}”不是日期。", f"{text!r} is not a date.")
        remedy = Text("请写成 2026-01-31。", "Write it as 2026-01-31.")
        raise InputRefused((Finding(Rank.ERROR, "date-not-iso", Where(column="on"), what, remedy),)) from None  # fmt: skip


def _national(folder: Path | None) -> Catalogue:
    from allocator.io.paths import shipped
    from allocator.io.policy_files import read_policy

    return read_policy(folder if folder is not None else shipped("data/catalogue"))


def _standards(path: Path) -> tuple[Standard, ...]:
    from allocator.io.policy_files import read_standards

    return read_standards(path / "standards.csv" if path.is_dir() else path)


@catalogue_app.command()
def show(
    section: Annotated[
        list[str] | None, typer.Option(help="only these headings, such as 2.1")
    ] = None,
    on: On = "",
    catalogue: Folder = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Show the norms in force, each with basis, source and mark, and what is out of scope."""
    from allocator.standards import norm_table

    language, known = chosen_language(lang), _national(catalogue)
    table = norm_table(known, _date(on), language, section or None)
    print_table(table, as_json)
    if not as_json and not section:
        typer.echo("未纳入范围:" if language == "zh" else "Out of scope:")
        for item in known.out_of_scope:
            typer.echo(f"  {item.name.in_language(language)}: {item.reason.in_language(language)}")
    return int(ExitCode.PLAN)


@catalogue_app.command()
def check(
    local: Annotated[Path, typer.Argument(help="a county's standards.csv, or its folder")],
    on: On = "",
    catalogue: Folder = None,
    lang: Language = "",
    strict: Strict = False,
    as_json: AsJson = False,
) -> int:
    """Compare local norms with the national ones: value, unit, direction, group, dates."""
    from rich.console import Console

    from allocator.standards import below_national, check_local

    language = chosen_language(lang)
    found = check_local(_national(catalogue), _standards(local), _date(on))
    below = below_national(found)
    if as_json:
        data = {"below_national": len(below), "findings": [f.as_dict() for f in found]}
        typer.echo(json.dumps(data, ensure_ascii=False))
    else:
        findings(Console(width=160), found, language, most=1000)
        typer.echo(
            f"低于国家标准 {len(below)} 项" if language == "zh" else f"{len(below)} below national"
        )
    errors = any(f.rank is Rank.ERROR for f in found)
    warnings = any(f.rank is Rank.WARNING for f in found)
    return int(ExitCode.REFUSED if errors or (strict and warnings) else ExitCode.PLAN)


def _changes(
    old: Path, new: Path, on_old: str, on_new: str, known: Catalogue
) -> tuple[Change, ...]:
    from allocator.standards import diff

    return diff(
        _standards(old), _standards(new), known.groups, on_old=_date(on_old), on_new=_date(on_new)
    )


OnOld = Annotated[str, typer.Option("--on-old", help="date at which OLD is seen; default: today")]
OnNew = Annotated[str, typer.Option("--on-new", help="date at which NEW is seen; default: today")]


@catalogue_app.command(name="diff")
def difference(
    old: Annotated[Path, typer.Argument(help="standards.csv or folder")],
    new: Annotated[Path, typer.Argument(help="standards.csv or folder; may be the same")],
    on_old: OnOld = "",
    on_new: OnNew = "",
    catalogue: Folder = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """List what one version raises, lowers, adds, withdraws, widens or narrows against another."""
    language, known = chosen_language(lang), _national(catalogue)
    rows = [
        {
            "id": c.id,
            "title": c.title.in_language(language),
            "change": ", ".join(c.kinds),
            "old": f"{c.old.value:g} {c.old.unit} · {c.old.group}" if c.old else "",
            "new": f"{c.new.value:g} {c.new.unit} · {c.new.group}" if c.new else "",
        }
        for c in _changes(old, new, on_old, on_new, known)
    ]
    print_table(pd.DataFrame(rows, columns=["id", "title", "change", "old", "new"]), as_json)
    return int(ExitCode.PLAN)


@catalogue_app.command()
def cost(
    old: Annotated[Path, typer.Argument(help="standards.csv or folder")],
    new: Annotated[Path, typer.Argument(help="standards.csv or folder; may be the same")],
    people: Annotated[Path, typer.Option(help="CSV: group, year, persons")],
    share: Annotated[
        list[str] | None,
        typer.Option(
            help="payer=share, repeated; default: the catalogue's shares below the centre"
        ),
    ] = None,
    budget: Annotated[float | None, typer.Option(help="yuan a year")] = None,
    life: Annotated[float, typer.Option(help="years over which capital is spread")] = 30.0,
    on_old: OnOld = "",
    on_new: OnNew = "",
    catalogue: Folder = None,
    lang: Language = "",
    as_json: AsJson = False,
) -> int:
    """Say what the changes cost a year and payer, rank them, and what the budget carries."""
    from rich.console import Console

    from allocator.measures.adjustment import cost_of_changes, rank_changes

    language, known = chosen_language(lang), _national(catalogue)
    changes = _changes(old, new, on_old, on_new, known)
    table, found = cost_of_changes(changes, known, _read_people(people), _shares(share, known))
    ranked = rank_changes(table, budget, life)
    if as_json:
        data = {
            "cost": json.loads(table.to_json(orient="records", force_ascii=False)),
            "rank": json.loads(ranked.to_json(orient="records", force_ascii=False)),
            "findings": [f.as_dict() for f in found],
        }
        typer.echo(json.dumps(data, ensure_ascii=False))
        return int(ExitCode.PLAN)
    print_table(table, False)
    print_table(ranked, False)
    findings(Console(width=160), found, language)
    return int(ExitCode.PLAN)


def _read_people(path: Path) -> pd.DataFrame:
    from allocator.errors import refuse_if_any

    where = Where(file=path.name)
    remedy = Text(
        "需要 CSV,列:group, year, persons。", "A CSV with group, year, persons is needed."
    )
    if not path.is_file():
        what = Text("没有这个文件。", "The file is missing.")
        refuse_if_any([Finding(Rank.ERROR, "file-missing", where, what, remedy)])
    table = pd.read_csv(path, dtype={"group": str}, encoding="utf-8-sig")
    missing = [c for c in ("group", "year", "persons") if c not in table]
    numbers = [] if missing else [pd.to_numeric(table[c], errors="coerce") for c in ("year", "persons")]  # fmt: skip
    bad = [n for n in numbers if n.isna().any() or (n < 0).any()]
    if missing or bad:
        what = Text(
            f"缺少列 {missing}。" if missing else "年份或人数不是有效数字。",
            f"Columns missing: {missing}." if missing else "A year or a count is no number.",
        )
        refuse_if_any([Finding(Rank.ERROR, "people-unreadable", where, what, remedy)])
    return table


def _shares(given: list[str] | None, known: Catalogue) -> dict[str, float]:
    """Return payers' shares: those given, else the government's of the catalogue, made to sum to 1."""
    if not given:
        local = {f.id: f.share for f in known.funders.values() if f.kind == "government" and f.share > 0 and f.id != "central"}  # fmt: skip
        total = sum(local.values())
        return {p: s / total for p, s in local.items()}
    try:
        shares = {p: float(s) for p, s in (x.split("=", 1) for x in given)}
    except ValueError:
        raise typer.BadParameter("write payer=share, such as county=0.6") from None
    if abs(sum(shares.values()) - 1.0) > 1e-9 or min(shares.values()) < 0:
        raise typer.BadParameter(f"shares must sum to 1, they sum to {sum(shares.values()):g}")
    return shares
