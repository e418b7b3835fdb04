"""A reader in a process of its own: what it refused, in how many processor seconds and how much memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """Codes of the errors, processor seconds of the reading, and most MiB of the whole process."""

    codes: tuple[str, ...]
    seconds: float
    mebibytes: float


def read_in_child(reader: str, path: Path) -> Outcome:
    """Read a file by ``workbook``, ``outline`` or ``areas`` (a layer), or a ``case``, in a new process."""
    command = [sys.executable, __file__, reader, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    told = json.loads(done.stdout.splitlines()[-1])
    return Outcome(tuple(told["codes"]), told["seconds"], told["mebibytes"])


def _errors(reader: str, path: Path) -> list[str]:
    from allocator.errors import InputRefused
    from allocator.io.case import read_case
    from allocator.io.layers import read_layer, read_outline
    from allocator.io.workbook import read_workbook
    from allocator.schema import SCHEMAS

    try:
        if reader == "workbook":
            found = [f for _, told in read_workbook(path)[0].values() for f in told]
        elif reader == "case":
            found = list(read_case(path).findings)
        elif reader == "outline":
            found = list(read_outline(path)[1])
        else:
            found = list(read_layer(path, SCHEMAS[reader], crs="EPSG:4490")[1])
    except InputRefused as refused:
        found = list(refused.findings)
    return [f.code for f in found if f.rank == "error"]


def _most_mebibytes() -> float:
    # Not getrusage: there a child begins with what its parent held.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    """Read the file named on the command line and print what came of it."""
    import openpyxl  # noqa: F401  # loading the libraries is no part of the reading
    import pyogrio  # noqa: F401

    import allocator.io.case
    import allocator.io.layers
    import allocator.io.workbook  # noqa: F401

    begun = time.process_time()
    codes = _errors(sys.argv[1], Path(sys.argv[2]))
    seconds = time.process_time() - begun
    print(json.dumps({"codes": codes, "seconds": seconds, "mebibytes": _most_mebibytes()}))


if __name__ == "__main__":
    main()
