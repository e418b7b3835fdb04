"""How time grows with size: seconds to a gap of 1 % as areas and sites double.

    python -m benchmarks.growth [--family county] [--steps 4] [--seeds 1 2 3] [--gap 0.01]

The median over seeds of CPU and wall seconds, from arrays in memory, compiled loops warm, and by how much each
grows when arcs double (from a size to the next they grow a little more or less than that).
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from statistics import median

from benchmarks import instances, problems
from benchmarks.scale import PROBLEM, WARM

FIRST = {"county": (1000, 200), "capacitated": (1000, 100), "covering": (20_000, 200)}
MAKE = {
    "county": lambda areas, sites, seed: instances.county(areas, sites, seed=seed),
    "capacitated": lambda areas, sites, seed: instances.capacitated(areas, sites, seed=seed),
    "covering": lambda areas, sites, seed: instances.covering(areas, sites, p=sites // 5, seed=seed),
}  # fmt: skip


def timed(
    family: str, areas: int, sites: int, seed: int, gap: float
) -> tuple[int, float, float, float]:
    """Return arcs, wall and CPU seconds, and the gap reached."""
    from allocator.model.prices import solve_by_prices

    made = MAKE[family](areas, sites, seed)
    build = getattr(problems, PROBLEM[family])
    t0, c0 = time.monotonic(), time.process_time()
    plan = solve_by_prices(build(made), gap=gap, time_limit=110)
    return len(made["area"]), time.monotonic() - t0, time.process_time() - c0, plan.gap


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--family", choices=sorted(FIRST), default="county")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--gap", type=float, default=0.01)
    a = parser.parse_args(argv)
    from allocator.model.prices import solve_by_prices

    solve_by_prices(
        getattr(problems, PROBLEM[a.family])(WARM[a.family]()), gap=a.gap, time_limit=20
    )
    print(f"{'areas':>7s} {'sites':>6s} {'arcs':>10s} {'wall s':>7s} {'x':>5s} {'cpu s':>7s} {'x':>5s} {'worst gap':>10s}")  # fmt: skip
    before = None
    for step in range(a.steps):
        areas, sites = (round(n * 2**step) for n in FIRST[a.family])
        runs = [timed(a.family, areas, sites, seed, a.gap) for seed in a.seeds]
        arcs, wall, cpu = (median(r[k] for r in runs) for k in range(3))
        ratio = (0.0, 0.0)
        if before is not None:
            doublings = math.log2(arcs / before[2])
            ratio = tuple(
                (now / then) ** (1 / doublings)
                for now, then in zip((wall, cpu), before[:2], strict=True)
            )
        told = ["" if r == 0 else f"{r:.2f}" for r in ratio]
        print(f"{areas:7d} {sites:6d} {arcs:10,.0f} {wall:7.2f} {told[0]:>5s} {cpu:7.2f} {told[1]:>5s} "
              f"{max(r[3] for r in runs):10.3%}", flush=True)  # fmt: skip
        before = wall, cpu, arcs
    return 0


if __name__ == "__main__":
    sys.exit(main())
