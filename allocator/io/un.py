"""Folders in the tidy layout of the UN's five-year tables, in; projections, out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from allocator.errors import Finding, InputRefused, Rank, Text, Where, nearest
from allocator.io.findings import refusal
from allocator.io.paths import write_bytes
from allocator.io.rates import read_rate_table, shipped_rates
from allocator.population.un import UN_TABLES

__all__ = ["read_un_folder", "write_table"]


def read_un_folder(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the tables a folder has, by name, with the models that stand in for missing ones.

    Raises
    ------
    InputRefused
        When the folder is not there or holds no table of the layout, or a table is unreadable.
    """
    if not folder.is_dir():
        raise _refuse(folder.name, "没有这个文件夹。", "There is no such folder.", _expected())
    present = sorted(folder.glob("*.csv"))
    tables = {p.stem: read_rate_table(p) for p in present if p.stem in UN_TABLES}
    if not tables:
        inside = sorted(p.parent.name for p in folder.glob("*/population_5x5.csv"))
        hint = _expected()
        if inside:
            names = ", ".join(inside)
            hint = Text(f"请选其中一国:{names}。", f"Choose one country inside it: {names}.")
        zh, en = "没有所需的表。", "It holds none of the tables of the layout."
        raise _refuse(folder.name, zh, en, hint)
    for path in present:
        near = nearest(path.stem, [n for n in UN_TABLES if n not in tables])
        if path.stem not in UN_TABLES and near and near == "population_5x5":
            zh, en = f"是否应为 {near}.csv?", f"Should it be {near}.csv?"
            raise _refuse(path.name, zh, en, Text("请改名。", "Rename it."))
    for name in ("model_mortality", "model_fertility"):
        tables[name] = read_rate_table(shipped_rates() / f"{name}.csv")
    return tables


def _expected() -> Text:
    names = ", ".join(f"{n}.csv" for n in UN_TABLES)
    return Text(f"需要:{names}(迁移表可缺)。", f"Wanted: {names} (the last may be missing).")


def _refuse(file: str, zh: str, en: str, remedy: Text) -> InputRefused:
    where = Where(file=file)
    return InputRefused((Finding(Rank.ERROR, "un-folder", where, Text(zh, en), remedy),))


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Write a table as CSV, whole or not at all, and return the path.

    Raises
    ------
    InputRefused
        When the folder is not there or the place cannot be written to; an older file stays.
    """
    if not path.parent.is_dir():
        raise refusal(
            "folder-missing",
            Where(file=str(path.parent)),
            ("没有这个文件夹。", "There is no such folder to write to."),
            ("请先建立,或另选 --out。", "Make it first, or choose another --out."),
        )
    written = write_bytes(path, table.to_csv(index=False, lineterminator="\n").encode("utf-8"))
    written.chmod(0o644)
    return written
