"""A reader in a process of its own: what it refused, in how many processor seconds and how much memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allocator.errors import Finding


@dataclass(frozen=True)
class Outcome:
    """Codes of the errors, processor seconds of the reading, and most MiB of the whole process."""

    codes: tuple[str, ...]
    seconds: float
    mebibytes: float


def read_in_child(reader: str, path: Path) -> Outcome:
    """Read a file by ``workbook``, ``outline`` or ``areas`` (a layer), or a ``case``, in a new process."""
    command = [sys.executable, __file__, reader, str(path)]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=here)  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    return Outcome(tuple(told["codes"]), told["seconds"], told["mebibytes"])


def _reader(name: str) -> Callable[[Path], Iterable[Finding]]:
    """Load what reads a file, and nothing else: its libraries count as memory."""
    if name == "case":
        from allocator.io.case import read_case

        return lambda path: read_case(path).findings
    if name == "workbook":
        import openpyxl  # noqa: F401  # loading the library is no part of the reading

        from allocator.io.workbook import read_workbook

        return lambda path: [f for _, told in read_workbook(path)[0].values() for f in told]
    import pyogrio  # noqa: F401

    from allocator.io.layers import read_layer, read_outline
    from allocator.schema import SCHEMAS

    if name == "outline":
        return lambda path: read_outline(path)[1]
    return lambda path: read_layer(path, SCHEMAS[name], crs="EPSG:4490")[1]


def _most_mebibytes() -> float:
    # Not getrusage: there a child begins with what its parent held.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    """Read the file named on the command line and print what came of it."""
    from allocator.errors import InputRefused

    read = _reader(sys.argv[1])
    begun = time.process_time()
    try:
        found = list(read(Path(sys.argv[2])))
    except InputRefused as refused:
        found = list(refused.findings)
    seconds = time.process_time() - begun
    codes = [f.code for f in found if f.rank == "error"]
    print(json.dumps({"codes": codes, "seconds": seconds, "mebibytes": _most_mebibytes()}))


if __name__ == "__main__":
    main()
