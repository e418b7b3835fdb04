"""JSON Schemas of every format, for editors and other programs; shipped in ``io/schemas``.

They are derived from the declared tables and the models that read the files, and a test holds the
shipped files equal to what this module derives.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from allocator.design import Study
from allocator.io.case_file import CaseFile
from allocator.io.catalogue_files import CATALOGUE_SCHEMAS
from allocator.io.paths import write_bytes
from allocator.io.policy_files import TABLES
from allocator.io.runs import FORMAT
from allocator.io.values import json_bytes
from allocator.plan import Status
from allocator.scenario import Scenario
from allocator.schema import SCHEMAS, Column, Schema

__all__ = ["FOLDER", "json_schemas", "write_json_schemas"]

FOLDER = Path(__file__).parent / "schemas"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = {"integer": "integer", "year": "integer", "number": "number", "share": "number"}


def json_schemas() -> Mapping[str, Mapping[str, Any]]:
    """Return every schema by file stem: ``table-areas``, ``catalogue-offers``, ``scenario`` ..."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, schema in SCHEMAS.items():
        found[f"table-{name}"] = _table(schema)
    for name, schema in CATALOGUE_SCHEMAS.items():
        found[f"catalogue-{name}"] = _table(schema)
    for stem, policy in TABLES.items():
        found[f"catalogue-{stem}"] = _policy(stem, policy.columns, policy.optional)
    found["case"] = _model(CaseFile, "case.yaml")
    found["scenario"] = _model(Scenario, "scenario file")
    found["study"] = _model(Study, "study file")
    found["findings"] = _FINDINGS
    found["manifest"] = _MANIFEST
    found["inputs"] = _INPUTS
    found["measures"] = _MEASURES
    return found


def write_json_schemas(folder: Path = FOLDER) -> tuple[Path, ...]:
    """Write every schema to ``folder`` and return the paths."""
    return tuple(
        write_bytes(folder / f"{name}.json", json_bytes(schema))
        for name, schema in sorted(json_schemas().items())
    )


def _model(model: type[BaseModel], title: str) -> dict[str, Any]:
    return {"$schema": _DIALECT, **model.model_json_schema(by_alias=True), "title": title}


def _table(schema: Schema) -> dict[str, Any]:
    """Return the schema of a table as a list of rows; ``x-key`` names the columns of its key."""
    return {
        "$schema": _DIALECT,
        "title": schema.name,
        "description": f"{schema.en} / {schema.zh}",
        "type": "array",
        "x-key": list(schema.key),
        "items": {
            "type": "object",
            "properties": {c.name: _column(c) for c in schema.columns},
            "required": [c.name for c in schema.columns if c.required],
        },
    }


def _policy(stem: str, columns: Mapping[str, str], optional: Collection[str]) -> dict[str, Any]:
    """Return the schema of a policy table as a list of rows; ``words`` are two columns, zh and en."""
    properties: dict[str, Any] = {}
    for name, kind in columns.items():
        filled = {"number": "number", "number?": "number", "integer": "integer"}.get(kind, "string")
        out: dict[str, Any] = {"type": [filled, "null"] if kind == "number?" else filled}
        if kind in ("list", "yes-no"):
            out["x-kind"] = kind
        if kind == "yes-no":
            out["enum"] = ["yes", "no"]
        for column in (f"{name}_zh", f"{name}_en") if kind == "words" else (name,):
            properties[column] = out
    return {
        "$schema": _DIALECT,
        "title": stem,
        "type": "array",
        "items": {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name not in optional],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    kind = _TYPES.get(column.kind, "string")
    out: dict[str, Any] = {"type": kind, "title": column.zh, "x-kind": column.kind}
    if not column.required and column.default is None:
        out["type"] = [kind, "null"]
    if column.unit:
        out["x-unit"] = column.unit
    if column.kind == "share":
        out |= {"minimum": 0, "maximum": 1}
    if column.minimum is not None:
        out["minimum"] = column.minimum
    if column.maximum is not None:
        out["maximum"] = column.maximum
    if column.choices:
        out["enum"] = list(column.choices)
    if column.default is not None:
        out["default"] = column.default
    if column.synonyms:
        out["x-synonyms"] = list(column.synonyms)
    if column.words_en:
        out["description"] = f"{column.words_en} / {column.words_zh}"
    return out


_TEXT = {
    "type": "object",
    "properties": {"zh": {"type": "string"}, "en": {"type": "string"}},
    "required": ["zh", "en"],
}
_FINDINGS: Mapping[str, Any] = {
    "$schema": _DIALECT,
    "title": "findings.json",
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "rank": {"enum": ["error", "warning", "information"]},
            "code": {"type": "string", "pattern": "^[a-z0-9-]+$"},
            "file": {"type": "string"},
            "sheet": {"type": "string"},
            "row": {"type": ["integer", "null"]},
            "column": {"type": "string"},
            "id": {"type": "string"},
            "what": _TEXT,
            "remedy": _TEXT,
        },
        "required": ["rank", "code", "file", "sheet", "row", "column", "id", "what", "remedy"],
    },
}
_MANIFEST: Mapping[str, Any] = {
    "$schema": _DIALECT,
    "title": "manifest.json",
    "type": "object",
    "properties": {
        "format": {"type": "integer", "minimum": 1, "maximum": FORMAT},
        "run": {"type": "string"},
        "scenario": {"type": "string"},
        "status": {"type": "string"},
        "problem": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "versions": {"type": "object", "additionalProperties": {"type": "string"}},
        "files": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "bytes": {"type": "integer", "minimum": 0},
                    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                },
                "required": ["bytes", "sha256"],
            },
        },
        "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
    "required": ["format", "run", "scenario", "status", "problem", "versions", "files", "digest"],
}
_INPUTS: Mapping[str, Any] = {
    "$schema": _DIALECT,
    "title": "inputs.json",
    "type": "object",
    "properties": {
        "run": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "scenario": {"type": "object", "description": "as in scenario.json"},
        "inputs": {
            "type": "object",
            "properties": {
                "case": {"type": "string"},
                "title": _TEXT,
                "crs": {"type": "string"},
                "digests": {
                    "type": "object",
                    "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                },
                "catalogue": {"type": "string"},
                "unconfirmed_standards": {"type": "array", "items": {"type": "string"}},
                "definition": {"type": "string"},
                "base": {"type": "string"},
                "need_mark": {"type": "string"},
                "code": {"type": "string"},
                "packages": {"type": "object", "additionalProperties": {"type": "string"}},
                "scenario_digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "disclaimer": _TEXT,
                "map_footer": _TEXT,
                "sources": {"type": "array", "items": {"type": "object"}},
                "finest_published": {"type": "string"},
                "follows": {"type": "string"},
            },
            "required": ["case", "digests", "catalogue", "definition", "packages"],
        },
    },
    "required": ["run", "scenario", "inputs"],
    "additionalProperties": False,
}
_MEASURES: Mapping[str, Any] = {
    "$schema": _DIALECT,
    "title": "measures.json",
    "type": "object",
    "properties": {
        "status": {"enum": [s.value for s in Status]},
        "road": {"type": "string"},
        "solver": {"type": "string"},
        "gap": {"type": "number", "minimum": 0},
        "objectives": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "unit": {"type": "string"},
                    "value": {"type": "number"},
                    "bound": {"type": "number"},
                    "gap": {"type": "number", "minimum": 0},
                },
                "required": ["id", "unit", "value", "bound", "gap"],
            },
        },
        "shortfalls": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
        "score": {
            "type": "object",
            "description": "by indicator, then by year; null where there is none",
        },
        "rules": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "zh": {"type": "string"},
                    "en": {"type": "string"},
                    "source": {"type": "string"},
                    "hard": {"type": "boolean"},
                },
                "required": ["id", "zh", "en", "source", "hard"],
            },
        },
        "cautions": {"type": "array", "items": _TEXT},
    },
    "required": ["status", "road", "solver", "gap", "objectives", "shortfalls", "score", "rules"],
}
