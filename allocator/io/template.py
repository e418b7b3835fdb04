"""What ``allocator init`` writes: a bilingual workbook to fill in, a case file, a first scenario."""

from __future__ import annotations

import datetime
import io
import json
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
SHEETS = (
    "townships", "areas", "homes", "distances", "sites", "buildings", "origins", "unit_costs",
    "matrix", "population",
)  # fmt: skip
NEEDED = ("townships", "areas", "homes")
_KINDS = {
    "id": ("代码(文本)", "code (text)"), "text": ("文字", "text"), "integer": ("整数", "whole number"),
    "number": ("数字", "number"), "share": ("0至1的占比", "share from 0 to 1"),
    "choice": ("选一项", "one of a list"), "year": ("年份", "year"),
}  # fmt: skip

_CASE_YAML = """\
# 案例文件 / case file. 说明见 docs/formats.md
id: {id}                       # 县级区划代码 / division code
title: {{zh: {zh}, en: {en}}}
crs: {crs}                     # EPSG:4490 (CGCS2000), EPSG:4326, 分带代码 / zone code, GCJ-02, BD-09
base_year: {year}                    # 现状年 / year of today
# declared_population: 400000      # 公布的县常住总人口 / published total, compared with the townships
# seat: [109.25, 25.07]            # 县城经纬度 / county seat, longitude and latitude
# encoding: gb18030                # CSV 为 GBK/GB18030 时 / where CSV files are in GBK or GB18030
# thousands: true                  # 数字带千分位逗号时 / where numbers carry thousands separators
travel:
  # 不写 method:有时间矩阵、路网、里程表的依次优先,其余按直线 / no method: matrix, network, road table, straight line, whichever is there, in this order
  # method: road-table
  detour: 1.4                      # 绕行系数 / straight lines are multiplied by it
  # speed_kmh: {{car: 30, bus: 20, team: 30, walk: 3.6, older-walk: 2.7}}   # 本地速度 / local speeds, km/h
  # both_ways: true                # 里程表每对只列一次 / the table lists each pair once
catalogue: shipped                 # 随附目录 / the catalogue that comes with the program
finest_published: township
sources: []                        # - {{title: ..., source: ..., licence: ..., mark: counted, files: case.xlsx}}
"""

_SCENARIO = """\
# 第一个情景:不设资金上限,看达标最小投资 / a first scenario: no limit on money, least cost to targets
name: first-plan
title: {{zh: 第一版方案, en: A first plan}}
base_year: {year}
periods:
  - {{from: {near}, to: {near_end}, title: {{zh: 近期, en: near term}}}}
  - {{from: {far}, to: {far_end}, title: {{zh: 远期, en: long term}}}}
# need: {{willingness: {{elderly.resident: calibrated}}}}   # 填了入住来源后可用 / once the sheet of origins is filled
resources:
  capital: {{unit: yuan, supply: {{{near}: unlimited, {far}: unlimited}}}}
  running: {{unit: yuan/year, supply: {{{near}: unlimited, {far}: unlimited}}}}
  care_workers: {{unit: person, supply: {{{near}: unlimited, {far}: unlimited}}}}
# 目标值均为示例,请按本县规划改写 / every target is an example: write your own
rules:
  # 特困人员集中供养应入尽入 / every destitute elder who wishes it is placed
  - {{served: {{service: elderly.resident, group: destitute, share: 1.0}}}}
  # 机构照护、上门服务需求满足率 / shares of the need for resident care and home visits
  - {{served: {{service: elderly.resident, share: 0.6}}}}
  - {{served: {{service: elderly.home, share: 0.5}}}}
  # 县城15分钟可达日间照料 / day care within 15 minutes in the county town
  - {{coverage: {{service: elderly.day, area_class: county-town, within_minutes: 15, share: 0.8}}}}
  # 建成的日间照料有人用 / and day care that is used, not only within reach
  - {{served: {{service: elderly.day, area_class: county-town, share: 0.5}}}}
  # 先安置后撤并 / a home closes only when its residents are placed nearby
  - {{resettlement: {{within_minutes: 60}}}}
objective: [cost-to-targets, unmet, travel]
"""


def write_template(
    folder: Path | str,
    *,
    id: str = "000000",
    title: str = "",
    year: int = 2025,
    crs: str = "EPSG:4490",
) -> tuple[Path, ...]:
    """Write ``case.xlsx``, ``case.yaml`` and ``scenarios/first-plan.yaml``; return their paths.

    Parameters
    ----------
    id, title
        Division code and name of the county; an example where blank.
    year
        The year of today; the first period begins in the year after it.
    crs
        System of the coordinates, as in ``case.yaml``.

    Raises
    ------
    InputRefused
        When one of them is there already (nothing is overwritten), or cannot be written.
    """
    folder = Path(folder)
    words = {
        "id": _quoted(id), "zh": _quoted(title or "示例县"), "en": _quoted(title or "Example County"),
        "crs": _quoted(crs), "year": year, "near": year + 1, "near_end": year + 5, "far": year + 6,
        "far_end": year + 10,
    }  # fmt: skip
    files = {
        "case.xlsx": template_workbook(),
        "case.yaml": _CASE_YAML.format(**words).encode("utf-8"),
        "scenarios/first-plan.yaml": _SCENARIO.format(**words).encode("utf-8"),
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


def _quoted(text: str) -> str:
    """Return text as a quoted scalar of YAML."""
    return json.dumps(text, ensure_ascii=False)


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
    _gaps(book, formats)
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
            "source": list(column.answers),
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
        ("坐标来自高德、腾讯地图时,case.yaml 的 crs 写 GCJ-02;来自百度地图时写 BD-09。", "Coordinates from map vendors: write crs: GCJ-02 (or BD-09 for Baidu) in case.yaml."),
        ("闲置房屋、入住来源、单位造价、出行时间矩阵均可不填;填了就替换缺省值。", "Idle buildings, origins of residents, unit costs and travel times are optional; filled in, they replace defaults."),
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


def _gaps(book: Any, formats: Mapping[str, Any]) -> None:
    """Write the list of data gaps: what may be missing, what stands in, where to fill, who has it."""
    sheet = book.add_worksheet(PLAIN_SHEETS[2])
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, 7, 26, formats["wrap"])
    heads = ("资料", "缺少时的代替", "填在哪里", "一般由谁掌握", "Item", "What stands in", "Where to fill it in", "Who usually has it")  # fmt: skip
    for position, head in enumerate(heads):
        sheet.write_string(0, position, head, formats["head"])
    for row, cells in enumerate(GAPS, start=1):
        for position, text in enumerate(cells):
            sheet.write_string(row, position, text, formats["wrap"])


GAPS = (
    ("村级户籍60、80岁以上人数", "乡镇总数按标准年龄结构分摊", "村(社区)表", "公安、民政", "Registered 60+ and 80+ by village", "Township totals and a standard age pattern", "sheet areas", "police, civil affairs"),
    ("分村分年龄人口", "由总数和60+、80+人数推算", "分年龄人口表", "统计(普查)", "People by village and age", "Modelled from totals and 60+, 80+ counts", "sheet population", "statistics (census)"),
    ("村的坐标", "里程表", "村(社区)表经纬度;或图层", "自然资源", "Points of villages", "The road-distance table", "sheet areas, or a layer", "natural resources"),
    ("公路里程", "直线乘绕行系数", "里程表", "交通运输", "Road distances", "Straight lines times a detour", "sheet distances", "transport"),
    ("现有与备选地点及筛选条件", "名册机构与乡镇驻地示意地块,筛选均为未核", "现有与备选地点表", "自然资源、民政", "Sites with their screening", "Homes of the roll and a nominal plot a township, unchecked", "sheet sites", "natural resources, civil affairs"),
    ("闲置校舍、闲置房屋", "不考虑改造", "闲置房屋表", "教育、机关事务", "Idle schools and buildings", "No conversion is offered", "sheet buildings", "education, public property"),
    ("护理员人数", "按目录配比推算", "机构名册", "民政", "Care workers", "The catalogue's ratios", "sheet homes", "civil affairs"),
    ("入住来源", "假定的意愿曲线", "入住来源表", "各机构", "Where residents came from", "The assumed willingness curve", "sheet origins", "the homes"),
    ("单位造价", "随附目录的示意造价", "单位造价表", "发展改革、住建", "Unit costs", "Illustrative costs of the shipped catalogue", "sheet unit_costs", "development and reform, construction"),
    ("出行速度、出行时间", "缺省速度", "case.yaml 的 travel;出行时间矩阵", "交通运输", "Speeds or travel times", "Default speeds", "travel of case.yaml; sheet matrix", "transport"),
    ("县界", "地图不画县界", "outline.geojson", "自然资源", "County outline", "Maps show none", "outline.geojson", "natural resources"),
    ("失能率、死亡率、生育率等参数", "随附的全国或假定参数", "rates/*.csv", "卫生健康、医保、统计", "Rates of disability, death, birth", "National or assumed rates that come with the program", "rates/*.csv", "health, insurance, statistics"),
)  # fmt: skip
"""Rows of the list of data gaps in the template: item, stand-in, place, holder; zh, then en."""
