"""OR-Library instances against their published optima.

    python -m benchmarks.orlib FOLDER [--only pmed] [--peer]

Reads every p-median and warehouse file named in ``FOLDER/optima.csv``, solves it by prices and
prints instance, published, found, bound, gap, seconds. With ``--peer`` every p-median file is given to
pbp-pmedian right after and every warehouse file to HiGHS alone, to the same gap, and CPU seconds are summed.
Exits 1 when a published optimum is missed.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

from benchmarks import instances, peers, problems


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orlib", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="instances whose name starts so")
    parser.add_argument("--gap", type=float, default=1e-4)
    parser.add_argument("--limit", type=float, default=60.0, help="wall seconds an instance")
    parser.add_argument("--peer", action="store_true", help="pbp-pmedian and HiGHS alone too")
    parser.add_argument("--peer-limit", type=float, default=600.0, help="its wall seconds")
    a = parser.parse_args(argv)
    from allocator.model.prices import solve_by_prices

    solve_by_prices(
        problems.capacitated_problem(instances.capacitated(60, 12, seed=1)), time_limit=10
    )
    missed = 0
    spent: dict[str, tuple[float, float]] = {}  # CPU seconds of ours and the peer's
    print(
        f"{'instance':14s} {'published':>14s} {'found':>14s} {'bound':>14s} {'gap':>9s} {'wall_s':>7s} {'cpu_s':>7s}"
    )
    with (a.folder / "optima.csv").open(encoding="utf-8") as f:
        rows = [r for r in csv.DictReader(f) if r["instance"].startswith(a.only)]
    for r in rows:
        path = a.folder / f"{r['instance']}.txt"
        median = r["model"] == "p-median"
        if median:
            made = instances.read_pmed(path)
            problem = problems.median_problem(made["distance"], made["p"])
            label = r["instance"]
        else:
            capacity = float(r["capacity"]) if r["capacity"].replace(".", "").isdigit() else None
            made = instances.read_cap(path, capacity)
            problem = problems.capacitated_problem(made)
            label = r["instance"] + (f"/{capacity:.0f}" if capacity else "")
        t0, c0 = time.monotonic(), time.process_time()
        plan = solve_by_prices(problem, gap=a.gap, time_limit=a.limit)
        wall_s, cpu_s = time.monotonic() - t0, time.process_time() - c0
        o = plan.objectives[0]
        published = float(r["optimum"])
        hit = o.value <= published * (1 + a.gap)
        missed += not hit
        print(
            f"{label:14s} {published:14.3f} {o.value:14.3f} {o.bound:14.3f} {o.gap:9.5f} "
            f"{wall_s:7.2f} {cpu_s:7.2f}{'' if hit else '  missed'}",
            flush=True,
        )
        if a.peer:
            peer = "pbp-pmedian" if median else "HiGHS alone"
            t0, c0 = time.monotonic(), time.process_time()
            if median:
                value, _ = peers.pbp(label, made, a.peer_limit)
            else:
                value, _ = peers.highs_arrays("capacitated", made, a.peer_limit, a.gap)
            peer_s = time.process_time() - c0
            before = spent.get(peer, (0.0, 0.0))
            spent[peer] = (before[0] + cpu_s, before[1] + peer_s)
            print(
                f"  {peer:12s} {published:14.3f} {value:14.3f} {'':24s} "
                f"{time.monotonic() - t0:7.2f} {peer_s:7.2f}",
                flush=True,
            )
    print(f"{len(rows) - missed} of {len(rows)} published optima found within {a.gap:g}")
    for peer, (ours_s, peer_s) in spent.items():
        print(
            f"ours {ours_s:.2f} CPU s, {peer} {peer_s:.1f} CPU s, {peer_s / max(ours_s, 1e-9):.0f} x"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
