"""What Shapefiles have of their own: texts whose encoding is not stated, and names of ten bytes."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import pandas as pd

from allocator.errors import Finding, Where
from allocator.io.findings import error, notice, refusal
from allocator.io.paths import MEBIBYTE, read_bytes
from allocator.io.tables import column_of
from allocator.schema import Column, Schema

__all__ = [
    "BYTES",
    "read_shapefile",
    "refuse_undeclared_text",
    "stated_encoding",
    "with_long_names",
]

MAX_BYTES = 500 * MEBIBYTE
BYTES = "ISO-8859-1"
"""The encoding in which a letter is a byte."""


def read_shapefile(path: Path, encoding: str | None) -> gpd.GeoDataFrame:
    """Read a Shapefile; a letter of which ten bytes hold a part only is left off a field's name."""
    import pyogrio

    try:
        return pyogrio.read_dataframe(path, **({"encoding": encoding} if encoding else {}))
    except UnicodeDecodeError:
        frame = pyogrio.read_dataframe(path, encoding=BYTES)
    real = encoding or stated_encoding(path) or "utf-8"
    plain = pd.DataFrame(frame.drop(columns="geometry", errors="ignore"))
    for column in plain.select_dtypes(["object", "string"]).columns:
        texts = [_again(v, real) if isinstance(v, str) else v for v in plain[column]]
        frame[column] = pd.Series(texts, index=frame.index, dtype=object)
    return frame.rename(columns={c: _again(str(c), real, "ignore") for c in plain.columns})


def _again(text: str, encoding: str, errors: str = "strict") -> str:
    """Return in its own encoding a text that was read byte by byte."""
    return text.encode(BYTES).decode(encoding, errors)


def stated_encoding(path: Path) -> str | None:
    """Return what a Shapefile's ``.cpg`` says, None where it has none or none that is known."""
    beside = path.with_suffix(".cpg")
    if not beside.is_file():
        return None
    word = read_bytes(beside, 1000).decode("ascii", "replace").strip().lower()
    try:
        return codecs.lookup(f"cp{word}" if word.isdecimal() else word).name
    except (LookupError, ValueError):
        return None


def refuse_undeclared_text(path: Path, where: Where) -> None:
    """Refuse a Shapefile without a code page whose texts are not UTF-8: GBK reads as mojibake, silently."""
    table = path.with_suffix(".dbf")
    if path.with_suffix(".cpg").exists() or not table.is_file():
        return
    try:
        read_bytes(table, MAX_BYTES).decode("utf-8", errors="strict")
    except UnicodeDecodeError as problem:
        text = bytes(problem.object)[problem.start : problem.start + 64]
        if _is_gbk(text):
            raise refusal(
                "encoding-undeclared",
                where,
                (
                    "属性表没有声明编码,像是GBK。",
                    "The attribute table declares no encoding; it looks like GBK.",
                ),
                (
                    "请在 case.yaml 中写 encoding: gb18030,或附 .cpg 文件。",
                    "Write encoding: gb18030 in case.yaml, or add a .cpg file.",
                ),
            ) from problem


def with_long_names(
    frame: gpd.GeoDataFrame, schema: Schema, where: Where
) -> tuple[gpd.GeoDataFrame, list[Finding]]:
    """Give a Shapefile's field names, cut to ten bytes, their full ones where only one fits; tell all."""
    taken = {c.name for f in frame.columns if (c := column_of(str(f), schema))}
    full: dict[str, str] = {}
    found: list[Finding] = []
    for field in map(str, frame.columns):
        if field == frame._geometry_column_name or column_of(field, schema) is not None:
            continue
        fits = [c for c in schema.columns if any(_is_cut(field, w) for w in c.words)]
        if len(fits) > 1 and any(c.name not in taken for c in fits):
            found.append(_cut_twice(field, fits, where))
        elif len(fits) == 1 and fits[0].name not in taken:
            full[field] = fits[0].name
            taken.add(fits[0].name)
    if full:
        listed = [f"{short} → {name}" for short, name in full.items()]
        found.append(
            notice(
                "field-names-cut",
                where,
                (
                    f"Shapefile的字段名被截到10字节,已按全名读取:{'、'.join(listed)}。",
                    f"Names of fields were cut to ten bytes and read by their full ones: {', '.join(listed)}.",
                ),
                ("请核对。", "Check that they are meant."),
            )
        )
    return frame.rename(columns=full), found


def _is_cut(field: str, word: str) -> bool:
    """Whether a field's name is what ten bytes hold of a longer word, in UTF-8 or in GBK."""
    for encoding in ("utf-8", "gb18030"):
        data = word.encode(encoding)
        if len(data) > 10 and data[:10].decode(encoding, "ignore").lower() == field.lower():
            return True
    return False


def _cut_twice(field: str, fits: Sequence[Column], where: Where) -> Finding:
    short = [min(c.words, key=lambda w: len(w.encode())) for c in fits]
    return error(
        "field-name-ambiguous",
        Where(file=where.file, row=1, column=field[:60]),
        (
            f"字段名“{field}”被截断,可能是{'、'.join(c.zh for c in fits)}。",
            f"The name of the field {field!r} was cut: it may be {' or '.join(c.name for c in fits)}.",
        ),
        (
            f"请改用短字段名:{'、'.join(short)}。",
            f"Give the fields short names: {', '.join(short)}.",
        ),
    )


def _is_gbk(text: bytes) -> bool:
    return any(b >= 0x81 for b in text)
