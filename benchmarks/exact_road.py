"""Measure the exact road on a whole county problem: build time, then value, bound and gap.

python -m benchmarks.exact_road [full-209x60] [--seconds 30] [--gap 0.001]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.sparse import coo_array, csr_array

from allocator.errors import NO_TEXT
from allocator.model import formulate, solve_exactly
from allocator.problem import Objective, Problem
from allocator.rules import (
    Acceptance,
    Balance,
    Capacity,
    Link,
    Resource,
    Scale,
    SiteStates,
)
from allocator.verify import verify

MINUTES_PER_KM = 2.0


def full_problem(d: dict) -> Problem:
    """Turn the raw data of a whole county (five services, four groups) into a `Problem`.

    A site keeps today's option, is built where empty, or converts where a cost is given, once.
    Willingness falls in steps of a third of the radius: 1, 0.8, 0.5. Least unmet need, capital and
    care workers limited.
    """
    areas, services, groups, periods = d["need"].shape
    sites, table = len(d["today"]), d["offers"]
    closed = d["n_options"]
    start = np.where(d["today"] < 0, closed, d["today"]).astype(np.int64)
    stints = []
    for j, s in enumerate(start):
        stints += [(j, s, s, 0, t, 0.0) for t in range(periods)]
        for o in range(closed):
            cost = 0.0 if s == closed else d["convert"][s, o]
            if o == s or not np.isfinite(cost):
                continue
            stints += [(j, s, o, t, periods - 1, cost) for t in range(periods)]
        if s != closed:
            stints += [(j, s, closed, t, periods - 1, 0.0) for t in range(periods)]
    site, from_, option, first, last = (
        np.array(v, np.int64) for v in list(zip(*stints, strict=True))[:5]
    )
    convert = np.array([s[5] for s in stints])
    offers = [(p, k) for p in range(len(stints)) for k in np.flatnonzero(table[:, 0] == option[p])]
    of_stint, kind = (np.array(v, np.int64) for v in zip(*offers, strict=True))
    fixed = np.zeros((len(stints), 2 * periods))
    each = coo_rows, coo_cols, coo_vals = [], [], []
    new = from_ != option
    for p in np.flatnonzero(new & (option < closed)):
        building = 0.0 if from_[p] != closed else table[table[:, 0] == option[p], 4].sum()
        fixed[p, first[p]] = building + convert[p]
    for f, (p, k) in enumerate(offers):
        if new[p] and from_[p] == closed:
            each[0].append(f), each[1].append(first[p]), each[2].append(table[k, 5])
        for t in range(first[p], last[p] + 1):
            each[0].append(f), each[1].append(periods + t), each[2].append(table[k, 6])
    dist = np.hypot(*(d["area_km"][:, None] - d["site_km"][None]).transpose(2, 0, 1))
    i, c, j = np.nonzero(dist[:, None, :] <= table[None, :, 7, None])
    share = dist[i, j] / table[c, 7]
    phi = np.select([share <= 1 / 3, share <= 2 / 3], [1.0, 0.8], 0.5)[:, None]
    words = NO_TEXT
    names = lambda letter, n: tuple(f"{letter}{k:04d}" for k in range(n))  # noqa: E731
    return Problem(
        areas=names("a", areas), sites=names("s", sites), options=names("o", closed + 1),
        services=names("v", services), classes=names("c", len(table)), groups=names("g", groups),
        periods=names("t", periods), pools=("capital", "workers"), period_years=np.full(periods, 5.0),
        need=d["need"][..., None], site_start=start, stint_site=site, stint_from=from_,
        stint_option=option, stint_first=first, stint_last=last, offer_stint=of_stint,
        offer_class=kind, offer_min=table[kind, 2], offer_max=table[kind, 3],
        offer_module=np.zeros(len(offers)), class_service=table[:, 1].astype(np.int64),
        occupancy_min=np.zeros(len(table)), occupancy_max=np.ones(len(table)),
        places_per_person=np.ones((len(table), groups)), arc_area=i, arc_site=j, arc_class=c,
        arc_minutes=dist[i, j] * MINUTES_PER_KM, acceptance=phi,
        use_stint=csr_array(fixed),
        use_place=csr_array(coo_array((coo_vals, (coo_rows, coo_cols)), shape=(len(offers), 2 * periods))),
        use_person=np.zeros((len(table), groups, 2, periods)), use_minute=np.zeros((len(table), 2)),
        rules=(
            Balance(id="balance", words=words), Acceptance(id="acceptance", words=words),
            Capacity(id="capacity", words=words), Scale(id="scale", words=words),
            Link(id="link", words=words), SiteStates(id="site", words=words),
            Resource(id="capital", words=words, pool=0, supply=d["capital"]),
            Resource(id="workers", words=words, pool=1, supply=d["workers"]),
        ),
        objectives=(
            Objective(
                id="unmet", unit="person-year", unmet=np.ones((1, 1, 1)),
                person=0.2 * share[:, None], period_weight=np.full(periods, 5.0),
            ),
        ),
    )  # fmt: skip


def main() -> None:
    """Print one line of figures."""
    from benchmarks.instances import NAMED

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", default="full-209x60")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--gap", type=float, default=1e-3)
    parser.add_argument("--fractional-places", action="store_true")
    options = parser.parse_args()
    problem = full_problem(NAMED[options.name]())
    began = time.perf_counter()
    form = formulate(problem)
    built = time.perf_counter() - began
    rows = sum(b.matrix.shape[0] for b in form.blocks)
    print(f"{options.name}: {rows:,} rows, {form.columns.size:,} columns, built in {built:.2f} s")
    began = time.perf_counter()
    plan = solve_exactly(
        problem, gap=options.gap, seconds=options.seconds,
        whole_places=not options.fractional_places,
        progress=lambda line: print(f"  {time.perf_counter() - began:6.1f} s  {line}"),
    )  # fmt: skip
    wall = time.perf_counter() - began
    found = verify(problem, plan) if plan.is_complete else ()
    for o in plan.objectives:
        print(
            f"{o.id}: {o.value:,.1f} {o.unit}, bound {o.bound:,.1f}, gap {o.gap:.3%}, {wall:.1f} s"
        )
    print(f"{plan.status}; {len(found)} findings")


if __name__ == "__main__":
    main()
