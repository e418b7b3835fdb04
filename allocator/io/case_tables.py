"""The tables of a case from CSV, sheets of its workbook or map layers, points in degrees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from allocator.errors import Finding, InputRefused, Where
from allocator.io.case_file import GEOGRAPHIC, CaseFile
from allocator.io.coordinates import DATUMS, to_degrees
from allocator.io.findings import error
from allocator.io.layers import LAYER_SUFFIXES, read_layer
from allocator.io.paths import digest_of_file, inside
from allocator.io.tables import empty_table, read_table
from allocator.schema import SCHEMAS, Schema

__all__ = ["Reading", "bring_to_degrees", "read_tables", "table_twice"]

WORKBOOK = "case.xlsx"
NEEDED = ("townships", "areas", "homes")

Read = tuple[pd.DataFrame, tuple[Finding, ...]]
"""A table and what was found in it."""


@dataclass(eq=False)
class Reading:
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

    def rows_at_fault(self) -> set[tuple[str, int | None]]:
        """Return table and row of each error found so far."""
        tables = {title: name for name, title in self.sheets.items()}
        errors = [f.where for f in self.findings if f.rank == "error"]
        return {(tables.get(w.sheet) or w.file.rpartition(".")[0], w.row) for w in errors}


def read_tables(reading: Reading) -> None:
    """Read each table from CSV, or from the workbook where there is one and no CSV."""
    folder, file = reading.folder, reading.file
    book = folder / WORKBOOK
    sheets: dict[str, Read] = {}
    if book.exists():
        from allocator.io.workbook import read_workbook

        try:
            bounded = {n: _with_bounds(s, file.crs) for n, s in SCHEMAS.items()}
            sheets, reading.sheets = read_workbook(
                inside(folder, WORKBOOK), schemas=bounded, thousands=file.thousands
            )
            reading.digests[WORKBOOK] = digest_of_file(book)
        except InputRefused as refused:
            reading.findings += refused.findings
            reading.tables |= {n: empty_table(SCHEMAS[n]) for n in NEEDED}
    for name, schema in SCHEMAS.items():
        schema = _with_bounds(schema, file.crs)
        path = folder / f"{name}.csv"
        layer = _layer_of(folder, name)
        if name in sheets and name not in NEEDED and _is_unfilled(sheets[name]):
            reading.sheets = {k: v for k, v in reading.sheets.items() if k != name}
            del sheets[name]
        if sum((path.exists(), layer is not None, name in sheets)) > 1:
            reading.findings.append(table_twice(name))
        if path.exists() or path.is_symlink():
            read = _of_file(reading, path, schema)
        elif layer is not None:
            read = _of_file(reading, layer, SCHEMAS[name])
            reading.in_degrees.add(name)
        elif name in sheets:
            read = sheets[name]
        elif name in NEEDED and name not in reading.tables:
            read = _of_file(reading, path, schema)
        else:
            continue
        reading.tables[name], found = read
        reading.findings += found


def _of_file(reading: Reading, path: Path, schema: Schema) -> Read:
    """Read a table from its CSV file or map layer; its digest is kept where it holds."""
    try:
        inside(reading.folder, path.name)
    except InputRefused as refused:
        return empty_table(schema), refused.findings
    file = reading.file
    if path.suffix == ".csv":
        read = read_table(path, schema, encoding=file.encoding, thousands=file.thousands)
    else:
        read = read_layer(
            path,
            schema,
            crs=file.crs if "crs" in file.model_fields_set else None,
            encoding=None if file.encoding == "utf-8" else file.encoding,
        )
    # Only then: a file refused for its size is not read to its end.
    if all(f.rank != "error" for f in read[1]):
        reading.digests[path.name] = digest_of_file(path)
    return read


def _is_unfilled(read: Read) -> bool:
    """Whether a sheet of the template was left empty."""
    return not len(read[0]) and {f.code for f in read[1] if f.rank == "error"} == {"no-rows"}


def _layer_of(folder: Path, name: str) -> Path | None:
    """Return the map layer that holds a table of places, if there is one."""
    if name not in ("areas", "sites"):
        return None
    layers = [p for s in LAYER_SUFFIXES if (p := folder / f"{name}{s}").exists()]
    return layers[0] if layers else None


def table_twice(name: str) -> Finding:
    """Return the error that a table stands in several files."""
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


def bring_to_degrees(reading: Reading) -> str:
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
