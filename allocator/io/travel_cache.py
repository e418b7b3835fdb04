"""Arcs kept on disk under the digest of everything they were made from."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from allocator.io.paths import write_bytes
from allocator.travel.arcs import Arcs

__all__ = ["JOURNEYS", "cached_arcs", "journey_key", "store_in"]

JOURNEYS = ".journeys"
"""Folder beside the runs where journeys on networks and surfaces are kept by digest."""

_PARTS = ("origin", "destination", "minutes", "km", "method")


def journey_key(parts: Mapping[str, object]) -> str:
    """Return the digest of what journeys were made from: names to digests, numbers and words."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()


def cached_arcs(folder: Path, parts: Mapping[str, object], make: Callable[[], Arcs]) -> Arcs:
    """Return stored arcs of the same ``parts``, else make them and store them.

    A file that is cut short or was changed is made again, never half read.

    Parameters
    ----------
    parts
        Everything the arcs depend on, by name: digests of points, network and tables, limits,
        speeds, method.

    Raises
    ------
    InputRefused
        When the folder cannot be written: disk full, read-only.
    """
    path = folder / f"{journey_key(parts)}.npz"
    stored = _stored(path)
    if stored is not None:
        return stored
    arcs = make()
    out = io.BytesIO()
    np.savez(out, digest=np.array(arcs.digest), **{p: getattr(arcs, p) for p in _PARTS})
    write_bytes(path, out.getvalue())
    return arcs


def store_in(folder: Path) -> Callable[[Mapping[str, object], Callable[[], Arcs]], Arcs]:
    """Return the store of journeys in a folder, as `run.Shared` takes it."""
    return partial(cached_arcs, folder)


def _stored(path: Path) -> Arcs | None:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arcs = Arcs(*(file[p] for p in _PARTS))
            return arcs if str(file["digest"]) == arcs.digest else None
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, TypeError):
        return None
