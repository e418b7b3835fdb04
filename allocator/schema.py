"""Declared columns, units and keys of every table; one synonym table for Chinese and English headers.

A reader in ``io/`` turns a file into a table of a `Schema`, or into findings; nothing else in the
house guesses at a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["PROGRESS", "SCHEMAS", "UNIT_WORDS", "Column", "Kind", "Schema"]

Kind = Literal["id", "text", "integer", "number", "share", "choice", "year"]
SCREENING = ("是", "否", "未核")

UNIT_WORDS: Mapping[str, tuple[str, ...]] = {
    "person": ("人", "persons", "people", "名"),
    "place": ("床", "张", "个", "places", "beds"),
    "minute": ("分钟", "分", "min", "minutes"),
    "km": ("公里", "千米", "kilometre", "kilometres"),
    "m2": ("平方米", "㎡", "m²", "sqm"),
    "degree": ("度", "°", "degrees"),
    "yuan": ("元", "cny"),
    "percent": ("%", "％", "百分比", "percent"),
}
"""Words a header may carry in brackets for a unit; any other word there is refused."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: English name, Chinese name, kind, unit, bounds and, where optional, the default.

    ``share`` is a number in [0, 1]. ``default`` None with ``required`` False leaves the cell blank
    (NaN for numbers, "" for text). ``synonyms`` are other headers accepted for it, ``aliases``
    other words accepted for a choice, as (written, choice).
    """

    name: str
    zh: str
    kind: Kind
    unit: str = ""
    required: bool = True
    default: object = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    example: str = ""
    words_zh: str = ""
    words_en: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """Every header accepted for it."""
        return (self.name, self.zh, *self.synonyms)

    @property
    def answers(self) -> tuple[str, ...]:
        """Every word accepted for a choice, those in Chinese first."""
        every = dict.fromkeys((*(w for w, _ in self.aliases), *self.choices))
        return tuple(sorted(every, key=str.isascii))


@dataclass(frozen=True, slots=True)
class Schema:
    """One table: file stem, titles, columns in order, and the columns that make a row unique."""

    name: str
    zh: str
    en: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    required: bool = True

    def column(self, name: str) -> Column:
        """Return the column of that name."""
        return next(c for c in self.columns if c.name == name)

    @property
    def headers(self) -> Mapping[str, str]:
        """Every accepted header, lower case and trimmed, to the column's name."""
        found: dict[str, str] = {}
        for c in self.columns:
            for word in c.words:
                found[word.strip().lower()] = c.name
        return found


def _id(name: str, zh: str, example: str = "", **more: object) -> Column:
    return Column(name, zh, "id", example=example, **more)  # type: ignore[arg-type]


_MARKS = ("counted", "modelled", "synthetic")
_MARK = Column(
    "mark", "数据性质", "choice", required=False, default="counted", choices=_MARKS,
    aliases=(("统计", "counted"), ("推算", "modelled"), ("模拟", "synthetic")),
    words_en="counted, modelled or synthetic", words_zh="统计、推算或模拟",
)  # fmt: skip
_LON = Column(
    "lon", "经度", "number", "degree", required=False, minimum=-180, maximum=180, example="109.25",
    synonyms=("longitude", "x"),
)  # fmt: skip
_LAT = Column(
    "lat", "纬度", "number", "degree", required=False, minimum=-90, maximum=90, example="25.07",
    synonyms=("latitude", "y"),
)  # fmt: skip
_H3 = Column(
    "h3", "H3单元", "text", required=False, default="", example="87411ca4dffffff",
    words_en="stands in for lon and lat: the middle of the cell", words_zh="没有经纬度时,取单元中心",
)  # fmt: skip
_CLASS_WORDS = (
    ("县城", "county-town"), ("乡镇驻地", "township-seat"), ("集镇", "township-seat"), ("村", "village"),
)  # fmt: skip
_AREA_CLASS = Column(
    "area_class", "地域类型", "choice", required=False, default="village",
    choices=("county-town", "township-seat", "village"), synonyms=("类型",), aliases=_CLASS_WORDS,
    example="village",
)  # fmt: skip


def _screen(name: str, zh: str) -> Column:
    return Column(
        name, zh, "choice", required=False, default="未核", choices=SCREENING,
        aliases=(("yes", "是"), ("no", "否"), ("unchecked", "未核")),
        words_en="是: passes; 否: forbids; 未核: not yet checked", words_zh="是:符合;否:禁止;未核:选址待核",
    )  # fmt: skip


_SCREENS = (
    _screen("zoning", "三区三线"),
    _screen("hazard", "地灾易发"),
    _screen("flood", "洪涝风险"),
    _screen("land_use", "用地性质"),
    _screen("ownership", "权属"),
    _screen("structure", "结构安全"),
    _screen("fire_access", "消防通道"),
    _screen("consent", "主管部门意见"),
)

TOWNSHIPS = Schema(
    "townships", "乡镇", "Townships",
    (
        _id("township_id", "乡镇代码", "450225100"),
        Column("name_zh", "乡镇名称", "text", synonyms=("乡镇", "town"), example="融水镇"),
        Column("name_en", "英文名称", "text", required=False, default=""),
        Column("population", "总人口", "integer", "person", minimum=0, synonyms=("人口", "pop_2020"), example="150326"),
        Column("year", "年份", "year", example="2020"),
        Column("area_class", "地域类型", "choice", required=False, default="township-seat", choices=("county-town", "township-seat", "village"), aliases=_CLASS_WORDS),
        Column("share_before", "上次普查占全县比重", "number", "percent", required=False, minimum=0, maximum=100, example="25.6", words_en="share of the county at the census before; carries the drift to the town", words_zh="上一次普查占全县人口的百分比,用于延续向县城集中的趋势"),
        Column("year_before", "上次普查年份", "year", required=False, example="2010"),
        _MARK,
    ),
    ("township_id",),
)  # fmt: skip

AREAS = Schema(
    "areas", "村(社区)", "Villages and communities",
    (
        _id("area_id", "村代码", "450225100001", synonyms=("village_code",)),
        Column("name_zh", "村名称", "text", required=False, default="", synonyms=("村", "village")),
        Column("name_en", "英文名称", "text", required=False, default=""),
        _id("township_id", "乡镇代码", "450225100"),
        _AREA_CLASS,
        _LON,
        _LAT,
        _H3,
        Column("population", "总人口", "number", "person", required=False, minimum=0, synonyms=("人口",), example="1210"),
        Column("registered_60", "户籍60岁以上人数", "integer", "person", required=False, minimum=0, synonyms=("60+", "登记60", "户籍60", "60岁以上", "户籍60岁以上"), example="260"),
        Column("registered_80", "户籍80岁以上人数", "integer", "person", required=False, minimum=0, synonyms=("80+", "登记80", "户籍80", "80岁以上", "户籍80岁以上"), example="38"),
        _MARK,
    ),
    ("area_id",),
)  # fmt: skip

SITES = Schema(
    "sites", "现有与备选地点", "Existing and candidate sites",
    (
        _id("site_id", "地点编号", "S001"),
        Column("name_zh", "名称", "text", required=False, default="", example="示例设施01"),
        Column("name_en", "英文名称", "text", required=False, default=""),
        _id("township_id", "乡镇代码", "450225100"),
        _AREA_CLASS,
        _LON,
        _LAT,
        _H3,
        Column("today", "现状设施类型", "id", required=False, default="", example="township-home", words_en="facility type in place today; blank: none", words_zh="现状设施类型,空白为无"),
        Column("building", "可用房屋", "choice", required=False, default="none", choices=("none", "idle-school", "vacant-building", "leased"), aliases=(("无", "none"), ("闲置校舍", "idle-school"), ("空置房屋", "vacant-building"), ("租赁", "leased")), example="idle-school"),
        Column("floor_area_m2", "建筑面积", "number", "m2", required=False, minimum=0, example="1200"),
        Column("land_m2", "用地面积", "number", "m2", required=False, minimum=0, example="2000"),
        Column("medical_minutes", "到最近医疗机构分钟数", "number", "minute", required=False, minimum=0),
        *_SCREENS,
        _MARK,
    ),
    ("site_id",),
)  # fmt: skip

POPULATION = Schema(
    "population", "分年龄人口", "Population by age and sex",
    (
        _id("area_id", "村代码", "450225100001"),
        Column("year", "年份", "year", example="2020"),
        Column("track", "口径", "choice", required=False, default="resident", choices=("resident", "registered"), aliases=(("常住", "resident"), ("户籍", "registered")), words_en="resident (常住) or registered (户籍)", words_zh="常住或户籍"),
        Column("sex", "性别", "choice", choices=("m", "f"), aliases=(("男", "m"), ("女", "f"), ("male", "m"), ("female", "f")), example="f"),
        Column("age", "年龄组", "text", example="60-64"),
        Column("persons", "人数", "number", "person", minimum=0, example="41.3"),
        _MARK,
    ),
    ("area_id", "year", "track", "sex", "age"),
)  # fmt: skip

HOMES = Schema(
    "homes", "机构名册(汇总数)", "Roll of homes (counts only)",
    (
        _id("site_id", "地点编号", "S001"),
        Column("name_zh", "名称", "text", required=False, default="", words_en="needed only where there is no table of sites", words_zh="没有地点表时填写"),
        Column("township_id", "乡镇代码", "id", required=False, default="", example="450225100", words_en="needed only where there is no table of sites", words_zh="没有地点表时填写"),
        Column("today", "现状设施类型", "id", required=False, default="", example="township-home", words_en="facility type; needed only where there is no table of sites", words_zh="设施类型,没有地点表时填写"),
        replace(_LON, words_en="where there is no table of sites", words_zh="没有地点表时填写"),
        replace(_LAT, words_en="where there is no table of sites", words_zh="没有地点表时填写"),
        Column("places", "床位数", "integer", "place", minimum=0, synonyms=("床位", "beds"), example="60"),
        Column("nursing_places", "护理型床位", "integer", "place", required=False, default=0, minimum=0, example="20"),
        Column("residents", "在住人数", "integer", "person", minimum=0, synonyms=("入住人数",), example="18"),
        Column("destitute_residents", "特困在住人数", "integer", "person", required=False, default=0, minimum=0, example="12"),
        Column("care_workers", "养老护理员", "integer", "person", required=False, minimum=0, example="5"),
        Column("day_places", "日间照料名额", "integer", "place", required=False, default=0, minimum=0),
        _MARK,
    ),
    ("site_id",),
)  # fmt: skip

DISTANCES = Schema(
    "distances", "里程表", "Road-distance table",
    (
        _id("from_id", "起点", "450225100001"),
        _id("to_id", "终点", "S001"),
        Column("road_km", "公路里程", "number", "km", required=False, minimum=0, example="12.5"),
        Column("minutes", "时间", "number", "minute", required=False, minimum=0),
        _MARK,
    ),
    ("from_id", "to_id"),
    required=False,
)  # fmt: skip

MATRIX = Schema(
    "matrix", "出行时间矩阵", "Table of travel times",
    (
        _id("from_id", "起点", "450225100001"),
        _id("to_id", "终点", "S001"),
        Column("mode", "出行方式", "id", required=False, default="", example="car", words_en="blank: for every mode without rows of its own", words_zh="空白:用于没有单独填写的方式"),
        Column("minutes", "时间", "number", "minute", minimum=0, example="18.5"),
        Column("road_km", "公路里程", "number", "km", required=False, minimum=0),
        _MARK,
    ),
    ("from_id", "to_id", "mode"),
    required=False,
)  # fmt: skip

BUILDINGS = Schema(
    "buildings", "闲置房屋", "Idle buildings",
    (
        _id("building_id", "房屋编号", "B001", synonyms=("校舍编号",)),
        Column("name_zh", "名称", "text", required=False, default="", synonyms=("房屋名称", "学校名称"), example="示例闲置校舍01"),
        _id("township_id", "乡镇代码", "450225100"),
        _AREA_CLASS,
        _LON,
        _LAT,
        Column("kind", "房屋类型", "choice", required=False, default="idle-school", choices=("idle-school", "vacant-building", "leased"), aliases=(("闲置校舍", "idle-school"), ("空置房屋", "vacant-building"), ("租赁", "leased")), example="idle-school"),
        Column("floor_area_m2", "建筑面积", "number", "m2", required=False, minimum=0, example="1200"),
        Column("land_m2", "用地面积", "number", "m2", required=False, minimum=0, example="2000"),
        *_SCREENS,
        _MARK,
    ),
    ("building_id",),
    required=False,
)  # fmt: skip

ORIGINS = Schema(
    "origins", "入住来源", "Where today's residents came from",
    (
        _id("site_id", "机构编号", "J01", synonyms=("地点编号",)),
        _id("from_id", "来源村或乡镇代码", "450225100001", synonyms=("来源地",)),
        Column("residents", "人数", "integer", "person", minimum=0, example="4", synonyms=("在住人数",)),
        _MARK,
    ),
    ("site_id", "from_id"),
    required=False,
)  # fmt: skip

PROGRESS = Schema(
    "progress", "项目进度", "What became of planned projects",
    (
        _id("site_id", "地点编号", "C01"),
        Column("status", "进度", "choice", choices=("done", "under-way", "committed", "dropped"), aliases=(("已建成", "done"), ("在建", "under-way"), ("已立项", "committed"), ("取消", "dropped")), example="under-way"),
        Column("places", "床位数", "number", "place", required=False, minimum=0, example="60"),
        Column("paid_yuan", "本期已付投资", "number", "yuan", required=False, minimum=0, default=0.0, example="1500000"),
    ),
    ("site_id",),
    required=False,
)  # fmt: skip

UNIT_COSTS = Schema(
    "unit_costs", "单位造价", "Unit costs",
    (
        _id("type", "设施类型", "township-centre"),
        Column("mode", "方式", "choice", choices=("build", "extend", "convert", "merge", "purchase", "entrust", "mobile"), aliases=(("新建", "build"), ("扩建", "extend"), ("改造", "convert"), ("撤并转型", "merge"), ("购买服务", "purchase"), ("公建民营", "entrust"), ("流动服务", "mobile")), example="build"),
        Column("capital_yuan_place", "每床或名额投资", "number", "yuan", minimum=0, example="110000"),
        Column("capital_yuan_fixed", "固定投资", "number", "yuan", required=False, minimum=0, example="1500000"),
        Column("source", "来源", "text", required=False, default="", example="本县2024年项目决算"),
        _MARK,
    ),
    ("type", "mode"),
    required=False,
)  # fmt: skip

PLACEMENTS = Schema(
    "placements", "模拟点位", "Synthetic placements",
    (
        Column("seed", "种子", "integer", minimum=1),
        _id("point_id", "点位"),
        Column("lon", "经度", "number", "degree", minimum=-180, maximum=180),
        Column("lat", "纬度", "number", "degree", minimum=-90, maximum=90),
    ),
    ("seed", "point_id"),
    required=False,
)  # fmt: skip

SCHEMAS: Mapping[str, Schema] = {
    s.name: s
    for s in (
        TOWNSHIPS,
        AREAS,
        SITES,
        POPULATION,
        HOMES,
        DISTANCES,
        MATRIX,
        BUILDINGS,
        ORIGINS,
        UNIT_COSTS,
        PLACEMENTS,
    )
}
