"""What-ifs from old prices: seconds to the same gap from an earlier plan, against a cold start.

    python -m benchmarks.what_if [NAME ...] [--seeds 1 2 3] [--limit 110] [--json]

An instance is solved once; then it is changed, and the changed one is solved cold and from the plan
before, to the same gap, one after the other. Changes: ``more`` (budget or places of every site
+10 %), ``site`` (nobody can go to the site most used before), ``year`` (need of every area grows
by -3 to +5 %). Both start from arrays in memory, compiled loops warm; ``cpu`` is the process's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from statistics import median

import numpy as np

from benchmarks import instances, problems
from benchmarks.scale import GAPS, PROBLEM, WARM

NAMES = ("county-1000x200x4", "county-5000x500x4", "capacitated-20000x500")
CHANGES = ("more", "site", "year")


def changed(made: dict, change: str, most_used: int, seed: int) -> dict:
    """Return an instance with one thing changed."""
    if change == "more":
        key = "budget" if "budget" in made else "capacity"
        return {**made, key: made[key] * 1.1}
    if change == "site":
        keep = made["site"] != most_used
        arcs = ("area", "site", "kind", "value", "cost")
        return {k: v[keep] if k in arcs else v for k, v in made.items()}
    growth = np.random.default_rng(seed + 1000).uniform(0.97, 1.05, len(made["demand"]))
    new = {**made, "demand": made["demand"] * growth}
    if "cost" in made:  # cost is of all the need of an area
        new["cost"] = made["cost"] * growth[made["area"]]
    return new


def measure(
    name: str, seed: int, limit: float, gap: float | None = None, trace: bool = False
) -> list[dict]:
    """Return one line a change: cold and warm seconds to the same gap, and their ratio."""
    from allocator.model.prices import solve_by_prices
    from allocator.model.warm import carried

    family = name.split("-")[0]
    make = getattr(problems, PROBLEM[family])
    gap = gap or next(g for k, g in GAPS.items() if name.startswith(k))
    warmed = make(WARM[family]())
    first = solve_by_prices(warmed, gap=gap, time_limit=20)
    solve_by_prices(warmed, gap=gap, time_limit=20, start=carried(warmed, first, warmed))
    made = instances.NAMED[name](seed=seed)
    before = make(made)
    base = solve_by_prices(before, gap=gap, time_limit=limit)
    used = np.bincount(before.arc_site[base.served_arc], base.served, minlength=len(before.sites))
    lines = []
    for change in CHANGES:
        new = changed(made, change, int(used.argmax()), seed)
        line = {"name": name, "seed": seed, "change": change}
        for way, start in (("cold", None), ("warm", base)):
            t0, c0 = time.monotonic(), time.process_time()
            after = make(new)
            known = start and carried(before, start, after)
            plan = solve_by_prices(after, gap=gap, time_limit=limit, start=known, trace=trace)
            line[f"{way}_s"] = round(time.monotonic() - t0, 3)
            line[f"{way}_cpu_s"] = round(time.process_time() - c0, 3)
            line[f"{way}_gap"] = round(plan.gap, 6)
            line[f"{way}_value"] = round(plan.objectives[0].value, 3)
        line["ratio"] = round(line["cold_s"] / line["warm_s"], 2)
        line["cpu_ratio"] = round(line["cold_cpu_s"] / line["warm_cpu_s"], 2)
        lines.append(line)
    return lines


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.what_if", description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--limit", type=float, default=110.0, help="wall seconds a solve")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--json", action="store_true", help="one JSON line a change")
    a = parser.parse_args(argv)
    if not a.json:
        print(
            f"{'instance':24s} {'seed':>4s} {'change':6s} {'cold s':>7s} {'cpu':>6s} {'warm s':>7s} {'cpu':>6s} {'ratio':>6s} {'gaps':>17s}"
        )
    for name in a.names:
        lines = []
        for seed in a.seeds:
            for line in measure(name, seed, a.limit, trace=a.trace):
                lines.append(line)
                print(json.dumps(line) if a.json else
                      f"{name:24s} {seed:4d} {line['change']:6s} {line['cold_s']:7.2f} {line['cold_cpu_s']:6.2f} {line['warm_s']:7.2f} "
                      f"{line['warm_cpu_s']:6.2f} {line['ratio']:6.1f} {line['cold_gap']:8.3%} {line['warm_gap']:8.3%}", flush=True)  # fmt: skip
        if not a.json:
            print(f"{name:24s} median of ratios {median(x['ratio'] for x in lines):.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
