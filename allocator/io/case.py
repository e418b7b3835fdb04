"""A case folder into a `Case`: every fault of every file at once, every default in the gaps' list.

``case.yaml`` says what county it is; the tables lie beside it as CSV, or as sheets of ``case.xlsx``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from allocator.case import Case
from allocator.catalogue import Catalogue
from allocator.errors import (
    NO_TEXT,
    Finding,
    InputRefused,
    Text,
    Where,
    plural,
    refuse_if_any,
)
from allocator.io.case_checks import check_case
from allocator.io.case_file import GEOGRAPHIC, UNREAD, CaseFile, Sentence
from allocator.io.case_gaps import (
    default_population,
    default_sites,
    least_findings,
    place_at_seats,
)
from allocator.io.case_sheets import (
    calibrated_rows,
    place_h3_cells,
    with_buildings,
    with_unit_costs,
)
from allocator.io.case_tables import Reading, bring_to_degrees, read_tables, table_twice
from allocator.io.catalogue_files import catalogue_and_findings
from allocator.io.datums import check_datums
from allocator.io.findings import data_gap, error
from allocator.io.paths import digest_of, digest_of_file, inside, read_bytes, shipped
from allocator.io.policy_files import read_local, read_policy
from allocator.io.population_files import read_people
from allocator.io.rates import read_case_rates
from allocator.io.travel_files import read_travel
from allocator.io.yaml_file import read_yaml, validated
from allocator.region import Region
from allocator.schema import SCHEMAS, Schema
from allocator.travel.journeys import TravelSpec, moved

__all__ = ["read_case"]

LOCAL_NORMS = "standards.csv"


def read_case(folder: Path | str) -> Case:
    """Return the case in a folder.

    Raises
    ------
    InputRefused
        With every fault of every file; nothing is repaired. What is missing and has a default
        becomes a finding ``data-gap-...`` of the case.
    """
    folder = Path(folder)
    name = "case.yaml"
    if not folder.is_dir():
        raise InputRefused(
            (
                error(
                    "folder-missing",
                    Where(file=folder.name),
                    ("找不到案例文件夹。", "There is no such case folder."),
                    (
                        "请检查路径;新案例可用 allocator init 建立。",
                        "Check the path; 'allocator init' makes a new one.",
                    ),
                ),
            )
        )
    findings: list[Finding] = []
    file: CaseFile | None = None
    try:
        file = validated(CaseFile, read_yaml(inside(folder, name)))
    except InputRefused as refused:
        findings += refused.findings
    # Tables are read even when case.yaml is at fault, so that all is told at once.
    reading = Reading(folder, file or UNREAD, findings)
    read_tables(reading)
    region_crs = bring_to_degrees(reading)
    for name in ("areas", "sites"):
        if name in reading.tables:
            reading.findings += place_h3_cells(reading.tables[name], name)
    outline = _read_outline(reading)
    catalogue = _read_catalogue(reading)
    rates = _read_rates(reading)
    travel = _read_travel(reading, catalogue, region_crs)
    _spread_people(reading, outline, rates, region_crs)
    _fill_gaps(reading, rates, travel)
    if file is not None:
        told = reading.rows_at_fault()
        reading.findings += check_case(reading.tables, outline, file, catalogue, told)
        reading.findings += check_datums(reading.tables, _roads(travel))
        _gaps_of_file(reading)
        _calibrate(reading, rates, travel, region_crs)
    reading.findings = [reading.placed(f) for f in reading.findings]
    refuse_if_any(reading.findings)
    assert file is not None and catalogue is not None
    return _case(reading, file, region_crs, outline, catalogue, rates, travel)


def _case(
    reading: Reading,
    file: CaseFile,
    crs: str,
    outline: gpd.GeoDataFrame | None,
    catalogue: Catalogue,
    rates: Mapping[str, pd.DataFrame],
    travel: TravelSpec,
) -> Case:
    tables = {n: _sorted(_named(t), SCHEMAS[n]) for n, t in reading.tables.items()}
    case_yaml = read_bytes(reading.folder / "case.yaml")
    return Case(
        region=Region(
            id=file.id,
            title=file.title.text,
            crs=crs,
            townships=tables["townships"],
            areas=tables["areas"],
            sites=tables["sites"],
            homes=tables["homes"],
            outline=outline,
            seat=file.seat,
        ),
        base_year=file.base_year,
        population=tables["population"],
        catalogue=catalogue,
        rates=rates,
        travel=travel,
        placements=tables.get("placements"),
        disclaimer=_text(file.disclaimer),
        map_footer=_text(file.map_footer),
        finest_published=file.finest_published,
        sources=tuple(s.model_dump() for s in file.sources),
        digests=dict(sorted({**reading.digests, "case.yaml": digest_of(case_yaml)}.items())),
        findings=tuple(reading.findings),
    )


def _text(sentence: Sentence | None) -> Text:
    return NO_TEXT if sentence is None else Text(sentence.zh, sentence.en)


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which what has no English name goes by its Chinese one."""
    if "name_en" not in table or "name_zh" not in table:
        return table
    return table.assign(name_en=table["name_en"].where(table["name_en"] != "", table["name_zh"]))


def _sorted(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    return table.sort_values(list(schema.key), kind="stable").reset_index(drop=True)


def _read_outline(reading: Reading) -> gpd.GeoDataFrame | None:
    path = reading.folder / "outline.geojson"
    if not path.exists() and not path.is_symlink():
        reading.findings.append(
            data_gap(
                "outline",
                Where(file="outline.geojson"),
                ("没有县界。", "there is no county outline."),
                (
                    "地图不画县界,也不检查点位是否在县内。",
                    "Maps show none; points are not tested against it.",
                ),
            )
        )
        return None
    from allocator.io.layers import read_outline

    try:
        outline, found = read_outline(inside(reading.folder, path.name))
    except InputRefused as refused:
        reading.findings += refused.findings
        return None
    reading.findings += found
    reading.digests[path.name] = digest_of_file(path)
    return outline


def _read_catalogue(reading: Reading) -> Catalogue | None:
    name = reading.file.catalogue
    try:
        folder = shipped("data/catalogue") if name == "shipped" else inside(reading.folder, name)
    except InputRefused as refused:
        reading.findings += refused.findings
        return None
    catalogue, found = catalogue_and_findings(folder)
    reading.findings += found
    catalogue = _with_policy(reading, folder, catalogue)
    costs = reading.tables.get("unit_costs")
    if name == "shipped" and costs is None:
        reading.findings.append(
            data_gap(
                "catalogue",
                Where(file="catalogue"),
                (
                    "没有本地设施目录和单位造价。",
                    "there is no local catalogue with local unit costs.",
                ),
                (
                    "使用随附目录;造价为示意。",
                    "The shipped catalogue stands in; its costs are illustrative.",
                ),
            )
        )
    if catalogue is None or costs is None:
        return catalogue
    catalogue, faults = with_unit_costs(catalogue, costs)
    reading.findings += faults
    left = sum(
        p.mark not in ("stated", "verified") for x in catalogue.types.values() for p in x.provisions
    )
    if left:
        reading.findings.append(
            data_gap(
                "unit-costs",
                Where(file="unit_costs.csv"),
                (
                    f"{left}种建设方式没有本地造价。",
                    f"{plural(left, 'way of provision has', 'ways of provision have')} no local unit cost.",
                ),
                (
                    "这些仍用随附目录的示意造价。",
                    "The shipped catalogue's illustrative costs stand in for them.",
                ),
            )
        )
    return catalogue


def _with_policy(reading: Reading, folder: Path, catalogue: Catalogue | None) -> Catalogue | None:
    """Add norms, payers, modes and the other policy tables, and the county's own norms beside them.

    Policy tables that a county's own catalogue does not have are those of the shipped one.
    """
    base = catalogue or Catalogue(version="", services={}, types={})
    on = f"{reading.file.base_year}-12-31"
    try:
        base = read_policy(folder, base, shipped("data/catalogue"))
        if (path := reading.folder / LOCAL_NORMS).exists() or path.is_symlink():
            path = inside(reading.folder, LOCAL_NORMS)
            base, found = read_local(path, base, on)
            reading.findings += found
            reading.digests[LOCAL_NORMS] = digest_of_file(path)
    except InputRefused as refused:
        reading.findings += refused.findings
    return base if catalogue is not None else None


def _calibrate(
    reading: Reading, rates: dict[str, pd.DataFrame], travel: TravelSpec, crs: str
) -> None:
    """Add a curve fitted to the origins of today's residents; say so where there are none."""
    if "origins" not in reading.tables:
        reading.findings.append(
            data_gap(
                "origins",
                Where(file="origins.csv"),
                ("没有入住来源表。", "there is no table of where today's residents came from."),
                (
                    "使用假定的意愿曲线,未经本地校准。",
                    "The assumed willingness curve stands in, not calibrated locally.",
                ),
            )
        )
        return
    if any(f.rank == "error" for f in reading.findings):
        return
    rows, found = calibrated_rows(reading.tables, rates, travel, crs)
    reading.findings += found
    if rows is not None:
        rates["willingness"] = pd.concat([rates["willingness"], rows], ignore_index=True)


def _read_rates(reading: Reading) -> dict[str, pd.DataFrame]:
    rates, digests, found = read_case_rates(reading.folder, reading.file.encoding)
    reading.findings += found
    reading.digests |= digests
    return rates


def _read_travel(reading: Reading, catalogue: Catalogue | None, crs: str) -> TravelSpec:
    types = () if catalogue is None else catalogue.types.values()
    modes = sorted({o.travel for t in types for o in t.offers})
    names: tuple[str, ...] = ("distances", "matrix")
    tables = {n: _sorted(reading.tables[n], SCHEMAS[n]) for n in names if n in reading.tables}
    spec, digests, found = read_travel(
        reading.folder, reading.file.travel, tables=tables, modes=modes, crs=crs
    )
    reading.findings += found
    reading.digests |= digests
    return spec


def _spread_people(
    reading: Reading,
    outline: gpd.GeoDataFrame | None,
    rates: Mapping[str, pd.DataFrame],
    crs: str,
) -> None:
    """Bring people of a raster or of zones to the areas; stated totals of areas stay."""
    file, tables = reading.file.population, reading.tables
    if file is None or not len(tables["areas"]):
        return
    if "population" in tables:
        reading.findings.append(table_twice("population"))
        return
    spread = read_people(
        reading.folder, file, areas=tables["areas"], townships=tables["townships"],
        outline=outline, standard=rates.get("standard_population"), crs=crs,
    )  # fmt: skip
    reading.findings += spread.findings
    reading.digests |= spread.digests
    if spread.table is not None:
        tables["population"] = spread.table
    elif spread.totals is not None:
        blank = tables["areas"]["population"].isna()
        tables["areas"].loc[blank, "population"] = spread.totals[blank.to_numpy()]


def _roads(travel: TravelSpec) -> np.ndarray | None:
    """Return points along the roads in degrees, of any one mode; None without a network."""
    network = next(iter(travel.networks.values()), None)
    return None if network is None else moved(network.xy, network.crs, GEOGRAPHIC)


def _fill_gaps(reading: Reading, rates: Mapping[str, pd.DataFrame], travel: TravelSpec) -> None:
    """Put marked defaults where optional tables are missing, and say so."""
    tables = reading.tables
    fillers: tuple[tuple[str, Callable[..., Any], tuple[Any, ...]], ...] = (
        ("sites", default_sites, (tables, reading.file)),
        ("population", default_population, (tables, rates, reading.file.base_year)),
    )
    for name, make, arguments in fillers:
        if name not in tables:
            tables[name], found = make(*arguments)
            reading.findings += found
    if "buildings" in tables:
        known = len(tables["sites"])
        tables["sites"], found = with_buildings(tables["sites"], tables["buildings"])
        added = tables["sites"].iloc[known:].copy()
        reading.findings += [*found, *place_at_seats(added, tables["areas"])]
        tables["sites"] = pd.concat([tables["sites"].iloc[:known], added])
    reading.findings += least_findings(tables, travel.methods, reading.rows_at_fault())


def _gaps_of_file(reading: Reading) -> None:
    """Say which declarations of ``case.yaml`` are missing."""
    file = reading.file
    where = Where(file="case.yaml")
    if file.declared_population is None:
        reading.findings.append(
            data_gap(
                "declared-population",
                replace(where, column="declared_population"),
                ("没有公布的县总人口。", "the county's published total is not declared."),
                ("未核对乡镇合计。", "The sum of townships is not compared with it."),
            )
        )
