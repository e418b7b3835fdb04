"""The report's tables as an Excel workbook: text never a formula, totals live, a dictionary inside."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from allocator.errors import Text
from allocator.report.cells import Cell, Quantity, plain, written
from allocator.report.document import Document, Table
from allocator.run import Run

__all__ = ["write"]

FORMATS = {
    "count": "#,##0", "people": "#,##0", "people1": "#,##0.0", "share": "0.0%", "change": "+0.0%;-0.0%;0.0%",
    "money": "#,##0.0", "yuan": "#,##0.0", "minutes": "#,##0.0", "decimal": "#,##0.0", "index": "0.000", "year": "0",
    "gap": "0.000%", "exact": "General",
}  # fmt: skip
SHEETS: Mapping[str, str] = {
    "indicators": "指标表", "projects": "项目库", "payers": "资金筹措", "payers-running": "运行资金来源", "gap-today": "现状缺口", "money": "年运行费用", "pools": "资源",
    "coverage": "可达占比", "access": "出行时间", "needs": "分人群需求", "use": "设施使用", "scoreboard": "方案比较",
    "gains": "乡镇增减", "objectives": "求解精度", "rules": "约束与目标", "standards": "标准", "standards-others": "缺省与参考值", "digests": "输入指纹", "quality": "质量标准", "items": "事项",
    "equity": "均衡指标", "equity-theil": "差异来源", "equity-groups": "分人群均衡", "equity-townships": "乡镇均衡",
    "facilities": "现状机构", "population": "人口预测", "siting": "选址表", "catchments": "服务范围", "no-regret": "稳妥项目",
    "spread": "点位范围", "sources": "数据来源", "terms": "用语",
    "townships-resident": "乡镇-机构照护", "townships-day": "乡镇-日间照料", "townships-home": "乡镇-上门服务",
}  # fmt: skip
FIRST_ROW = 4


def write(document: Document, runs: Sequence[Run]) -> bytes:
    """Return the workbook; equal documents give equal bytes."""
    import xlsxwriter

    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )  # fmt: skip
    book.set_properties(
        {
            "title": document.title.zh,
            "comments": document.disclaimer.zh,
            "created": datetime(2000, 1, 1),
        }
    )
    looks = _Looks(book)
    used: set[str] = set()
    _cover(book, looks, document, used)
    for table in document.tables.values():
        _table(book, looks, document, table, used)
    _parameters(book, looks, document, runs, used)
    _dictionary(book, looks, document, used)
    book.close()
    return out.getvalue()


class _Looks:
    """Cell formats of the book, made once each."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.made: dict[tuple[tuple[str, object], ...], Any] = {}

    def of(self, **look: object) -> Any:
        key = tuple(sorted(look.items()))
        if key not in self.made:
            base = {"font_name": "Microsoft YaHei", "font_size": 10, "valign": "top"}
            self.made[key] = self.book.add_format({**base, **look})
        return self.made[key]


def _sheet_name(words: str, used: set[str]) -> str:
    """Return a legal, unique sheet name of at most 31 characters."""
    name = re.sub(r"[\[\]:*?/\\']", " ", words).strip()[:28] or "表"
    number, found = 2, name
    while found.lower() in used:
        found = f"{name}{number}"
        number += 1
    used.add(found.lower())
    return found


def _open(book: Any, looks: _Looks, document: Document, title: Text, name: str) -> Any:
    sheet = book.add_worksheet(name)
    sheet.hide_gridlines(2)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.set_footer(f"&L&8{_footer(document.disclaimer.zh)}&R&8&P/&N")
    sheet.write_string(0, 0, f"{title.zh}  {_in_wan(title.en)}", looks.of(bold=True, font_size=13))
    warn = looks.of(font_color="#8C3503", font_size=9)
    sheet.write_string(1, 0, document.disclaimer.zh, warn)
    sheet.write_string(2, 0, document.disclaimer.en, warn)
    return sheet


def _footer(text: str) -> str:
    """Escape a text for a page footer, which holds 255 characters at most."""
    return text.replace("&", "&&")[:200]


def _in_wan(en: str) -> str:
    """Return an English heading with the unit of money that sheets hold."""
    return en.replace("million yuan", "10,000 yuan")


def _heading(text: Text, money: bool) -> str:
    """Both languages, one a line; a sheet holds money in 万元 only, and says so."""
    en = _in_wan(text.en) if money else text.en
    return f"{text.zh}\n{en}" if text.zh != en else text.zh


def _table(book: Any, looks: _Looks, document: Document, table: Table, used: set[str]) -> None:
    name = _sheet_name(SHEETS.get(table.id, table.title.zh), used)
    sheet = _open(book, looks, document, table.title, name)
    head = looks.of(bold=True, text_wrap=True, bg_color="#E9EEF2", top=1, bottom=1)
    for n, column in enumerate(table.columns):
        sheet.write_string(FIRST_ROW, n, _heading(column.heading, True), head)
        sheet.set_column(n, n, 30 if column.wide else 14)
    sheet.set_row(FIRST_ROW, 46)
    sheet.freeze_panes(FIRST_ROW + 1, 1)
    sheet.repeat_rows(FIRST_ROW)
    for r, row in enumerate(table.rows, FIRST_ROW + 1):
        flagged = {"bg_color": "#FBF3EA"} if r - FIRST_ROW - 1 in table.flagged else {}
        for n, cell in enumerate(row):
            _cell(sheet, looks, r, n, cell, flagged)
    end = FIRST_ROW + 1 + len(table.rows)
    if table.total:
        for n, (cell, column) in enumerate(zip(table.total, table.columns, strict=True)):
            look: dict[str, object] = {"bold": True, "top": 1, "bottom": 1}
            if isinstance(cell, Quantity) and column.summed:
                letter = _letter(n)
                formula = f"=SUM({letter}{FIRST_ROW + 2}:{letter}{end})"
                look["num_format"] = FORMATS[cell.kind]
                sheet.write_formula(end, n, formula, looks.of(**look), plain(cell))
            else:
                _cell(sheet, looks, end, n, cell, look)
        end += 1
    if table.note.zh:
        note = looks.of(font_color="#56626D", font_size=9)
        sheet.write_string(end + 1, 0, table.note.zh, note)
        sheet.write_string(end + 2, 0, table.note.en, note)


def _cell(sheet: Any, looks: _Looks, row: int, column: int, cell: Cell, look: Mapping[str, object]) -> None:  # fmt: skip
    if isinstance(cell, Quantity) and not isinstance(plain(cell), str):
        format = looks.of(**{**look, "num_format": FORMATS[cell.kind]})
        sheet.write_number(row, column, plain(cell), format)
        return
    text = written(cell)
    words = "" if cell is None else _heading(text, True)
    sheet.write_string(row, column, words, looks.of(**{**look, "text_wrap": True, "border": 0}))


def _letter(n: int) -> str:
    return chr(65 + n) if n < 26 else chr(64 + n // 26) + chr(65 + n % 26)


def _cover(book: Any, looks: _Looks, document: Document, used: set[str]) -> None:
    sheet = _open(book, looks, document, document.title, _sheet_name("说明", used))
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 1, 90)
    lines: list[tuple[Text, Text]] = [
        (Text("方案", "Plan"), document.subtitle), *document.facts,
        (Text("金额单位", "Money"), Text("各表金额均为万元", "all money in units of 10,000 yuan")),
        (Text("表内合计", "Totals"), Text("合计行为公式，随单元格更新", "total rows are formulas and follow the cells")),
        (Text("不足5人", "Under five"), Text("不足5人的单元格不公布，记“<5”；“*”为一并隐去", "cells under 5 persons read “<5”; “*” are withheld with them")),
        (Text("地图", "Maps"), document.map_footer),
    ]  # fmt: skip
    for n, (what, words) in enumerate(lines, FIRST_ROW):
        sheet.write_string(n, 0, f"{what.zh} {what.en}", looks.of(bold=True))
        both = words.zh if words.zh == words.en else f"{words.zh}\n{words.en}"
        sheet.write_string(n, 1, both, looks.of(text_wrap=True))


def _parameters(book: Any, looks: _Looks, document: Document, runs: Sequence[Run], used: set[str]) -> None:  # fmt: skip
    title = Text("参数", "Parameters")
    sheet = _open(book, looks, document, title, _sheet_name("参数", used))
    sheet.set_column(0, 0, 44)
    sheet.set_column(1, len(runs), 30)
    head = looks.of(bold=True, bg_color="#E9EEF2", top=1, bottom=1)
    flat = [dict(_flat(r.scenario.model_dump(mode="json", by_alias=True))) for r in runs]
    sheet.write_string(FIRST_ROW, 0, "设置项 setting", head)
    for n, run in enumerate(runs, 1):
        sheet.write_string(FIRST_ROW, n, run.scenario.name, head)
    for r, key in enumerate(dict.fromkeys(k for f in flat for k in f), FIRST_ROW + 1):
        sheet.write_string(r, 0, key, looks.of())
        for n, values in enumerate(flat, 1):
            value = values.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool):
                unlimited = value >= 1e29
                if unlimited:
                    sheet.write_string(r, n, "unlimited", looks.of())
                else:
                    sheet.write_number(r, n, value, looks.of())
            else:
                sheet.write_string(r, n, "" if value is None else str(value), looks.of())


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for n, item in enumerate(value, 1):
            yield from _flat(item, f"{path}.{n}")
    else:
        yield path, value if value not in ([], {}) else None


def _dictionary(book: Any, looks: _Looks, document: Document, used: set[str]) -> None:
    title = Text("字典", "Dictionary")
    sheet = _open(book, looks, document, title, _sheet_name("字典", used))
    heads = ("工作表 sheet", "列 column", "中文", "English", "单位 unit")
    head = looks.of(bold=True, bg_color="#E9EEF2", top=1, bottom=1)
    for n, (words, width) in enumerate(zip(heads, (30, 20, 30, 40, 24), strict=True)):
        sheet.write_string(FIRST_ROW, n, words, head)
        sheet.set_column(n, n, width)
    r = FIRST_ROW + 1
    for table in document.tables.values():
        for c in table.columns:
            unit = c.unit.zh if c.unit.zh == c.unit.en else f"{c.unit.zh} {_heading(c.unit, True)}"
            cells = (SHEETS.get(table.id, table.title.zh), c.id, c.title.zh, c.title.en, c.unit.zh or unit)  # fmt: skip
            for n, text in enumerate(cells):
                sheet.write_string(r, n, text, looks.of())
            r += 1
