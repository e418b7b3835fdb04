"""``allocator project``: a country or region from UN-style tables, projected."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated

import typer

from allocator.errors import InputRefused, Rank, Text
from allocator.io.un import read_un_folder, write_table
from allocator.population.un import project_un

__all__ = ["project"]

_RANKS = {
    Rank.ERROR: Text("错误", "error"),
    Rank.WARNING: Text("注意", "warning"),
    Rank.INFORMATION: Text("说明", "note"),
}


def project(
    folder: Annotated[
        Path, typer.Argument(help="Folder with population_5x5.csv and so on / 数据文件夹")
    ],
    out: Annotated[Path, typer.Option("--out", help="CSV to write / 输出文件")],
    from_: Annotated[int, typer.Option("--from", help="Base year, 1 July / 基年")] = 2020,
    to: Annotated[int, typer.Option("--to", help="Last year / 末年")] = 2050,
    variant: Annotated[
        str, typer.Option("--variant", help="low, medium or high / 方案")
    ] = "medium",
    profile: Annotated[
        str, typer.Option("--profile", help="Ages of migrants: model or residual / 迁移年龄模式")
    ] = "model",
    flows: Annotated[
        Path | None,
        typer.Option("--flows", help="CSV of births, deaths, migrants, balance / 平衡表"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Summary as JSON / 以 JSON 输出摘要")
    ] = False,
    lang: Annotated[
        str, typer.Option("--lang", help="zh or en", show_default="of the system")
    ] = "",
) -> None:
    """Project a population by cohort components, without reading any later population."""
    from allocator.cli.show import language_of

    language = language_of(["--lang", lang] if lang else [])
    try:
        found = project_un(
            read_un_folder(folder), start=from_, to=to, variant=variant, profile=profile
        )
        write_table(found.table, out)
        if flows is not None:
            write_table(found.flows, flows)
    except InputRefused as refused:
        if as_json:
            typer.echo(
                json_text.dumps(
                    {"findings": [f.as_dict() for f in refused.findings]}, ensure_ascii=False
                )
            )
        else:
            typer.echo(refused.text(language), err=True)
        raise typer.Exit(int(refused.exit_code)) from refused
    total = found.table.groupby("year")[["pop_m", "pop_f"]].sum().sum(axis=1)
    miss = float(found.flows["imbalance"].abs().max()) if len(found.flows) else 0.0
    if as_json:
        summary = {
            "out": str(out),
            "variant": variant,
            "total_thousand": dict(zip(map(int, total.index), total.round(3), strict=True)),
            "imbalance_thousand": miss,
            "findings": [f.as_dict() for f in found.findings],
        }
        typer.echo(json_text.dumps(summary, ensure_ascii=False))
        return
    for finding in found.findings:
        word = _RANKS.get(finding.rank, _RANKS[Rank.ERROR]).in_language(language)
        typer.echo(f"{word}: {finding.line(language)}", err=True)
    first, last = int(total.index[0]), int(total.index[-1])
    start, end = f"{total.iloc[0]:,.0f}", f"{total.iloc[-1]:,.0f}"
    done = Text(
        f"{out}:{first} 年 {start} 千人 → {last} 年 {end} 千人({variant});平衡误差 {miss:.0e} 千人",
        f"{out}: {first} {start} -> {last} {end} thousand, {variant}; balance to {miss:.0e} thousand",
    )
    typer.echo(done.in_language(language))
