"""Objectives in order and risk over futures, by prices and by the exact road side by side.

    python -m benchmarks.in_order county-1000x200x4 --seed 3 --kind order --json
    python -m benchmarks.in_order county-1000x200x4 --seed 3 --kind cvar --roads prices exact

``order``: least unmet, then least distance of those served. ``worst``, ``cvar``: five futures of need, drawn
apart for every area; least of unmet and distance weighed together in the worst future, or in the mean of the
worst fifth. ``both``: unmet under cvar, then distance. Wall seconds from a `Problem` in memory, compiled loops warm.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace

import numpy as np

from allocator.certificate import check_bound
from allocator.model import solve
from allocator.problem import Objective, Problem
from benchmarks import instances, problems
from benchmarks.scale import PeakMemory

KINDS = ("order", "worst", "cvar", "both")
FUTURES = 5


def county_in_order(d: dict, kind: str, seed: int) -> Problem:
    """Return a county problem with two objectives in order, or one weighed over futures, or both."""
    base = problems.county_problem(d)
    order = problems.sorted_arcs(
        d["area"], d["kind"], d["site"], len(base.areas), len(base.classes), len(base.sites)
    )
    far = (1.0 - d["value"][order])[:, None] / 0.2  # of the radius
    unmet = Objective(id="unmet", unit="person", unmet=np.ones((1, 1, 1)), tolerance=1e-3)
    distance = Objective(id="distance", unit="radius-person", person=far)
    if kind == "order":
        return replace(base, objectives=(unmet, distance))
    rng = np.random.default_rng([seed, 7])
    factor = rng.lognormal(0.0, 0.3, (len(base.areas), 1, 1, 1, FUTURES))
    factor *= np.array([0.8, 0.9, 1.0, 1.1, 1.25])
    both = replace(unmet, id="unmet and distance", person=0.2 * far)
    first = unmet if kind == "both" else both
    first = replace(first, risk="worst" if kind == "worst" else "cvar", risk_share=0.2)
    return replace(
        base, need=base.need * factor, futures=tuple(f"w{w}" for w in range(FUTURES)),
        future_weight=np.full(FUTURES, 1.0 / FUTURES),
        objectives=(first, distance) if kind == "both" else (first,),
    )  # fmt: skip


def measure(
    name: str, seed: int, kind: str, road: str, gap: float, limit: float, trace: bool
) -> dict:
    """Solve a named instance by one road; return the line as a dict."""
    small = county_in_order(instances.county(60, 12, seed=1), kind, 1)
    solve(small, road=road, gap=0.05, seconds=20.0)
    problem = county_in_order(instances.NAMED[name](seed=seed), kind, seed)
    memory = PeakMemory()
    memory.start()
    t0, c0 = time.monotonic(), time.process_time()
    if trace:
        from allocator.model.prices import solve_by_prices

        plan = solve_by_prices(problem, gap=gap, time_limit=limit, trace=True)
    else:
        plan = solve(problem, road=road, gap=gap, seconds=limit, threads=2)
    wall, cpu = time.monotonic() - t0, time.process_time() - c0
    memory.stop.set()
    memory.join()
    proved = (
        [f.code for f in check_bound(problem, plan)] if len(problem.arc_area) < 200_000 else None
    )
    return {
        "name": name, "seed": seed, "kind": kind, "road": plan.road, "status": str(plan.status),
        "objectives": [(o.id, o.value, o.bound, o.gap) for o in plan.objectives], "wall_s": wall, "cpu_s": cpu,
        "peak_mb": memory.peak, "certificate": proved,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[n for n in instances.NAMED if n.startswith("county")])
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--kind", choices=KINDS, default="order")
    parser.add_argument("--roads", nargs="+", default=["prices"], choices=("prices", "exact"))
    parser.add_argument("--gap", type=float, default=2e-3)
    parser.add_argument("--limit", type=float, default=120.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--trace", action="store_true")
    args = parser.parse_args()
    for road in args.roads:
        line = measure(args.name, args.seed, args.kind, road, args.gap, args.limit, args.trace)
        if args.json:
            print(json.dumps(line), flush=True)
            continue
        gaps = ", ".join(f"{o[0]} {o[1]:,.1f} ({o[3]:.3%})" for o in line["objectives"])
        print(f"{line['name']} {line['kind']} seed {line['seed']} by {line['road']}: {gaps}; "
              f"{line['wall_s']:.1f} s, {line['cpu_s']:.1f} CPU s, {line['peak_mb']:.0f} MB, {line['status']}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
