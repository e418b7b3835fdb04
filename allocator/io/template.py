"""What ``allocator init`` writes: a bilingual workbook to fill in, a case file, a first scenario."""

from __future__ import annotations

import datetime
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allocator.errors import Where
from allocator.io.findings import refusal
from allocator.io.paths import write_bytes
from allocator.io.workbook import PLAIN_SHEETS
from allocator.schema import SCHEMAS, Column, Schema

__all__ = ["template_workbook", "write_template"]

ROWS = 2000
SHEETS = ("townships", "areas", "homes", "distances", "sites", "population")
NEEDED = ("townships", "areas", "homes")
_KINDS = {
    "id": ("代码(文本)", "code (text)"), "text": ("文字", "text"), "integer": ("整数", "whole number"),
    "number": ("数字", "number"), "share": ("0至1的占比", "share from 0 to 1"),
    "choice": ("选一项", "one of a list"), "year": ("年份", "year"),
}  # fmt: skip

_CASE_YAML = """\
# 案例文件 / case file. 说明见 docs/formats.md
id: "000000"                       # 县级区划代码 / division code
title: {zh: 示例县, en: Example County}
crs: EPSG:4490                     # EPSG:4490 (CGCS2000), EPSG:4326, 分带代码 / zone code, GCJ-02, BD-09
base_year: 2025                    # 现状年 / year of today
# declared_population: 400000      # 公布的县常住总人口 / published total, compared with the townships
# seat: [109.25, 25.07]            # 县城经纬度 / county seat, longitude and latitude
# encoding: gb18030                # CSV 为 GBK/GB18030 时 / where CSV files are in GBK or GB18030
# thousands: true                  # 数字带千分位逗号时 / where numbers carry thousands separators
travel:
  method: straight-line            # 或/or road-table (里程表)
  detour: 1.4                      # 绕行系数 / straight lines are multiplied by it
catalogue: shipped                 # 随附目录 / the catalogue that comes with the program
finest_published: township
sources: []                        # - {title: ..., source: ..., licence: ..., mark: counted, files: case.xlsx}
"""

_SCENARIO = """\
# 第一个情景:不设资金上限,看最小投资 / a first scenario: no limit on money, least cost to targets
name: first-plan
title: {zh: 第一版方案, en: A first plan}
base_year: 2025
periods:
  - {from: 2026, to: 2030, title: {zh: 近期, en: near term}}
  - {from: 2031, to: 2035, title: {zh: 远期, en: long term}}
resources:
  capital: {unit: yuan, supply: {2026: unlimited, 2031: unlimited}}
  running: {unit: yuan/year, supply: {2026: unlimited, 2031: unlimited}}
  care_workers: {unit: person, supply: {2026: unlimited, 2031: unlimited}}
rules:
  - {served: {service: elderly.resident, group: destitute, share: 1.0}}
  - {coverage: {service: elderly.day, area_class: county-town, within_minutes: 15, share: 0.8}}
objective: [cost-to-targets, unmet, travel]
"""


def write_template(folder: Path | str) -> tuple[Path, ...]:
    """Write ``case.xlsx``, ``case.yaml`` and ``scenarios/first-plan.yaml``; return their paths.

    Raises
    ------
    InputRefused
        When one of them is there already (nothing is overwritten), or cannot be written.
    """
    folder = Path(folder)
    files = {
        "case.xlsx": template_workbook(),
        "case.yaml": _CASE_YAML.encode("utf-8"),
        "scenarios/first-plan.yaml": _SCENARIO.encode("utf-8"),
    }
    for name in files:
        if (folder / name).exists():
            raise refusal(
                "file-exists",
                Where(file=name),
                ("文件已存在,不会覆盖。", "The file is there already and is not overwritten."),
                ("请另选一个新文件夹。", "Choose a new folder."),
            )
    return tuple(write_bytes(folder / name, data) for name, data in files.items())


def template_workbook() -> bytes:
    """Return the bytes of the template: a sheet a table, a read-me and a data dictionary."""
    import xlsxwriter

    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(out, options)
    book.set_properties(
        {"created": datetime.datetime(2026, 1, 1), "title": "服务设施规划数据 / planning data"}
    )
    formats = {
        "head": book.add_format({"bold": True, "bg_color": "#1F4E78", "font_color": "white", "text_wrap": True, "valign": "top", "border": 1}),
        "optional": book.add_format({"bold": True, "bg_color": "#9DC3E6", "text_wrap": True, "valign": "top", "border": 1}),
        "text": book.add_format({"num_format": "@"}),
        "wrap": book.add_format({"text_wrap": True, "valign": "top"}),
    }  # fmt: skip
    _read_me(book, formats)
    for name in SHEETS:
        _sheet(book, SCHEMAS[name], formats)
    _dictionary(book, formats)
    book.close()
    return out.getvalue()


def header_of(column: Column) -> str:
    """Return the bilingual header of a column, its unit in brackets."""
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.zh} {column.name}{unit}"


def _sheet(book: Any, schema: Schema, formats: Mapping[str, Any]) -> None:
    sheet = book.add_worksheet(f"{schema.zh} {schema.name}")
    sheet.freeze_panes(1, 1)
    sheet.set_row(0, 48)
    for position, column in enumerate(schema.columns):
        as_text = column.kind in ("id", "text", "choice")
        sheet.set_column(position, position, 16, formats["text"] if as_text else None)
        sheet.write_string(
            0, position, header_of(column), formats["head" if column.required else "optional"]
        )
        rule = _validation(column)
        sheet.data_validation(1, position, ROWS, position, rule)


def _validation(column: Column) -> dict[str, Any]:
    """Return the drop-down or bounds of a column, with its example as the prompt."""
    kind = _KINDS[column.kind]
    lines = [
        f"{'必填' if column.required else '选填'} {'required' if column.required else 'optional'}: {kind[0]} / {kind[1]}",
        *([f"例/e.g. {column.example}"] if column.example else []),
        *([column.words_zh, column.words_en] if column.words_en else []),
    ]
    rule: dict[str, Any] = {
        "validate": "any",
        "input_title": column.name[:32],
        "input_message": "\n".join(lines)[:255],
        "error_title": "请核对 / please check",
    }
    if column.kind == "choice":
        rule |= {
            "validate": "list",
            "source": list(column.choices),
            "error_message": "请从列表中选择。Choose from the list.",
        }
    elif column.kind in ("integer", "number", "share", "year"):
        low, high = {"share": (0, 1), "year": (1900, 2150)}.get(
            column.kind, (column.minimum, column.maximum)
        )
        rule |= {
            "validate": "integer" if column.kind in ("integer", "year") else "decimal",
            "criteria": "between",
            "minimum": -1e15 if low is None else low,
            "maximum": 1e15 if high is None else high,
            "error_message": "数值超出范围。The number is out of range.",
        }
    return rule


def _read_me(book: Any, formats: Mapping[str, Any]) -> None:
    sheet = book.add_worksheet(PLAIN_SHEETS[0])
    sheet.set_column(0, 0, 60, formats["wrap"])
    sheet.set_column(1, 1, 60, formats["wrap"])
    lines = (
        ("填写说明", "How to fill this in"),
        ("必填:乡镇、村(社区)、机构名册三张表。其余留空时使用标明的缺省值,并列入数据缺口清单。",
         "Townships, areas and homes are needed. What else stays empty gets a marked default and an entry in the list of data gaps."),
        ("深色表头必填,浅色选填。选中单元格可见说明和示例。", "Dark headers are required, light ones optional. Select a cell to see its note and example."),
        ("代码列为文本格式,不要改成数字(会丢失前导零)。", "Codes are text: do not turn them into numbers (leading zeros would be lost)."),
        ("没有坐标时,请填里程表:起点、终点可用村、地点或乡镇代码。", "Without coordinates fill in the road-distance table: ends may be areas, sites or townships."),
        ("名册只填汇总人数。不要填写姓名、身份证号、手机号;含此类列的表会被拒绝。",
         "The roll holds counts only. No names, identity or phone numbers: a table with such a column is refused."),
        ("不要合并单元格。公式按最后保存的结果读取,不会计算。", "Do not merge cells. Formulas are read by their stored result, never computed."),
        ("不用的工作表可以整张删除。", "Sheets that are not used may be deleted."),
    )  # fmt: skip
    for row, (zh, en) in enumerate(lines):
        sheet.write_string(row, 0, zh, formats["wrap"])
        sheet.write_string(row, 1, en, formats["wrap"])


def _dictionary(book: Any, formats: Mapping[str, Any]) -> None:
    sheet = book.add_worksheet(PLAIN_SHEETS[1])
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, 10, 18, formats["wrap"])
    heads = (
        "工作表 sheet", "列 column", "列名 name_zh", "类型 kind", "单位 unit", "必填 required",
        "缺省 default", "可选值 choices", "示例 example", "说明", "note",
    )  # fmt: skip
    for position, head in enumerate(heads):
        sheet.write_string(0, position, head, formats["head"])
    row = 0
    for name in SHEETS:
        for c in SCHEMAS[name].columns:
            row += 1
            values = (
                SCHEMAS[name].zh, c.name, c.zh, " ".join(_KINDS[c.kind]), c.unit,
                "是 yes" if c.required else "否 no", "" if c.default is None else str(c.default),
                " | ".join(c.choices), c.example, c.words_zh, c.words_en,
            )  # fmt: skip
            for position, value in enumerate(values):
                sheet.write_string(row, position, value, formats["wrap"])
