"""Problems, plans and other values of the house as plain JSON and named arrays, and back.

Nothing is pickled: a value is rebuilt from the names of a closed list of classes, so reading a
stored run can run no code.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import zipfile
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from allocator import rules
from allocator.errors import Finding, Rank, Text, Where
from allocator.plan import ObjectiveValue, Plan, Status, Violation
from allocator.problem import Objective, Problem

__all__ = ["from_npz", "from_plain", "json_bytes", "to_npz", "to_plain"]

Arrays = dict[str, np.ndarray]

_CLASSES: Mapping[str, type] = {
    **{name: getattr(rules, name) for name in rules.__all__},
    **{
        c.__name__: c
        for c in (Problem, Objective, Plan, ObjectiveValue, Violation, Text, Where, Finding)
    },
}
_ENUMS: Mapping[str, type[Enum]] = {c.__name__: c for c in (Status, Rank)}


def to_plain(value: Any, arrays: Arrays, name: str = "") -> Any:
    """Return ``value`` as JSON data; arrays go to ``arrays`` under their place as name.

    Tuples become lists (and lists tuples again on the way back); everything else that JSON lacks
    becomes an object with one key that says what it is.
    """
    if isinstance(value, Enum):
        return {"enum": [type(value).__name__, value.value]}
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, csr_array):
        for part in ("data", "indices", "indptr"):
            arrays[f"{name}/{part}"] = getattr(value, part)
        return {"csr": [name, list(value.shape)]}
    if isinstance(value, np.generic):
        return {"number": [value.dtype.str, to_plain(value.item(), arrays)]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple | list):
        return [to_plain(v, arrays, f"{name}/{n}") for n, v in enumerate(value)]
    if isinstance(value, Mapping):
        return {"map": [[k, to_plain(v, arrays, f"{name}/{k}")] for k, v in value.items()]}
    if type(value).__name__ in _CLASSES:
        parts = {
            f.name: to_plain(getattr(value, f.name), arrays, f"{name}/{f.name}" if name else f.name)
            for f in dataclasses.fields(value)
        }
        return {"is": type(value).__name__, "of": parts}
    raise TypeError(f"{name}: a value of type {type(value).__name__} cannot be stored")


def from_plain(data: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return the value that `to_plain` was given.

    Raises
    ------
    KeyError, TypeError, ValueError
        When the data are not what `to_plain` writes.
    """
    if isinstance(data, list):
        return tuple(from_plain(v, arrays) for v in data)
    if not isinstance(data, dict):
        return data
    if "is" in data:
        kind = _CLASSES[data["is"]]
        return kind(**{k: from_plain(v, arrays) for k, v in data["of"].items()})
    [(what, of)] = data.items()
    if what == "map":
        return {k: from_plain(v, arrays) for k, v in of}
    if what == "array":
        return arrays[of]
    if what == "csr":
        name, shape = of
        parts = tuple(arrays[f"{name}/{part}"] for part in ("data", "indices", "indptr"))
        return csr_array(parts, shape=tuple(shape))
    if what == "number":
        return np.dtype(of[0]).type(from_plain(of[1], arrays))
    if what == "enum":
        return _ENUMS[of[0]](of[1])
    if what == "float":
        return float(of)
    raise ValueError(f"unknown mark {what!r}")


def to_npz(value: Any) -> bytes:
    """Return a value as the bytes of an ``.npz`` file: equal values give equal bytes."""
    arrays: Arrays = {}
    plain = json_bytes(to_plain(value, arrays))
    arrays["json"] = np.frombuffer(plain, dtype=np.uint8)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in sorted(arrays):
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            with archive.open(info, "w", force_zip64=True) as f:
                np.lib.format.write_array(f, np.asanyarray(arrays[name]), allow_pickle=False)
    return out.getvalue()


def from_npz(data: bytes) -> Any:
    """Return the value in the bytes of an ``.npz`` file written by `to_npz`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return from_plain(json.loads(arrays.pop("json").tobytes()), arrays)


def json_bytes(data: Any) -> bytes:
    """Return plain data as UTF-8 JSON in one fixed form; NaN and infinity are refused."""
    text = json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    return (text + "\n").encode("utf-8")
