"""Rate tables: those the package ships, and those of a case in their place, file by file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from allocator.errors import Finding, InputRefused, Where
from allocator.io.findings import data_gap, refusal
from allocator.io.paths import digest_of_file, inside, shipped
from allocator.io.tables import read_grid

__all__ = ["RATE_TABLES", "read_case_rates", "read_rate_table", "read_rates", "shipped_rates"]

RATE_TABLES = {
    "care_modes": "照护方式", "definitions": "失能定义", "destitute": "特困比例", "fertility": "生育率", "income": "收入",
    "living_alone": "独居比例", "migration": "迁移率", "model_fertility": "生育模式", "model_mortality": "模型生命表",
    "mortality": "死亡率", "need": "失能率", "priorities": "优先次序", "service_days": "服务天数", "service_rates": "服务频次",
    "standard_population": "标准人口", "uncertainty": "不确定范围", "willingness": "意愿曲线",
}  # fmt: skip
"""Rate tables by file stem, in Chinese words."""

_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,14})")
_NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def shipped_rates() -> Path:
    """Return the folder of the shipped rates: in the wheel, or beside the package in a checkout."""
    folder = shipped("data/rates")
    if not folder.is_dir():
        raise refusal(
            "rates-missing",
            Where(file="data/rates"),
            ("找不到随包的参数表。", "The shipped rate tables are not there."),
            ("请重新安装本软件。", "Install the package again."),
        )
    return folder


def read_rates(folder: Path | None = None) -> dict[str, pd.DataFrame]:
    """Return rate tables by file stem: the shipped ones, each replaced by one of the folder.

    Parameters
    ----------
    folder
        A folder of rate tables; None reads the shipped ones alone.
    """
    tables = {p.stem: read_rate_table(p) for p in sorted(shipped_rates().glob("*.csv"))}
    if folder is not None and folder.is_dir():
        tables |= {p.stem: read_rate_table(p) for p in sorted(folder.glob("*.csv"))}
    return tables


def read_case_rates(
    folder: Path, encoding: str = "utf-8"
) -> tuple[dict[str, pd.DataFrame], dict[str, str], list[Finding]]:
    """Return the rate tables of a case by file stem, digests of the files read, and what was found.

    A table of the case's ``rates`` folder takes the place of the shipped one of that name; for the
    others a data gap is noted. Every file at fault is told.
    """
    tables: dict[str, pd.DataFrame] = {}
    digests: dict[str, str] = {}
    found: list[Finding] = []
    own, base = folder / "rates", shipped_rates()
    local = sorted(p.name for p in own.glob("*.csv")) if own.is_dir() else []
    defaults = sorted(p.name for p in base.glob("*.csv"))
    for name in sorted({*local, *defaults}):
        try:
            path = inside(folder, f"rates/{name}") if name in local else base / name
            used = encoding if name in local else "utf-8"
            tables[name.removesuffix(".csv")] = read_rate_table(path, used, f"rates/{name}")
            digests[f"rates/{name}"] = digest_of_file(path)
        except InputRefused as refused:
            found += refused.findings
    missing = [n.removesuffix(".csv") for n in defaults if n not in local]
    if missing:
        zh = "、".join(RATE_TABLES.get(n, n) for n in missing)
        en = ", ".join(n.replace("_", " ") for n in missing)
        found.append(
            data_gap(
                "rates",
                Where(file="rates"),
                (f"没有本地参数表:{zh}。", f"there are no local rates for {en}."),
                ("使用随附的缺省参数。", "The shipped defaults stand in."),
            )
        )
    return tables, digests, found


def read_rate_table(path: Path, encoding: str = "utf-8", name: str = "") -> pd.DataFrame:
    """Return a CSV file whose columns are declared by the room that uses it.

    A column whose every filled cell is a number becomes numbers (blank: NaN), any other text; so
    are codes with leading zeros.

    Raises
    ------
    InputRefused
        When the file as a whole cannot be read or holds no row; see `tables.read_grid`.
    """
    grid = read_grid(path, encoding=encoding, name=name)
    errors = tuple(f for f in grid.findings if f.rank == "error")
    if errors:
        raise InputRefused(errors)
    return pd.DataFrame(
        {
            h: _typed([c.strip() for c in cells])
            for h, cells in zip(grid.headers, grid.columns, strict=True)
        }
    )


def _typed(cells: list[str]) -> pd.Series:
    filled = [c for c in cells if c]
    if filled and all(_INTEGER.fullmatch(c) for c in filled) and len(filled) == len(cells):
        return pd.Series(np.array([int(c) for c in cells], dtype=np.int64))
    if filled and all(_NUMBER.fullmatch(c) for c in filled):
        return pd.Series([float(c) if c else np.nan for c in cells])
    return pd.Series(cells, dtype="str")
