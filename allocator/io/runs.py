"""Run folders: written whole or not at all, the manifest last, a digest for every file.

::

    inputs.json      case, scenario, digests of inputs, versions
    problem.npz      the `Problem`, arrays and sets
    plan/*.parquet   stints, places, served, unmet, prices; plan/plan.json: status, bound, gap
    tables/*.parquet the results by name
    measures.json    scores and indicators
    findings.json    everything found on the way
    manifest.json    format, versions, and size and digest of each file; its own digest

Where a limit came before any plan, what was found has ``incomplete.json`` in the place of the manifest and
neither tables nor measures: no reader takes it for a run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from allocator.errors import AllocatorError, CheckFailed, Finding, Rank, Text, Where
from allocator.io.findings import error, refusal
from allocator.io.paths import checked_name, digest_of, inside, not_writable, read_bytes
from allocator.io.values import from_npz, from_plain, json_bytes, to_npz, to_plain
from allocator.plan import Plan
from allocator.run import Incomplete, Run
from allocator.scenario import Scenario

__all__ = [
    "FORMAT",
    "find_run",
    "has_run",
    "is_incomplete",
    "is_whole",
    "read_manifest",
    "read_run",
    "run_files",
    "run_of_files",
    "stored_runs",
    "write_incomplete",
    "write_run",
    "write_run_files",
]

FORMAT = 2
MANIFEST, INCOMPLETE = "manifest.json", "incomplete.json"
MAX_FILE = 4 << 30
STALE_SECONDS = 86_400
_PACKAGES = ("service-allocator", "numpy", "scipy", "pandas", "pyarrow", "highspy", "pulp", "numba")
_SERVED = ("served_arc", "served_group", "served_period", "served_future", "served")
_UNMET = ("area", "service", "group", "period", "future")


def write_run(path: Path | str, run: Run) -> Path:
    """Write a run to the folder ``path``, usually ``<scenario>-<id>``, and return it.

    Files go to a hidden folder beside it, each flushed to disk, the manifest last; then the folder
    is renamed. A run that was there is replaced. Equal runs give equal bytes.

    Raises
    ------
    InputRefused
        When the disk is full, the folder read-only or a file held by another program; what was
        there is unharmed.
    """
    return write_run_files(path, run_files(run))


def run_files(run: Run) -> dict[str, bytes]:
    """Return every file of a run by its path in the folder, the manifest last."""
    files = _files(run)
    files[MANIFEST] = _manifest(run, files)
    return files


def write_run_files(path: Path | str, files: Mapping[str, bytes]) -> Path:
    """Write what `run_files` made, here or on another machine; see `write_run`."""
    target = Path(path)
    folder = target.parent
    checked_name(target.name)
    part: str | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear_stale(folder, target.name)
        part = tempfile.mkdtemp(dir=folder, prefix=f".part-{target.name}-")
        for name, data in files.items():
            _write(Path(part, name), data)
        for sub in sorted({str(Path(part, name).parent) for name in files}, reverse=True):
            _flush_folder(sub)
        _swap(Path(part), target)
        return target
    except (OSError, KeyboardInterrupt) as problem:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        if isinstance(problem, OSError):
            raise not_writable(target, problem) from problem
        raise


def write_incomplete(path: Path | str, found: Incomplete) -> Path:
    """Write what breaks hard rules, found where a limit came before any plan, to a folder of its own.

    The folder holds problem, sites and people, what is broken and the bound; `read_run` and every
    command refuse it.

    Raises
    ------
    InputRefused
        As `write_run`.
    """
    run = Run(
        id=found.id, scenario=found.scenario, inputs={}, problem=found.problem, plan=found.plan,
        tables={}, measures={}, findings=found.findings,
    )  # fmt: skip
    files = _files(run)
    files[INCOMPLETE] = _manifest(run, files)
    return write_run_files(path, files)


def read_run(path: Path | str) -> Run:
    """Return the run in a folder, after checking the digest of every file.

    Raises
    ------
    InputRefused
        When there is no complete run: a folder without a manifest counts as absent.
    CheckFailed
        When a file was changed, cut or removed, the format is newer than this version's, or the folder
        holds what is no plan (`write_incomplete`).
    """
    path = Path(path)
    manifest = read_manifest(path)
    data = _checked(path, manifest)
    try:
        run = run_of_files(data)
        whole = run.problem.digest == manifest["problem"] and run.id == manifest["run"]
    except (KeyError, TypeError, ValueError, OSError, IndexError) as problem:
        raise _failed(
            "run-not-readable",
            Where(file=path.name),
            (f"无法解读存档({problem})。", f"The stored run cannot be understood: {problem}."),
        ) from problem
    if not whole:
        raise _failed(
            "run-inconsistent",
            Where(file=path.name),
            ("问题的摘要与清单不符。", "The digest of the problem is not that of the manifest."),
        )
    return run


def has_run(path: Path | str) -> bool:
    """Whether a folder holds a complete run (its manifest is there)."""
    return Path(path, MANIFEST).is_file()


def is_incomplete(path: Path | str) -> bool:
    """Whether a folder holds what `write_incomplete` wrote, which is no run and no plan."""
    return not has_run(path) and Path(path, INCOMPLETE).is_file()


def is_whole(path: Path | str) -> bool:
    """Whether a folder holds a complete run whose every file has the digest of its manifest."""
    try:
        _checked(Path(path), read_manifest(path))
    except (AllocatorError, OSError):
        return False
    return True


def find_run(folder: Path | str, run_id: str) -> Path | None:
    """Return the path of the complete run with this id below ``folder``, or None."""
    found = sorted(p for p in Path(folder).glob(f"*-{checked_name(run_id)}") if has_run(p))
    return found[0] if found else None


def stored_runs(folder: Path | str) -> tuple[Path, ...]:
    """Return the complete runs below a folder, sorted by name."""
    return tuple(
        sorted(p for p in Path(folder).glob("*") if not p.name.startswith(".") and has_run(p))
    )


def read_manifest(path: Path | str) -> Mapping[str, Any]:
    """Return the manifest of a run folder, its own digest and format checked; see `read_run`."""
    path = Path(path)
    if is_incomplete(path):
        raise _no_run(path)
    if not has_run(path):
        raise refusal(
            "run-absent",
            Where(file=path.name),
            (
                "此处没有完整的运行结果(缺 manifest.json)。",
                "There is no complete run here: manifest.json is missing.",
            ),
            ("请重新运行该情景。", "Run the scenario again."),
        )
    where = Where(file=f"{path.name}/{MANIFEST}")
    try:
        manifest = json.loads(read_bytes(path / MANIFEST, MAX_FILE, where.file))
        newer = int(manifest["format"]) > FORMAT
    except (ValueError, KeyError, TypeError) as problem:
        raise _failed(
            "run-changed", where, ("清单被改动或截断。", "The manifest was changed or cut.")
        ) from problem
    if newer:
        raise _failed(
            "run-newer-format",
            where,
            (
                f"存档格式为{manifest['format']},本版本只认到{FORMAT}。",
                f"The run has format {manifest['format']}; this version reads up to {FORMAT}.",
            ),
            ("请升级本软件。", "Use a newer version of this program."),
        )
    if not isinstance(manifest, dict) or manifest.get("digest") != _own_digest(manifest):
        raise _failed(
            "run-changed", where, ("清单被改动或截断。", "The manifest was changed or cut.")
        )
    return manifest


def _no_run(path: Path) -> CheckFailed:
    """Return that a folder holds no plan, with what it breaks where that is on record."""
    told: list[Finding] = []
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(read_bytes(path / "findings.json", MAX_FILE, path.name))
        told = [f for f in map(finding_of, stored) if f.rank is Rank.ERROR]
    what = (
        "此处不是方案:求解限额内只找到违反硬性要求的布点。",
        "This is no plan: within the limit only sites that break hard rules were found.",
    )
    remedy = (
        "请放宽求解限额或所列要求,重新运行该情景。",
        "Raise the limit of the solve or relax the rules named, and run the scenario again.",
    )
    return CheckFailed((error("run-incomplete", Where(file=path.name), what, remedy), *told))


def _files(run: Run) -> dict[str, bytes]:
    """Return the bytes of every file of a run but the manifest."""
    plan_json, plan_tables = _plan_parts(run.plan)
    files = {
        "inputs.json": json_bytes(
            {
                "run": run.id,
                "scenario": run.scenario.model_dump(mode="json", by_alias=True),
                "inputs": run.inputs,
            }
        ),
        "problem.npz": to_npz(run.problem),
        "plan/plan.json": json_bytes(plan_json),
        "measures.json": json_bytes(run.measures),
        "findings.json": json_bytes([f.as_dict() for f in run.findings]),
    }
    files |= {f"plan/{name}.parquet": _parquet(table) for name, table in plan_tables.items()}
    for name, table in run.tables.items():
        files[f"tables/{checked_name(name)}.parquet"] = _parquet(table)
    _refuse_own_paths(files["inputs.json"] + files["measures.json"] + files["findings.json"])
    return files


def _refuse_own_paths(text: bytes) -> None:
    """Stop before a path of this machine is stored: it would tell the user's name."""
    for path in {str(Path.home()), str(Path.cwd()), tempfile.gettempdir()}:
        if len(path) > 1 and json.dumps(path, ensure_ascii=False)[1:-1].encode() + b"/" in text:
            raise ValueError("a run must not hold absolute paths of the machine it ran on")


def _manifest(run: Run, files: Mapping[str, bytes]) -> bytes:
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "run": run.id,
        "scenario": run.scenario.name,
        "status": str(run.plan.status),
        "problem": run.problem.digest,
        "versions": _versions(),
        "files": {
            name: {"bytes": len(data), "sha256": digest_of(data)}
            for name, data in sorted(files.items())
        },
    }
    manifest["digest"] = _own_digest(manifest)
    return json_bytes(manifest)


def _own_digest(manifest: Mapping[str, Any]) -> str:
    return digest_of(json_bytes({k: v for k, v in manifest.items() if k != "digest"}))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _parquet(table: pd.DataFrame) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table), out, compression="zstd")
    return out.getvalue()


def _frame(data: bytes) -> pd.DataFrame:
    import pyarrow.parquet as pq

    frame: pd.DataFrame = pq.read_table(io.BytesIO(data)).to_pandas()
    return frame


def _plan_parts(plan: Plan) -> tuple[Any, dict[str, pd.DataFrame]]:
    """Return the scalars of a plan as JSON and its arrays as tables."""
    at = np.nonzero(plan.unmet)
    prices = [
        pd.DataFrame(
            {
                "rule": rule,
                "position": np.arange(p.size),
                "price": np.asarray(p, dtype=np.float64).ravel(),
            }
        )
        for rule, p in plan.prices.items()
    ]
    tables = {
        "stints": pd.DataFrame({"stint": plan.stints}),
        "places": pd.DataFrame({"places": plan.places}),
        "served": pd.DataFrame({name: getattr(plan, name) for name in _SERVED}),
        "unmet": pd.DataFrame({**dict(zip(_UNMET, at, strict=True)), "persons": plan.unmet[at]}),
        "prices": pd.concat(prices, ignore_index=True)
        if prices
        else pd.DataFrame(
            {
                "rule": pd.Series([], dtype="str"),
                "position": np.zeros(0, dtype=np.int64),
                "price": np.zeros(0),
            }
        ),
    }
    arrays = {"stints", "places", "unmet", "prices", *_SERVED}
    scalars = {
        f.name: to_plain(getattr(plan, f.name), {})
        for f in dataclasses.fields(plan)
        if f.name not in arrays and (f.name != "violations" or plan.violations)
    }
    shapes = {rule: list(np.shape(p)) for rule, p in plan.prices.items()}
    return {"plan": scalars, "unmet_shape": list(plan.unmet.shape), "price_shapes": shapes}, tables


def _plan(header: Any, tables: Mapping[str, pd.DataFrame]) -> Plan:
    unmet = np.zeros(tuple(header["unmet_shape"]))
    table = tables["unmet"]
    unmet[tuple(table[name].to_numpy() for name in _UNMET)] = table["persons"].to_numpy()
    prices = {}
    for rule, shape in header["price_shapes"].items():
        mine = tables["prices"][tables["prices"]["rule"] == rule].sort_values("position")
        prices[rule] = mine["price"].to_numpy(dtype=np.float64).reshape(shape)
    served: dict[str, Any] = {name: tables["served"][name].to_numpy() for name in _SERVED}
    scalars = {k: from_plain(v, {}) for k, v in header["plan"].items()}
    return Plan(
        stints=tables["stints"]["stint"].to_numpy(),
        places=tables["places"]["places"].to_numpy(),
        unmet=unmet,
        prices=prices,
        **served,
        **scalars,
    )


def run_of_files(data: Mapping[str, bytes]) -> Run:
    """Return the run in files by name, such as `run_files` made; digests are not looked at."""
    inputs = json.loads(data["inputs.json"])
    tables: dict[str, dict[str, pd.DataFrame]] = {"plan": {}, "tables": {}}
    for name, content in data.items():
        room, _, file = name.partition("/")
        if file.endswith(".parquet"):
            tables[room][file.removesuffix(".parquet")] = _frame(content)
    return Run(
        id=inputs["run"],
        scenario=Scenario.model_validate(inputs["scenario"]),
        inputs=inputs["inputs"],
        problem=from_npz(data["problem.npz"]),
        plan=_plan(json.loads(data["plan/plan.json"]), tables["plan"]),
        tables=tables["tables"],
        measures=json.loads(data["measures.json"]),
        findings=tuple(finding_of(f) for f in json.loads(data["findings.json"])),
    )


def finding_of(data: Mapping[str, Any]) -> Finding:
    """Return the finding that `Finding.as_dict` wrote."""
    return Finding(
        Rank(data["rank"]),
        data["code"],
        Where(data["file"], data["sheet"], data["row"], data["column"], data["id"]),
        Text(**data["what"]),
        Text(**data["remedy"]),
    )


def _checked(path: Path, manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the bytes of each file of the manifest, all digests checked."""
    data: dict[str, bytes] = {}
    changed: list[Finding] = []
    for name, of in manifest["files"].items():
        file = inside(path, name)
        content = file.read_bytes() if file.is_file() else b""
        if digest_of(content) == of["sha256"]:
            data[name] = content
            continue
        what = ("文件被改动、截断或删除。", "The file was changed, cut or removed after the run.")
        changed += _failed("run-changed", Where(file=f"{path.name}/{name}"), what).findings
    if changed:
        raise CheckFailed(tuple(changed))
    return data


def _failed(
    code: str,
    where: Where,
    what: tuple[str, str],
    remedy: tuple[str, str] = ("请重新运行该情景。", "Run the scenario again."),
) -> CheckFailed:
    return CheckFailed((error(code, where, what, remedy),))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def _flush_folder(folder: str) -> None:
    """Flush a folder's entries; where the system cannot (Windows), files are flushed already."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(part: Path, target: Path) -> None:
    """Put a finished folder in the place of what was there, if anything was."""
    os.chmod(part, 0o755)
    if target.exists():
        old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".part-{target.name}-"))
        try:
            os.replace(target, old / "old")
            os.replace(part, target)
        except (OSError, KeyboardInterrupt):
            if (old / "old").exists() and not target.exists():
                os.replace(old / "old", target)
            with contextlib.suppress(OSError):
                old.rmdir()
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(part, target)
    _flush_folder(str(target.parent))


def _clear_stale(folder: Path, name: str) -> None:
    """Remove what writers of this run left behind more than a day ago."""
    for left in folder.glob(f".part-{name}-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
