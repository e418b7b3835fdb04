"""The rate tables the package ships, and those of a case folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from allocator.errors import Finding, InputRefused, Rank, Text, Where

__all__ = ["read_rate_table", "read_rates", "shipped_rates"]

_PACKAGE = Path(__file__).parents[1]


def shipped_rates() -> Path:
    """Return the folder of the shipped rates: in the wheel, or beside the package in a checkout."""
    for folder in (_PACKAGE / "shipped" / "data" / "rates", _PACKAGE.parent / "data" / "rates"):
        if folder.is_dir():
            return folder
    what = Text("找不到随包的参数表。", "The shipped rate tables are not there.")
    remedy = Text("请重新安装本软件。", "Install the package again.")
    raise InputRefused(
        (Finding(Rank.ERROR, "rates-missing", Where(file="data/rates"), what, remedy),)
    )


def read_rate_table(path: Path) -> pd.DataFrame:
    """Read one table: UTF-8, blanks as missing, words kept as they stand.

    Raises
    ------
    InputRefused
        When the file cannot be read, is no UTF-8 table, or holds no row.
    """
    try:
        table = pd.read_csv(path, encoding="utf-8-sig", na_values=[""], keep_default_na=False)
    except (OSError, ValueError) as problem:  # undecodable bytes and broken tables are ValueErrors
        what = Text("无法读取该表。", f"The table cannot be read: {_short(problem)}.")
        remedy = Text("请存为 UTF-8 的 CSV。", "Save it as a CSV table in UTF-8.")
        where = Where(file=path.name)
        raise InputRefused(
            (Finding(Rank.ERROR, "unreadable-table", where, what, remedy),)
        ) from problem
    table.columns = pd.Index([str(c).strip() for c in table.columns])
    if table.empty:
        what = Text("表中没有数据行。", "The table has no rows.")
        remedy = Text("请补充数据或删除该文件。", "Fill it, or take the file away.")
        where = Where(file=path.name)
        raise InputRefused((Finding(Rank.ERROR, "empty-table", where, what, remedy),))
    return table


def read_rates(folder: Path | None = None) -> dict[str, pd.DataFrame]:
    """Read rate tables by name: the shipped ones, each replaced by one of the folder if it has it.

    Parameters
    ----------
    folder
        A case's ``rates`` folder; None reads the shipped tables alone.
    """
    tables = {p.stem: read_rate_table(p) for p in sorted(shipped_rates().glob("*.csv"))}
    if folder is not None and folder.is_dir():
        tables |= {p.stem: read_rate_table(p) for p in sorted(folder.glob("*.csv"))}
    return tables


def _short(problem: Exception) -> str:
    """First line of a message, without the path of this machine."""
    if isinstance(problem, OSError):
        return problem.strerror or "no access"
    return str(problem).splitlines()[0][:120].rstrip(".")
