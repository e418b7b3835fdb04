"""OR-Library instances against their published optima.

    python -m benchmarks.orlib FOLDER

Reads every p-median and warehouse file named in ``FOLDER/optima.csv``, solves it by prices and
prints instance, published, found, bound, gap, seconds. Exits 1 when a published optimum is missed.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

from benchmarks import instances, problems


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orlib", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="instances whose name starts so")
    parser.add_argument("--gap", type=float, default=1e-4)
    parser.add_argument("--limit", type=float, default=60.0, help="wall seconds an instance")
    a = parser.parse_args(argv)
    from allocator.model.prices import solve_by_prices

    solve_by_prices(
        problems.capacitated_problem(instances.capacitated(60, 12, seed=1)), time_limit=10
    )
    missed = 0
    print(
        f"{'instance':14s} {'published':>14s} {'found':>14s} {'bound':>14s} {'gap':>9s} {'wall_s':>7s} {'cpu_s':>7s}"
    )
    with (a.folder / "optima.csv").open(encoding="utf-8") as f:
        rows = [r for r in csv.DictReader(f) if r["instance"].startswith(a.only)]
    for r in rows:
        path = a.folder / f"{r['instance']}.txt"
        if r["model"] == "p-median":
            made = instances.read_pmed(path)
            problem = problems.median_problem(made["distance"], made["p"])
            label = r["instance"]
        else:
            capacity = float(r["capacity"]) if r["capacity"].replace(".", "").isdigit() else None
            problem = problems.capacitated_problem(instances.read_cap(path, capacity))
            label = r["instance"] + (f"/{capacity:.0f}" if capacity else "")
        t0, c0 = time.monotonic(), time.process_time()
        plan = solve_by_prices(problem, gap=a.gap, time_limit=a.limit)
        o = plan.objectives[0]
        published = float(r["optimum"])
        hit = o.value <= published * (1 + a.gap)
        missed += not hit
        print(
            f"{label:14s} {published:14.3f} {o.value:14.3f} {o.bound:14.3f} {o.gap:9.5f} "
            f"{time.monotonic() - t0:7.2f} {time.process_time() - c0:7.2f}{'' if hit else '  missed'}",
            flush=True,
        )
    print(f"{len(rows) - missed} of {len(rows)} published optima found within {a.gap:g}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
