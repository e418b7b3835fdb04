"""A catalogue folder: services, facility types, offers, provisions and standards as CSV tables.

Columns are declared below as every table's are; per-grade figures stand in columns such as
``staff_severe``, lists are separated by ``|``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from allocator.catalogue import Catalogue, FacilityType, Offer, Provision, Service, Standard
from allocator.errors import Finding, Text, Where, nearest, refuse_if_any
from allocator.io.findings import error
from allocator.io.paths import digest_of, inside, read_bytes
from allocator.io.tables import read_table
from allocator.schema import Column, Schema

__all__ = ["CATALOGUE_SCHEMAS", "GRADES", "read_catalogue"]

GRADES = ("mild", "moderate", "severe", "destitute")
NORM_MARKS = ("verified", "stated", "unconfirmed")
MARKS = (*NORM_MARKS, "assumed", "synthetic")


def _id(name: str, zh: str, **more: Any) -> Column:
    return Column(name, zh, "id", **more)


def _text(name: str, zh: str, required: bool = False, **more: Any) -> Column:
    return Column(name, zh, "text", required=required, default=None if required else "", **more)


def _number(name: str, zh: str, unit: str, **more: Any) -> Column:
    more = {"minimum": 0.0, "required": False, "default": 0.0, **more}
    return Column(name, zh, "number", unit, **more)


def _grades(name: str, zh: str, unit: str) -> tuple[Column, ...]:
    words = {"mild": "轻度", "moderate": "中度", "severe": "重度", "destitute": "特困"}
    return tuple(_number(f"{name}_{g}", f"{zh}_{words[g]}", unit) for g in GRADES)


def _mark(*choices: str) -> Column:
    return Column("mark", "标记", "choice", choices=choices or MARKS)


_TITLE = (_text("name_zh", "名称", required=True), _text("name_en", "英文名称", required=True))

CATALOGUE_SCHEMAS: Mapping[str, Schema] = {
    s.name: s
    for s in (
        Schema(
            "services", "服务", "Services",
            (_id("id", "编号"), *_TITLE, _text("unit", "单位", required=True),
             _text("unit_zh", "单位名称", required=True), _text("unit_en", "单位英文名称", required=True)),
            ("id",),
        ),
        Schema(
            "facility_types", "设施类型", "Facility types",
            (_id("id", "编号"), *_TITLE, _text("tier", "层级", required=True),
             _text("area_classes", "地域类型"), _number("running_yuan_year", "固定运行费", "yuan/year"),
             _number("staff_fixed", "固定护理员", "person"), _text("ownership", "权属"),
             _text("source", "来源"), _mark()),
            ("id",),
        ),
        Schema(
            "offers", "设施所供服务", "Offers",
            (_id("type", "设施类型"), _id("id", "编号"), _id("service", "服务"),
             _number("places_min", "最少床位", "place"), _number("places_max", "最多床位", "place", required=True, default=None),
             _number("module", "模数", "place"), _number("within_minutes", "服务时限", "minute", required=True, default=None),
             _text("travel", "出行方式", required=True),
             Column("occupancy_min", "最低使用率", "share", required=False, default=0.0),
             Column("occupancy_max", "最高使用率", "share", required=False, default=1.0),
             _number("running_yuan_place_year", "每床年运行费", "yuan/place/year"),
             *_grades("running_yuan_person_year", "每人年运行费", "yuan/person/year"),
             *_grades("staff", "每人护理员", "person/person"),
             *_grades("fee_yuan_month", "月收费", "yuan/person/month"),
             *_grades("insurance_yuan_month", "月长护险", "yuan/person/month"),
             _number("floor_area_m2_place", "每床建筑面积", "m2/place"),
             Column("nursing_share", "护理型占比", "share", required=False, default=0.0),
             _text("groups", "服务人群"), _mark(), _text("source", "来源")),
            ("type", "id"),
        ),
        Schema(
            "provisions", "建设方式", "Provisions",
            (_id("type", "设施类型"), _id("mode", "方式"), _text("from_states", "原状态"),
             _number("capital_yuan_fixed", "固定投资", "yuan"), _number("capital_yuan_place", "每床投资", "yuan/place"),
             _number("setup_years", "建设年限", "year"), _number("life_years", "使用年限", "year"),
             _mark(), _text("source", "来源")),
            ("type", "mode", "from_states"),
        ),
        Schema(
            "standards", "标准", "Standards",
            (_id("id", "编号"), _text("version", "版本", required=True), _text("title_zh", "名称", required=True),
             _text("title_en", "英文名称", required=True), _number("value", "数值", "", required=True, default=None, minimum=None),
             _text("unit", "单位", required=True), Column("direction", "方向", "choice", choices=("higher", "lower", "none")),
             _text("group", "人群"), _text("level", "级别", required=True), _text("payer", "支付方"),
             _text("agency", "主管部门"), _text("basis", "依据"), _text("source", "来源", required=True),
             _text("valid_from", "生效日期", required=True), _text("valid_until", "失效日期"), _mark(),
             _text("section", "章节"), _text("item", "事项"), _text("service", "服务"),
             _text("note_zh", "说明"), _text("note_en", "英文说明")),
            ("id", "version", "valid_from"),
        ),
    )
}  # fmt: skip


def read_catalogue(folder: Path | str) -> Catalogue:
    """Return the catalogue in a folder.

    Raises
    ------
    InputRefused
        With every fault of all five tables, unknown services and types and overlapping dates
        among them.
    """
    catalogue, findings = catalogue_and_findings(Path(folder))
    refuse_if_any(findings)
    assert catalogue is not None
    return catalogue


def catalogue_and_findings(folder: Path) -> tuple[Catalogue | None, tuple[Finding, ...]]:
    """Return the catalogue, None where it is at fault, and everything found."""
    tables: dict[str, pd.DataFrame] = {}
    found: list[Finding] = []
    digests = []
    for name, schema in CATALOGUE_SCHEMAS.items():
        path = inside(folder, f"{name}.csv")
        file = f"{folder.name}/{name}.csv"
        if name == "standards" and not path.exists():
            continue
        tables[name], findings = read_table(path, schema, name=file)
        found += findings
        if path.is_file():
            digests.append(digest_of(read_bytes(path)))
    found += _check(tables, folder.name)
    if any(f.rank == "error" for f in found):
        return None, tuple(found)
    version = digest_of("".join(digests).encode())[:12]
    return _catalogue(tables, version), tuple(found)


def _check(tables: Mapping[str, pd.DataFrame], folder: str) -> Iterable[Finding]:
    """Names that lead nowhere, bounds the wrong way round, and dates that overlap."""
    for child, column, parent in (
        ("offers", "type", "facility_types"),
        ("offers", "service", "services"),
        ("provisions", "type", "facility_types"),
    ):
        known = set(tables[parent]["id"])
        for row, value in tables[child][column].items():
            if value and value not in known:
                near = nearest(value, known)
                yield error(
                    "id-unknown",
                    Where(file=f"{folder}/{child}.csv", row=_row(row), column=column, id=value),
                    (f"“{value}”不在 {parent}.csv 中。", f"{value!r} is not in {parent}.csv."),
                    (
                        f"是否为“{near}”?" if near else "请改正或补上。",
                        f"Did you mean {near!r}?" if near else "Correct it or add it there.",
                    ),
                )
    offers = tables["offers"]
    for low, high in (("places_min", "places_max"), ("occupancy_min", "occupancy_max")):
        for row in offers.index[offers[low] > offers[high]]:
            yield error(
                "bounds-reversed",
                Where(file=f"{folder}/offers.csv", row=_row(row), column=low),
                (f"{low} 大于 {high}。", f"{low} is above {high}."),
                ("请改正。", "Correct one of them."),
            )
    if "standards" in tables:
        yield from _check_dates(tables["standards"], folder)


def _check_dates(standards: pd.DataFrame, folder: str) -> Iterable[Finding]:
    file = f"{folder}/standards.csv"
    dated = standards.copy()
    for column in ("valid_from", "valid_until"):
        shape = dated[column].str.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
        bad = (dated[column] != "") & ~shape
        for row in dated.index[bad]:
            yield error(
                "date-not-iso",
                Where(file=file, row=_row(row), column=column),
                (
                    f"“{dated.loc[row, column]}”不是日期。",
                    f"{dated.loc[row, column]!r} is not a date.",
                ),
                ("请写成 2026-01-31。", "Write it as 2026-01-31."),
            )
        dated = dated[~bad]
    several = dated[dated.duplicated("id", keep=False)]
    for _, versions in several.groupby("id"):
        ordered = versions.sort_values("valid_from")
        for (_, one), (row, other) in zip(
            ordered.iloc[:-1].iterrows(), ordered.iloc[1:].iterrows(), strict=True
        ):
            if not one["valid_until"] or one["valid_until"] >= other["valid_from"]:
                until = one["valid_until"] or "…"
                yield error(
                    "standard-overlaps",
                    Where(file=file, row=_row(row), column="valid_from", id=str(other["id"])),
                    (
                        f"与版本{one['version']}({one['valid_from']}至{until})的有效期重叠。",
                        f"It overlaps version {one['version']} ({one['valid_from']} to {until}).",
                    ),
                    ("请填写旧版的失效日期。", "Give the older version its last day."),
                )


def _row(label: object) -> int:
    return int(str(label))


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _graded(row: Mapping[str, Any], name: str) -> dict[str, float]:
    return {g: float(row[f"{name}_{g}"]) for g in GRADES}


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|") if part.strip())


def _catalogue(tables: Mapping[str, pd.DataFrame], version: str) -> Catalogue:
    services = {
        r["id"]: Service(
            id=r["id"],
            name=Text(r["name_zh"], r["name_en"]),
            unit=r["unit"],
            unit_words=Text(r["unit_zh"], r["unit_en"]),
        )
        for r in _records(tables["services"].sort_values("id"))
    }
    offers: dict[str, list[Offer]] = {}
    graded = ("running_yuan_person_year", "staff", "fee_yuan_month", "insurance_yuan_month")
    for r in _records(tables["offers"].sort_values(["type", "id"])):
        plain = {f: r[f] for f in Offer.__dataclass_fields__ if f in r and f != "groups"}
        mapped: dict[str, Any] = {name: _graded(r, name) for name in graded}
        offers.setdefault(r["type"], []).append(
            Offer(**plain, **mapped, groups=_listed(r["groups"]))
        )
    provisions: dict[str, list[Provision]] = {}
    for r in _records(tables["provisions"].sort_values(["type", "mode", "from_states"])):
        plain = {f: r[f] for f in Provision.__dataclass_fields__ if f != "from_states"}
        provisions.setdefault(r["type"], []).append(
            Provision(**plain, from_states=_listed(r["from_states"]))
        )
    types = {}
    for r in _records(tables["facility_types"].sort_values("id")):
        types[r["id"]] = FacilityType(
            id=r["id"],
            name=Text(r["name_zh"], r["name_en"]),
            tier=r["tier"],
            area_classes=_listed(r["area_classes"]),
            running_yuan_year=r["running_yuan_year"],
            staff_fixed=r["staff_fixed"],
            offers=tuple(offers.get(r["id"], ())),
            provisions=tuple(provisions.get(r["id"], ())),
            ownership=r["ownership"],
            source=r["source"],
            mark=r["mark"],
        )
    standards: list[Standard] = []
    if "standards" in tables:
        for r in _records(tables["standards"].sort_values(["id", "valid_from", "version"])):
            titled = r | {
                "title": Text(r["title_zh"], r["title_en"]),
                "note": Text(r["note_zh"], r["note_en"]),
            }
            standards.append(Standard(**{n: titled[n] for n in Standard.__dataclass_fields__}))
    return Catalogue(version=version, services=services, types=types, standards=tuple(standards))
