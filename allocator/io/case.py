"""A case folder into a `Case`: every fault of every file at once, every default in the gaps' list.

``case.yaml`` says what county it is; the tables lie beside it as CSV, or as sheets of ``case.xlsx``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

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
from allocator.io.catalogue_files import catalogue_and_findings
from allocator.io.coordinates import DATUMS, to_degrees
from allocator.io.datums import check_datums
from allocator.io.findings import data_gap, error
from allocator.io.paths import digest_of, inside, read_bytes, shipped
from allocator.io.policy_files import read_local, read_policy
from allocator.io.population_files import PopulationFile, read_people
from allocator.io.rates import read_case_rates
from allocator.io.tables import empty_table, read_table
from allocator.io.travel_files import TravelFile, read_travel
from allocator.io.yaml_file import read_yaml, validated
from allocator.region import Region
from allocator.scenario import Title
from allocator.schema import SCHEMAS, Schema
from allocator.travel.journeys import TravelSpec, moved

__all__ = ["CaseFile", "read_case"]

WORKBOOK = "case.xlsx"
LOCAL_NORMS = "standards.csv"
GEOGRAPHIC = "EPSG:4490"
NEEDED = ("townships", "areas", "homes")
LAYER_SUFFIXES = (".gpkg", ".shp", ".geojson", ".parquet")
_ID = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sentence(_Strict):
    """A sentence in both languages."""

    zh: str = Field(max_length=500)
    en: str = Field(max_length=500)


class SourceFile(_Strict):
    """One line of ``sources``: what it is, from where, under which licence, in which files.

    ``title_zh`` and ``source_zh`` are what a Chinese report prints.
    """

    title: str
    source: str
    title_zh: str = ""
    source_zh: str = ""
    licence: str = ""
    mark: Literal["counted", "modelled", "synthetic"] = "counted"
    files: str = ""


class CaseFile(_Strict):
    """``case.yaml``."""

    id: _ID
    title: Title
    crs: str = Field(default=GEOGRAPHIC, max_length=40)
    base_year: int = Field(ge=1990, le=2100)
    declared_population: int | None = Field(default=None, ge=0)
    seat: tuple[float, float] | None = None
    travel: TravelFile = TravelFile()
    population: PopulationFile | None = None
    catalogue: str = "shipped"
    disclaimer: Sentence | None = None
    map_footer: Sentence | None = None
    finest_published: Literal["county", "township", "village"] = "township"
    encoding: Literal["utf-8", "gb18030"] = "utf-8"
    thousands: bool = False
    sources: tuple[SourceFile, ...] = ()


@dataclass(eq=False)
class _Reading:
    """What has been read of one case so far."""

    folder: Path
    file: CaseFile
    findings: list[Finding] = field(default_factory=list)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    sheets: Mapping[str, str] = field(default_factory=dict)
    in_degrees: set[str] = field(default_factory=set)

    def placed(self, finding: Finding) -> Finding:
        """Return a finding of a table with the sheet it really came from."""
        table, _, suffix = finding.where.file.rpartition(".")
        if suffix != "csv" or table not in self.sheets:
            return finding
        return replace(
            finding, where=replace(finding.where, file=WORKBOOK, sheet=self.sheets[table])
        )


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
    reading = _Reading(folder, file or _STAND_IN, findings)
    _read_tables(reading)
    region_crs = _to_degrees(reading)
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
        reading.findings += check_case(reading.tables, outline, file, catalogue)
        reading.findings += check_datums(reading.tables, _roads(travel))
        _gaps_of_file(reading)
        _calibrate(reading, rates, travel, region_crs)
    reading.findings = [reading.placed(f) for f in reading.findings]
    refuse_if_any(reading.findings)
    assert file is not None and catalogue is not None
    return _case(reading, file, region_crs, outline, catalogue, rates, travel)


_STAND_IN = CaseFile(id="unread", title=Title(zh="", en=""), base_year=2020)


def _case(
    reading: _Reading,
    file: CaseFile,
    crs: str,
    outline: gpd.GeoDataFrame | None,
    catalogue: Catalogue,
    rates: Mapping[str, pd.DataFrame],
    travel: TravelSpec,
) -> Case:
    tables = {n: _sorted(t, SCHEMAS[n]) for n, t in reading.tables.items()}
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


def _sorted(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    return table.sort_values(list(schema.key), kind="stable").reset_index(drop=True)


def _read_tables(reading: _Reading) -> None:
    """Read each table from CSV, or from the workbook where there is one and no CSV."""
    folder, file = reading.folder, reading.file
    book = folder / WORKBOOK
    sheets: dict[str, tuple[pd.DataFrame, tuple[Finding, ...]]] = {}
    if book.exists():
        from allocator.io.workbook import read_workbook

        try:
            bounded = {n: _with_bounds(s, file.crs) for n, s in SCHEMAS.items()}
            sheets, reading.sheets = read_workbook(
                inside(folder, WORKBOOK), schemas=bounded, thousands=file.thousands
            )
            reading.digests[WORKBOOK] = digest_of(book.read_bytes())
        except InputRefused as refused:
            reading.findings += refused.findings
            return
    for name, schema in SCHEMAS.items():
        schema = _with_bounds(schema, file.crs)
        path = folder / f"{name}.csv"
        layer = _layer_of(folder, name)
        if name in sheets and name not in NEEDED and _is_unfilled(sheets[name]):
            reading.sheets = {k: v for k, v in reading.sheets.items() if k != name}
            del sheets[name]
        if sum((path.exists(), layer is not None, name in sheets)) > 1:
            reading.findings.append(_twice(name))
        if path.exists() or path.is_symlink():
            read = _csv_reader(reading, path, schema)
        elif layer is not None:
            read = _layer_reader(reading, layer, SCHEMAS[name])
            reading.in_degrees.add(name)
        elif name in sheets:
            read = sheets[name]
        elif name in NEEDED:
            read = _csv_reader(reading, path, schema)
        else:
            continue
        reading.tables[name], found = read
        reading.findings += found


def _csv_reader(
    reading: _Reading, path: Path, schema: Schema
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    try:
        inside(reading.folder, path.name)
    except InputRefused as refused:
        return empty_table(schema), refused.findings
    table = read_table(
        path, schema, encoding=reading.file.encoding, thousands=reading.file.thousands
    )
    if path.is_file():
        reading.digests[path.name] = digest_of(path.read_bytes())
    return table


def _is_unfilled(read: tuple[pd.DataFrame, tuple[Finding, ...]]) -> bool:
    """Whether a sheet of the template was left empty."""
    return not len(read[0]) and {f.code for f in read[1] if f.rank == "error"} == {"no-rows"}


def _layer_of(folder: Path, name: str) -> Path | None:
    """Return the map layer that holds a table of places, if there is one."""
    if name not in ("areas", "sites"):
        return None
    layers = [p for s in LAYER_SUFFIXES if (p := folder / f"{name}{s}").exists()]
    return layers[0] if layers else None


def _layer_reader(
    reading: _Reading, path: Path, schema: Schema
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    from allocator.io.layers import read_layer

    try:
        inside(reading.folder, path.name)
    except InputRefused as refused:
        return empty_table(schema), refused.findings
    file = reading.file
    reading.digests[path.name] = digest_of(path.read_bytes())
    return read_layer(
        path,
        schema,
        crs=file.crs if "crs" in file.model_fields_set else None,
        encoding=None if file.encoding == "utf-8" else file.encoding,
    )


def _twice(name: str) -> Finding:
    return error(
        "table-twice",
        Where(id=name),
        (
            f"表 {name} 有多个来源(CSV、图层或工作表)。",
            f"The table {name} stands in several files.",
        ),
        ("请只保留一处。", "Keep one of them."),
    )


def _is_projected(crs: str) -> bool:
    if crs.upper() in DATUMS or not crs.upper().startswith("EPSG:"):
        return False
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return bool(CRS.from_user_input(crs).is_projected)
    except CRSError:
        return False


def _with_bounds(schema: Schema, crs: str) -> Schema:
    """Return the schema, in metres instead of degrees where the declared system is projected."""
    if not _is_projected(crs):
        return schema
    columns = tuple(
        replace(c, unit="m", minimum=-1e7, maximum=1e8) if c.unit == "degree" else c
        for c in schema.columns
    )
    return replace(schema, columns=columns)


def _to_degrees(reading: _Reading) -> str:
    """Bring points of any declared system to degrees; return the system of the region."""
    crs = reading.file.crs
    where = Where(file="case.yaml", column="crs")
    result = GEOGRAPHIC if reading.in_degrees else crs
    for name in ("areas", "sites", "homes", "buildings", "placements"):
        table = reading.tables.get(name)
        if table is None or name in reading.in_degrees:
            continue
        known = table["lon"].notna() & table["lat"].notna()
        try:
            lon, lat, result, found = to_degrees(
                table.loc[known, "lon"], table.loc[known, "lat"], crs, where
            )
        except InputRefused as refused:
            reading.findings += [f for f in refused.findings if f not in reading.findings]
            return crs
        table.loc[known, "lon"], table.loc[known, "lat"] = lon, lat
        reading.findings += [f for f in found if f not in reading.findings]
    return result


def _read_outline(reading: _Reading) -> gpd.GeoDataFrame | None:
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
    reading.digests[path.name] = digest_of(path.read_bytes())
    return outline


def _read_catalogue(reading: _Reading) -> Catalogue | None:
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


def _with_policy(reading: _Reading, folder: Path, catalogue: Catalogue | None) -> Catalogue | None:
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
            reading.digests[LOCAL_NORMS] = digest_of(path.read_bytes())
    except InputRefused as refused:
        reading.findings += refused.findings
    return base if catalogue is not None else None


def _calibrate(
    reading: _Reading, rates: dict[str, pd.DataFrame], travel: TravelSpec, crs: str
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


def _read_rates(reading: _Reading) -> dict[str, pd.DataFrame]:
    rates, digests, found = read_case_rates(reading.folder, reading.file.encoding)
    reading.findings += found
    reading.digests |= digests
    return rates


def _read_travel(reading: _Reading, catalogue: Catalogue | None, crs: str) -> TravelSpec:
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
    reading: _Reading,
    outline: gpd.GeoDataFrame | None,
    rates: Mapping[str, pd.DataFrame],
    crs: str,
) -> None:
    """Bring people of a raster or of zones to the areas; stated totals of areas stay."""
    file, tables = reading.file.population, reading.tables
    if file is None or not len(tables["areas"]):
        return
    if "population" in tables:
        reading.findings.append(_twice("population"))
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


def _fill_gaps(reading: _Reading, rates: Mapping[str, pd.DataFrame], travel: TravelSpec) -> None:
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
    reading.findings += least_findings(tables, travel.methods)


def _gaps_of_file(reading: _Reading) -> None:
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
