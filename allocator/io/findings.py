"""How readers tell what they found, and the file that holds all of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

from allocator.errors import Finding, InputRefused, Rank, Text, Where
from allocator.io.paths import write_bytes

__all__ = [
    "data_gap",
    "error",
    "library_missing",
    "notice",
    "refusal",
    "too_many_rows",
    "warning",
    "write_findings",
]

Words = tuple[str, str]
"""A sentence as (zh, en)."""


def error(code: str, where: Where, what: Words, remedy: Words) -> Finding:
    """Return a finding that stops the work."""
    return Finding(Rank.ERROR, code, where, Text(*what), Text(*remedy))


def warning(code: str, where: Where, what: Words, remedy: Words) -> Finding:
    """Return a finding to look at; the work goes on."""
    return Finding(Rank.WARNING, code, where, Text(*what), Text(*remedy))


def notice(code: str, where: Where, what: Words, remedy: Words) -> Finding:
    """Return a finding kept for the record."""
    return Finding(Rank.INFORMATION, code, where, Text(*what), Text(*remedy))


def data_gap(name: str, where: Where, what: Words, default: Words) -> Finding:
    """Return an entry of the list of data gaps (数据缺口清单): what is missing, what stands in."""
    return Finding(
        Rank.INFORMATION,
        f"data-gap-{name}",
        where,
        Text(f"数据缺口:{what[0]}", f"Data gap: {what[1]}"),
        Text(*default),
    )


def library_missing(name: str, where: Where) -> Finding:
    """Return the error that a library of the extra ``geo`` is wanted and not there."""
    return error(
        "library-missing",
        where,
        (f"未安装 {name}。", f"The library {name} is not installed."),
        (
            '请安装:pip install "service-allocator[geo]"。',
            'Install it: pip install "service-allocator[geo]".',
        ),
    )


def too_many_rows(where: Where, most: int) -> Finding:
    """Return the error that a table, sheet or layer has more than ``most`` rows."""
    return error(
        "too-many-rows",
        where,
        (f"超过{most:,}行。", f"There are more than {most:,} rows."),
        ("请拆分,并删去空行。", "Split it, and delete rows that are blank."),
    )


def refusal(code: str, where: Where, what: Words, remedy: Words) -> InputRefused:
    """Return the error that carries one fault."""
    return InputRefused((error(code, where, what, remedy),))


def write_findings(path: Path, findings: Iterable[Finding]) -> Path:
    """Write all findings to ``path``: JSON, or a table where the name ends in ``.csv``.

    The table is UTF-8 with a byte-order mark, so that a spreadsheet shows Chinese.
    """
    rows = [f.as_dict() for f in findings]
    if path.suffix.lower() != ".csv":
        text = json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
        return write_bytes(path, text.encode("utf-8"))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    head = ["rank", "code", "file", "sheet", "row", "column", "id"]
    writer.writerow([*head, "what_zh", "what_en", "remedy_zh", "remedy_en"])
    for row in rows:
        what, remedy = row["what"], row["remedy"]
        assert isinstance(what, dict) and isinstance(remedy, dict)
        cells = [row[h] for h in head] + [what["zh"], what["en"], remedy["zh"], remedy["en"]]
        writer.writerow([neutralised(c) if isinstance(c, str) else c for c in cells])
    return write_bytes(path, b"\xef\xbb\xbf" + out.getvalue().encode("utf-8"))


def neutralised(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: a leading ``'`` where it could.

    Texts that already begin with ``'`` get one more, so that `restored` gives every text back.
    """
    return f"'{text}" if text[:1] in _FORMULA_STARTS else text


def restored(text: str) -> str:
    """Return the text that `neutralised` was given."""
    return text[1:] if text[:1] == "'" and text[1:2] in _FORMULA_STARTS and text[1:2] else text


_FORMULA_STARTS = tuple("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")
