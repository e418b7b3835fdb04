"""Solve one named instance by prices and print one line: value, bound, gap, time, memory.

    python -m benchmarks.scale county-1000x200x4 --seed 3 --json

Wall seconds run from arrays in memory to the finished plan. The compiled loops are warmed on a
tiny instance of the same shape first; making the instance and warming are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import threading
import time

import numpy as np

from benchmarks import instances, problems
from benchmarks.full import full_problem

GAPS = {
    "capacitated": 1e-3, "covering-50": 5e-3, "covering-1000000": 1e-2, "covering": 5e-3, "county-1000x": 1.5e-3,
    "county-5": 2e-3, "county-2": 4e-3, "full": 1e-2, "curve": 2e-2,
}  # fmt: skip
WARM = {
    "capacitated": lambda: instances.capacitated(60, 12, seed=1),
    "covering": lambda: instances.covering(200, 20, p=3, seed=1),
    "county": lambda: instances.county(60, 12, seed=1),
    "full": lambda: instances.county_full(30, 8, seed=1),
    "curve": lambda: instances.covering(300, 60, p=60, share=0.05, seed=1),
}
PROBLEM = {
    "capacitated": "capacitated_problem", "covering": "covering_problem",
    "county": "county_problem",
}  # fmt: skip


class PeakMemory(threading.Thread):
    """Largest resident size while the solve runs, in MB, sampled; the arrays are counted too."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.stop = 0.0, threading.Event()

    def run(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE") / 1e6
        while not self.stop.is_set():
            with open("/proc/self/statm", encoding="ascii") as f:
                self.peak = max(self.peak, int(f.read().split()[1]) * page)
            self.stop.wait(0.02)


def measure(
    name: str, seed: int | None, gap: float | None, limit: float, verify: bool, trace: bool
) -> dict:
    """Solve a named instance; return the line as a dict."""
    family = name.split("-")[0]
    gap = gap if gap is not None else next(g for k, g in GAPS.items() if name.startswith(k))
    _solve(family, WARM[family](), gap, 20.0, False, False)
    make = instances.NAMED[name]
    made = make() if seed is None else make(seed=seed)
    memory = PeakMemory()
    memory.start()
    t0, c0 = time.monotonic(), time.process_time()
    line = _solve(family, made, gap, limit, verify, trace)
    line.setdefault("wall_s", time.monotonic() - t0)
    line.setdefault("cpu_s", time.process_time() - c0)
    memory.stop.set()
    memory.join()
    seed_used = make.__defaults__[0] if seed is None else seed
    line = {"name": name, "seed": seed_used, **line, "peak_mb": memory.peak}
    if not line["peak_mb"]:
        line["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return line


def _solve(family: str, made: dict, gap: float, limit: float, verify: bool, trace: bool) -> dict:
    if family == "curve":
        return _curve(made, limit, trace)
    from allocator.model.prices import solve_by_prices

    t0, c0 = time.monotonic(), time.process_time()
    problem = full_problem(made) if family == "full" else getattr(problems, PROBLEM[family])(made)
    built = time.monotonic() - t0
    plan = solve_by_prices(problem, gap=gap, time_limit=limit, trace=trace)
    wall, cpu = time.monotonic() - t0, time.process_time() - c0
    sign = -1.0 if family in ("county", "covering") else 1.0
    objective = plan.objectives[0]
    line = {
        "status": str(plan.status), "sense": "max" if sign < 0 else "min",
        "objective": sign * objective.value, "bound": sign * objective.bound, "gap": objective.gap,
        "wall_s": wall, "cpu_s": cpu, "build_s": built, "rounds": plan.work.get("rounds"),
    }  # fmt: skip
    if verify:
        line["findings"] = _findings(problem, plan)
    return line


def _findings(problem, plan) -> list[str]:
    from allocator.verify import verify

    return [f.line() for f in verify(problem, plan)]


def _curve(made: dict, limit: float, trace: bool) -> dict:
    from allocator.model.curve import coverage_curve

    curve = coverage_curve(
        made["area"], made["site"], made["demand"], made["n_sites"], seconds=limit, trace=trace
    )
    gaps = curve.gaps
    worst = int(np.argmax(gaps))
    return {
        "status": "proved" if gaps[worst] <= GAPS["curve"] else "limit", "sense": "max",
        "objective": float(curve.covered[worst]), "bound": float(curve.bound[worst]),
        "gap": float(gaps[worst]), "worst_count": worst + 1, "counts": len(gaps),
        "counts_over_2_percent": int(np.sum(gaps > 0.02)), "median_gap": float(np.median(gaps)),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("name", choices=sorted(instances.NAMED))
    parser.add_argument("--seed", type=int)
    parser.add_argument("--gap", type=float, help="relative gap to stop at")
    parser.add_argument("--limit", type=float, default=110.0, help="wall seconds")
    parser.add_argument("--verify", action="store_true", help="check the plan as well")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--json", action="store_true", help="one JSON line")
    a = parser.parse_args(argv)
    line = measure(a.name, a.seed, a.gap, a.limit, a.verify, a.trace)
    if a.json:
        print(
            json.dumps({k: (round(v, 6) if isinstance(v, float) else v) for k, v in line.items()})
        )
    else:
        for k, v in line.items():
            print(f"{k:12s} {v}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
