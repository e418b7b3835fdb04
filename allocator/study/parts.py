"""One Parquet part a run: what comparisons of thousands of runs need, in one form.

Columns: ``run`` (id), ``kind``, ``id``, ``year``, ``value``, ``text``. Kinds:

=============  ==========================  ==========================================
kind           id                          value, text
=============  ==========================  ==========================================
``indicator``  indicator                   value; text is the unit
``objective``  objective                   value at the end; text is the unit
``bound``      objective                   proven bound
``gap``        ``plan``                    largest gap; text is the status
``shortfall``  rule                        people short of the target
``site``       site                        capital, yuan; text is the state
``township``   township/service            served share
``group``      service/group               people served, of need in ``need``
``need``       service/group               people in need
=============  ==========================  ==========================================

The digest of a part stands in its name, so a part that was cut or edited is known by reading it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import pandas as pd

from allocator.io.paths import digest_of
from allocator.run import Run

__all__ = ["COLUMNS", "part_bytes", "part_name", "part_of"]

COLUMNS = ("run", "kind", "id", "year", "value", "text")


def part_of(run: Run) -> pd.DataFrame:
    """Return the part of a run; rows in one fixed order."""
    end = run.scenario.years[-1]
    rows: list[tuple[str, str, int, float, str]] = []
    for r in run.tables["indicators"].itertuples():
        rows.append(("indicator", str(r.indicator), int(r.year), float(r.value), str(r.unit)))
    for o in run.measures["objectives"]:
        rows.append(("objective", o["id"], end, float(o["value"]), o["unit"]))
        rows.append(("bound", o["id"], end, float(o["bound"]), o["unit"]))
    rows.append(("gap", "plan", end, float(run.measures["gap"]), str(run.measures["status"])))
    for rule, value in sorted(run.measures["shortfalls"].items()):
        rows.append(("shortfall", rule, end, float(value), ""))
    for r in run.tables["sites"].itertuples():
        rows.append(("site", str(r.site_id), int(r.year), float(r.capital_yuan), str(r.state)))
    for r in run.tables["townships"].itertuples():
        rows.append(("township", f"{r.township_id}/{r.service}", int(r.year), float(r.share), ""))
    for r in run.tables["needs"].itertuples():
        rows.append(("group", f"{r.service}/{r.group}", int(r.year), float(r.served), ""))
        rows.append(("need", f"{r.service}/{r.group}", int(r.year), float(r.need), ""))
    table = pd.DataFrame(rows, columns=list(COLUMNS[1:]))
    table.insert(0, "run", run.id)
    return table


def part_bytes(run: Run) -> bytes:
    """Return the part of a run as the bytes of a Parquet file: equal runs give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [(c, pa.string()) for c in ("run", "kind", "id")]
        + [("year", pa.int64()), ("value", pa.float64()), ("text", pa.string())]
    )
    out = io.BytesIO()
    table = pa.Table.from_pandas(part_of(run), schema=schema, preserve_index=False)
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def part_name(run_id: str, data: bytes) -> str:
    """Return the file name of a part: run id and digest."""
    return f"{run_id}-{digest_of(data)[:16]}.parquet"


def read_parts(paths: Iterable[str], kinds: Iterable[str]) -> pd.DataFrame:
    """Read parts together, only the kinds asked for: with DuckDB, else with Arrow."""
    wanted = list(kinds)
    files = list(paths)
    if not files:
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        import duckdb
    except ImportError:
        return _by_arrow(files, wanted)
    with duckdb.connect() as door:
        found: Any = door.execute(
            "select run, kind, id, year, value, text from read_parquet($files)"
            " where list_contains($kinds, kind) order by run, kind, id, year",
            {"files": files, "kinds": wanted},
        )
        frame: pd.DataFrame = found.df()
    return frame


def _by_arrow(files: list[str], kinds: list[str]) -> pd.DataFrame:
    import pyarrow.dataset as ds

    table = ds.dataset(files, format="parquet").to_table(filter=ds.field("kind").isin(kinds))
    frame: pd.DataFrame = table.to_pandas()
    return frame.sort_values(["run", "kind", "id", "year"], ignore_index=True)
