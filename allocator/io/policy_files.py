"""Read the policy tables of a catalogue folder: norms, items, payers, tiers, steps, modes, quality.

Every fault of every file is told at once; nothing is repaired. Files are UTF-8 CSV with the header
of `TABLES`; other files of the folder (services, facility types) have their own reader.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from allocator.catalogue import (
    BasicListEntry,
    Catalogue,
    EquityFlag,
    Funder,
    Item,
    OutOfScope,
    ProvisionMode,
    QualityStandard,
    SharingTier,
    Standard,
    SubsidyStep,
    TargetGroup,
    Unit,
    UnitCost,
)
from allocator.errors import (
    Finding,
    InputRefused,
    Rank,
    Text,
    Where,
    nearest,
    refuse_if_any,
)
from allocator.io.paths import digest_of_file, inside
from allocator.standards import check_catalogue, check_local

__all__ = ["TABLES", "policy_digests", "read_local", "read_policy", "read_standards"]

Kind = Literal["text", "number", "number?", "integer", "yes-no", "list", "words"]


@dataclass(frozen=True, slots=True)
class _Table:
    """A file stem, the value it makes, and its columns with their kinds."""

    stem: str
    makes: Callable[..., Any]
    columns: Mapping[str, Kind]
    optional: frozenset[str] = frozenset()

    @property
    def header(self) -> tuple[str, ...]:
        out: list[str] = []
        for name, kind in self.columns.items():
            out += [f"{name}_zh", f"{name}_en"] if kind == "words" else [name]
        return tuple(out)


def _columns(text: str) -> dict[str, Kind]:
    """``a b:number c:words`` as a mapping; text where no kind is given."""
    out: dict[str, Kind] = {}
    for part in text.split():
        name, _, kind = part.partition(":")
        out[name] = kind or "text"  # type: ignore[assignment]
    return out


TABLES: Mapping[str, _Table] = {
    t.stem: t
    for t in (
        _Table("units", Unit, _columns("id name:words counts per_persons:number")),
        _Table("target_groups", TargetGroup, _columns("id name:words within:list track age_from:number? age_to:number?")),
        _Table(
            "standards", Standard,
            _columns("id version section title:words value:number unit direction group level payer agency basis source valid_from valid_until mark item service note:words"),
            frozenset({"section", "payer", "agency", "item", "service", "note_zh", "note_en"}),
        ),
        _Table(
            "items", Item,
            _columns("id domain:integer domain_name:words name:words kind group level payer agency sharing handling basis source valid_from valid_until mark service is_new:yes-no mode"),
        ),
        _Table(
            "basic_elderly_list", BasicListEntry,
            _columns("number:integer name:words group kind siting hard:yes-no service basis source mark note:words"),
        ),
        _Table("payers", Funder, _columns("id name:words kind pools:list share:number capped:yes-no mark source note:words")),
        _Table("sharing_tiers", SharingTier, _columns("tier:integer place:words kind central_share:number basis source mark")),
        _Table(
            "subsidy_steps", SubsidyStep,
            _columns("programme name:words payer pool modes:list places_min:number places_max:number group per yuan:number valid_from valid_until basis source mark"),
        ),
        _Table(
            "quality_standards", QualityStandard,
            _columns("id name:words service aspect criterion:words value:number? unit basis source mark"),
        ),
        _Table(
            "provision_modes", ProvisionMode,
            _columns("mode name:words setup_years:number contract_years:number price_factor:number market_share_max:number replaces_trips_share:number quality_floor needs_reason:yes-no basis source mark"),
        ),
        _Table("unit_costs", UnitCost, _columns("standard capital_yuan:number running_yuan_year:number workers:number persons_helped:number source mark")),
        _Table("out_of_scope", OutOfScope, _columns("id name:words reason:words source mark")),
        _Table("equity_flags", EquityFlag, _columns("kind index side threshold:number upper:number? unit name:words caution:words source mark")),
    )
}  # fmt: skip
_LARGEST_BYTES = 16 * 1024 * 1024


def policy_digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each policy file present, by file name."""
    files = {stem: folder / f"{stem}.csv" for stem in TABLES}
    return {
        f"{stem}.csv": digest_of_file(path)
        for stem, path in sorted(files.items())
        if path.is_file()
    }


def read_policy(
    folder: Path, base: Catalogue | None = None, fallback: Path | None = None
) -> Catalogue:
    """Read every policy table of a folder into a `Catalogue`.

    Parameters
    ----------
    folder
        Folder with the files of `TABLES`.
    base
        Catalogue whose services and facility types are kept; its version then follows the contents
        of the policy files too. None by default.
    fallback
        Folder whose files stand in for those that ``folder`` does not have; without it all are needed.

    Raises
    ------
    InputRefused
        With every fault of every file: missing files and columns, bad cells, unknown units, groups
        or marks, versions that overlap in time.
    """
    found: list[Finding] = []
    read: dict[str, list[Any]] = {}
    digest = hashlib.sha256((base.version if base is not None else "").encode())
    for stem, table in TABLES.items():
        read[stem] = []
        try:
            path = inside(folder, f"{stem}.csv")
        except InputRefused as refused:
            found += refused.findings
            continue
        if fallback is not None and not path.is_file():
            path = fallback / path.name
        read[stem] = _read(path, table, found)
        if path.is_file() and not found:
            digest.update(bytes.fromhex(digest_of_file(path)))
    if base is None:
        versions = {s.version for s in read["standards"]}
        base = Catalogue(version=max(versions, default=""), services={}, types={})
    else:
        base = replace(base, version=digest.hexdigest()[:12])
    catalogue = replace(
        base,
        standards=tuple(read["standards"]),
        items={x.id: x for x in read["items"]},
        basic_list=tuple(read["basic_elderly_list"]),
        groups={x.id: x for x in read["target_groups"]},
        units={x.id: x for x in read["units"]},
        funders={x.id: x for x in read["payers"]},
        tiers=tuple(read["sharing_tiers"]),
        steps=tuple(read["subsidy_steps"]),
        quality=tuple(read["quality_standards"]),
        modes={x.mode: x for x in read["provision_modes"]},
        unit_costs={x.standard: x for x in read["unit_costs"]},
        out_of_scope=tuple(read["out_of_scope"]),
        flags=tuple(read["equity_flags"]),
    )
    if not found:
        found += [f for f in check_catalogue(catalogue) if f.rank is Rank.ERROR]
    if found:
        raise InputRefused(tuple(found))
    return catalogue


def read_local(path: Path, national: Catalogue, on: str) -> tuple[Catalogue, tuple[Finding, ...]]:
    """Return the catalogue with a county's own norms beside the national ones, and what was found.

    Parameters
    ----------
    path
        The county's ``standards.csv``.
    on
        ISO date on which the county's norms are to be in force.

    Raises
    ------
    InputRefused
        With every fault of the file, and where a norm cannot be compared with the national one.
    """
    local = read_standards(path)
    found = check_catalogue(replace(national, standards=local))
    found = (*found, *check_local(national, local, on))
    return replace(national, local=local), refuse_if_any(dict.fromkeys(found))


def read_standards(path: Path) -> tuple[Standard, ...]:
    """Read one file of norms, such as a county's own.

    Raises
    ------
    InputRefused
        With every fault of the file. Overlaps in time are not refused here: `check_local` tells them.
    """
    found: list[Finding] = []
    rows = _read(path, TABLES["standards"], found)
    if found:
        raise InputRefused(tuple(found))
    return tuple(rows)


def _fault(code: str, path: Path, what: Text, remedy: Text, row: int | None = None, column: str = "") -> Finding:  # fmt: skip
    return Finding(Rank.ERROR, code, Where(file=path.name, row=row, column=column), what, remedy)


def _read(path: Path, table: _Table, found: list[Finding]) -> list[Any]:
    """Read one file into values, adding every fault to ``found``."""
    text = _text(path, table, found)
    if text is None:
        return []
    try:
        lines = list(csv.reader(text.splitlines(), strict=True))
    except csv.Error as problem:
        what = Text(f"CSV格式错误({problem})。", f"This is not CSV: {problem}.")
        found.append(_fault("csv-syntax", path, what, Text("请检查引号是否成对。", "Check that quotes are paired.")))  # fmt: skip
        return []
    header = [h.strip() for h in lines[0]] if lines else []
    faults = _header_faults(path, header, table)
    if faults:
        found += faults
        return []
    out = []
    for n, cells in enumerate(lines[1:], start=2):
        if not any(c.strip() for c in cells):
            continue
        if len(cells) != len(header):
            what = Text(f"应有{len(header)}列,实有{len(cells)}列。", f"Cells expected: {len(header)}, found: {len(cells)}.")  # fmt: skip
            found.append(_fault("row-length", path, what, Text("请核对逗号和引号。", "Check commas and quotes."), n))  # fmt: skip
            continue
        value = _row(path, table, dict(zip(header, cells, strict=True)), n, found)
        if value is not None:
            out.append(value)
    return out


def _text(path: Path, table: _Table, found: list[Finding]) -> str | None:
    expected = ",".join(table.header)
    remedy = Text(f"应为 UTF-8 CSV,表头:{expected}", f"Expected a UTF-8 CSV with the header {expected}")  # fmt: skip
    if not path.is_file():
        found.append(_fault("file-missing", path, Text("没有这个文件。", "The file is missing."), remedy))  # fmt: skip
        return None
    if path.stat().st_size > _LARGEST_BYTES:
        found.append(_fault("file-too-large", path, Text("文件过大。", "The file is too large."), remedy))  # fmt: skip
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        found.append(_fault("file-encoding", path, Text("不是 UTF-8 编码。", "The file is not UTF-8."), remedy))  # fmt: skip
        return None
    if not text.strip() or "\x00" in text:
        found.append(_fault("file-empty", path, Text("文件为空或不是文本。", "The file is empty or no text."), remedy))  # fmt: skip
        return None
    return text


def _header_faults(path: Path, header: list[str], table: _Table) -> list[Finding]:
    faults = []
    for name in table.header:
        if name not in header and name not in table.optional:
            near = nearest(name, [h for h in header if h not in table.header])
            remedy = Text(f"“{near}”是否应为“{name}”?", f"Should {near!r} be {name!r}?") if near else Text("请补上该列。", "Add the column.")  # fmt: skip
            faults.append(_fault("column-missing", path, Text(f"缺少列 {name}。", f"Column {name} is missing."), remedy, 1, name))  # fmt: skip
    for name in header:
        if name not in table.header:
            faults.append(_fault("column-unknown", path, Text(f"不认识的列 {name}。", f"Unknown column {name}."), Text("请删除或更名。", "Remove or rename it."), 1, name))  # fmt: skip
    if len(set(header)) != len(header):
        faults.append(_fault("column-twice", path, Text("表头有重复的列。", "A column stands twice."), Text("请删除重复列。", "Remove one."), 1))  # fmt: skip
    return faults


def _row(
    path: Path, table: _Table, cells: Mapping[str, str], n: int, found: list[Finding]
) -> Any | None:
    values: dict[str, Any] = {}
    before = len(found)
    for name, kind in table.columns.items():
        if kind == "words":
            zh, en = cells.get(f"{name}_zh", ""), cells.get(f"{name}_en", "")
            values[name] = Text(zh.strip(), en.strip())
            continue
        cell = cells.get(name, "").strip()
        try:
            values[name] = _cell(cell, kind)
        except ValueError:
            words = {"number": "a number", "number?": "a number or blank", "integer": "a whole number", "yes-no": "yes or no"}[kind]  # fmt: skip
            found.append(
                _fault(
                    "cell-unreadable", path,
                    Text(f"“{cell}”不是有效的值({kind})。", f"{cell!r} is not {words}."),
                    Text("请更正该单元格。", "Mend the cell."), n, name,
                )
            )  # fmt: skip
    return table.makes(**values) if len(found) == before else None


def _cell(cell: str, kind: Kind) -> Any:
    if kind == "text":
        return cell
    if kind == "list":
        return tuple(x.strip() for x in cell.split("|") if x.strip())
    if kind == "yes-no":
        if cell not in ("yes", "no"):
            raise ValueError(cell)
        return cell == "yes"
    if kind == "number?" and not cell:
        return math.nan
    if not cell.isascii() or "_" in cell:
        raise ValueError(cell)
    if kind == "integer":
        return int(cell)
    if cell == "inf":
        return math.inf
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(cell)
    return value
