"""Ours and the peers in turn on the same instance: value, bound, seconds, and their ratio to ours.

    python -m benchmarks.peers median-200x10 --seed 1 --limit 60
    python -m benchmarks.peers capacitated-1000x100 covering-10000x200 --json
    python -m benchmarks.peers --build

Each solves in a process of its own from the same arrays, to the same gap, with the same limit; compiled
loops of ours are warm. ``cpu_s`` counts the solver's own processes too. A value that is worse than
ours by more than both gaps together, or better than our bound, is named: then the comparison is void.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import re
import resource
import sys
import time
from collections.abc import Callable
from queue import Empty

import numpy as np

from benchmarks import instances, problems

NAMES = ("median-200x10", "capacitated-1000x100", "covering-10000x200", "county-1000x200x4")
GAP = 1e-3


def made(name: str, seed: int) -> dict:
    """Return the arrays of an instance; ``median-NxP`` is N points in the unit square."""
    family, size = name.split("-", 1)
    if family != "median":
        return instances.NAMED[name](seed=seed)
    n, p = (int(v) for v in size.split("x"))
    points = np.random.default_rng(seed).random((n, 2))
    return {"distance": np.linalg.norm(points[:, None] - points[None], axis=2), "p": p}


def problem_of(name: str, d: dict):
    """Return the instance as a `Problem`."""
    if name.startswith("median"):
        return problems.median_problem(d["distance"], d["p"])
    build = {
        "capacitated": problems.capacitated_problem, "covering": problems.covering_problem,
        "county": problems.county_problem,
    }  # fmt: skip
    return build[name.split("-")[0]](d)


def ours(name: str, d: dict, limit: float) -> tuple[float, float]:
    """Solve by prices."""
    from allocator.model.prices import solve_by_prices

    plan = solve_by_prices(problem_of(name, d), gap=GAP, time_limit=limit)
    return plan.objectives[0].value, plan.objectives[0].bound


def _with_links(name: str) -> bool:
    """Whether links are written out: the stronger form, but on a county HiGHS is at 1.8 % after 80 s with it."""
    return not name.startswith("county")


def highs_arrays(name: str, d: dict, limit: float, gap: float = GAP) -> tuple[float, float]:
    """Solve the whole model as arrays in HiGHS, in its better form."""
    from allocator.model.blocks import objective_coefficients
    from allocator.model.exact import formulate
    from allocator.model.highs import solve_linear

    problem = problem_of(name, d)
    form = formulate(problem, links=_with_links(name))
    cost = objective_coefficients(problem, form.columns, problem.objectives[0])
    out = solve_linear(form.linear, cost, gap=gap, seconds=limit)
    constant = problem.objectives[0].constant
    return out.value + constant, out.bound + constant


def _pulp(name: str, d: dict, solver) -> tuple[float, float]:
    import pulp

    from allocator.model.exact import formulate
    from allocator.model.pulp_door import to_pulp

    problem = problem_of(name, d)
    model, _ = to_pulp(formulate(problem, links=_with_links(name)))
    model.solve(solver)
    value = pulp.value(model.objective)
    return (np.inf if value is None else value + problem.objectives[0].constant), np.nan


def pulp_cbc(name: str, d: dict, limit: float) -> tuple[float, float]:
    """Solve as PuLP objects by CBC."""
    import pulp

    return _pulp(name, d, pulp.PULP_CBC_CMD(msg=False, gapRel=GAP, timeLimit=limit, threads=1))


def pulp_highs(name: str, d: dict, limit: float) -> tuple[float, float]:
    """Solve as PuLP objects by HiGHS."""
    import pulp

    return _pulp(name, d, pulp.HiGHS(msg=False, gapRel=GAP, timeLimit=limit, threads=1))


def linopy(name: str, d: dict, limit: float) -> tuple[float, float]:
    """Solve a linopy model of people by arc, sites open, and links, by HiGHS."""
    import pandas as pd
    from linopy import Model

    m = Model()
    if name.startswith("county"):
        return _linopy_county(m, d, limit)
    if name.startswith("median"):
        n = len(d["distance"])
        area, site = np.divmod(np.arange(n * n), n)
        cost, need, sites, opening = d["distance"].ravel(), np.ones(n), n, np.zeros(n)
    else:
        area, site, need = d["area"], d["site"], d["demand"]
        sites = d["n_sites"] if "n_sites" in d else len(d["capacity"])
        cost = d["cost"] / need[area] if "cost" in d else np.full(len(area), -1.0)
        opening = d.get("opening", np.zeros(sites))
    arcs, open_ = pd.RangeIndex(len(area), name="arc"), pd.RangeIndex(sites, name="site")
    x = m.add_variables(lower=0, upper=pd.Series(need[area], arcs), name="x")
    y = m.add_variables(binary=True, coords=[open_], name="y")
    by_area = x.groupby(pd.Series(area, arcs, name="area")).sum()
    total = pd.Series(need, pd.RangeIndex(len(need), name="area")).loc[np.unique(area)]
    covering = name.startswith("covering")
    m.add_constraints(by_area <= total if covering else by_area == total)
    at = y.sel(site=pd.Series(site, arcs).to_xarray())
    m.add_constraints(x - pd.Series(need[area], arcs).to_xarray() * at <= 0)
    if "capacity" in d:
        by_site = x.groupby(pd.Series(site, arcs, name="site")).sum()
        m.add_constraints(by_site - pd.Series(d["capacity"], open_) * y <= 0)
    if "p" in d:
        m.add_constraints(y.sum() <= d["p"])
    m.add_objective((x * pd.Series(cost, arcs)).sum() + (y * pd.Series(opening, open_)).sum())
    m.solve("highs", mip_rel_gap=GAP, time_limit=limit, threads=1, output_flag=False)
    return float(m.objective.value), np.nan


def _linopy_county(m, d: dict, limit: float) -> tuple[float, float]:
    """People by arc; kinds open and places by site and kind; one kind a site, one budget."""
    import pandas as pd

    arcs = pd.RangeIndex(len(d["area"]), name="arc")
    kinds = pd.RangeIndex(len(d["fixed"]), name="kind")
    sites = pd.RangeIndex(d["n_sites"], name="site")
    cell = pd.Series(d["site"] * len(kinds) + d["kind"], arcs, name="cell")
    cells = pd.RangeIndex(len(sites) * len(kinds), name="cell")
    of = np.tile(np.arange(len(kinds)), len(sites))
    x = m.add_variables(lower=0, upper=pd.Series(d["demand"][d["area"]], arcs), name="x")
    y = m.add_variables(binary=True, coords=[cells], name="y")
    n = m.add_variables(lower=0, coords=[cells], name="n")
    by_area = x.groupby(pd.Series(d["area"], arcs, name="area")).sum()
    need = pd.Series(d["demand"], pd.RangeIndex(len(d["demand"]), name="area"))
    m.add_constraints(by_area <= need.loc[np.unique(d["area"])])
    used = np.unique(cell)
    m.add_constraints(x.groupby(cell).sum() - n.sel(cell=used) <= 0)
    m.add_constraints(n - pd.Series(d["largest"][of], cells) * y <= 0)
    m.add_constraints(n - pd.Series(d["smallest"][of], cells) * y >= 0)
    m.add_constraints(y.groupby(pd.Series(cells // len(kinds), cells, name="site")).sum() <= 1)
    money = (pd.Series(d["fixed"][of], cells) * y).sum() + (
        pd.Series(d["per_place"][of], cells) * n
    ).sum()
    m.add_constraints(money <= d["budget"])
    m.add_objective((x * pd.Series(-d["value"], arcs)).sum())
    m.solve("highs", mip_rel_gap=GAP, time_limit=limit, threads=1, output_flag=False)
    return float(m.objective.value), np.nan


def spopt(name: str, d: dict, limit: float) -> tuple[float, float]:
    """Solve by spopt's own model: PMedian or MCLP, through PuLP and CBC."""
    import pulp
    from spopt.locate import MCLP, PMedian

    solver = pulp.PULP_CBC_CMD(msg=False, gapRel=GAP, timeLimit=limit, threads=1)
    if name.startswith("median"):
        model = PMedian.from_cost_matrix(
            d["distance"], np.ones(len(d["distance"])), p_facilities=d["p"]
        ).solve(solver)
        return float(pulp.value(model.problem.objective)), np.nan
    far = np.full((len(d["demand"]), d["n_sites"]), 2.0)
    far[d["area"], d["site"]] = 0.5
    model = MCLP.from_cost_matrix(far, d["demand"], 1.0, p_facilities=d["p"]).solve(solver)
    return -float(pulp.value(model.problem.objective)), np.nan


def pbp(name: str, d: dict, limit: float) -> tuple[float, float]:
    """Solve by pbp-pmedian."""
    from pbp_pmedian import solve

    value, *_ = solve(d["distance"], d["p"], time_limit=limit)
    return float(value), np.nan


PEERS: dict[str, tuple[Callable, str, tuple[str, ...]]] = {  # name: (solve, package, families)
    "ours": (ours, "allocator", ("median", "capacitated", "covering", "county")),
    "HiGHS arrays": (highs_arrays, "highspy", ("median", "capacitated", "covering", "county")),
    "PuLP + HiGHS": (pulp_highs, "pulp", ("median", "capacitated", "covering", "county")),
    "PuLP + CBC": (pulp_cbc, "pulp", ("median", "capacitated", "covering", "county")),
    "linopy": (linopy, "linopy", ("median", "capacitated", "covering", "county")),
    "spopt": (spopt, "spopt", ("median", "covering")),
    "pbp-pmedian": (pbp, "pbp_pmedian", ("median",)),
}


def _cpu() -> float:
    return sum(
        u.ru_utime + u.ru_stime
        for u in (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _in_a_process(peer: str, name: str, seed: int, limit: float, out) -> None:
    d = made(name, seed)
    solve = PEERS[peer][0]
    if peer == "ours":  # compiled loops warm
        small = {"median": "median-30x3"}.get(name.split("-")[0])
        warm = made(small, 1) if small else {
            "capacitated": lambda: instances.capacitated(60, 12, seed=1),
            "covering": lambda: instances.covering(200, 20, p=3, seed=1),
            "county": lambda: instances.county(60, 12, seed=1),
        }[name.split("-")[0]]()  # fmt: skip
        solve(name, warm, 10.0)
    t0, c0 = time.monotonic(), _cpu()
    value, bound = solve(name, d, limit)
    out.put((value, bound, time.monotonic() - t0, _cpu() - c0))


def measure(name: str, seed: int, limit: float) -> list[dict]:
    """Return a line a peer: value, bound, seconds, and ratios of CPU seconds to ours."""
    lines: list[dict] = []
    context = multiprocessing.get_context("spawn")
    for peer, (_, package, families) in PEERS.items():
        if name.split("-")[0] not in families:
            continue
        line = {"instance": name, "seed": seed, "peer": peer}
        if importlib.util.find_spec(package) is None:
            lines.append({**line, "said": "not installed"})
            continue
        out = context.Queue()
        process = context.Process(target=_in_a_process, args=(peer, name, seed, limit, out))
        process.start()
        deadline = time.monotonic() + 2 * limit + 60
        found = None
        while found is None and time.monotonic() < deadline:
            try:
                found = out.get(timeout=1.0)
            except Empty:
                if not process.is_alive():
                    break
        if found is None:
            process.kill()
            lines.append({**line, "said": f"no answer (exit code {process.exitcode})"})
            continue
        process.join()
        value, bound, wall, cpu = found
        line |= {"value": value, "bound": bound, "wall_s": wall, "cpu_s": cpu}
        if peer != "ours":
            us = lines[0]
            line["ratio"] = cpu / us["cpu_s"]
            slack = 2 * GAP * abs(us["value"]) + 1e-9
            if value > us["value"] + slack:
                line["said"] = "worse: stopped at the limit"
            elif value < us["bound"] - 1e-6 * abs(us["bound"]):
                line["said"] = "below our bound: not the same problem"
        lines.append(line)
    return lines


def _as_people_write_it(d: dict, links: bool):
    """Return a capacitated problem as PuLP's guide writes models: variables by name, sums, operators."""
    import pulp

    area, site, need = d["area"].tolist(), d["site"].tolist(), d["demand"].tolist()
    model = pulp.LpProblem("capacitated", pulp.LpMinimize)
    x = [pulp.LpVariable(f"x{k}", 0, need[i]) for k, i in enumerate(area)]
    y = [pulp.LpVariable(f"y{j}", cat="Binary") for j in range(len(d["capacity"]))]
    per_person = (d["cost"] / d["demand"][d["area"]]).tolist()
    model += pulp.lpSum(c * v for c, v in zip(per_person, x, strict=True)) + pulp.lpSum(
        float(c) * v for c, v in zip(d["opening"], y, strict=True)
    )
    of_area: dict[int, list] = {}
    of_site: dict[int, list] = {}
    for i, j, v in zip(area, site, x, strict=True):
        of_area.setdefault(i, []).append(v)
        of_site.setdefault(j, []).append(v)
        if links:
            model += v <= need[i] * y[j]
    for i, served in of_area.items():
        model += pulp.lpSum(served) == need[i]
    for j, served in of_site.items():
        model += pulp.lpSum(served) <= float(d["capacity"][j]) * y[j]
    return model


def build(arcs: int = 100_000) -> dict:
    """Return seconds and bytes an arc of building a capacitated problem as arrays and as PuLP objects.

    Ours runs from raw arrays to the solver's matrix, links as the exact road has them (none at first) and
    written out; PuLP as its guide writes models, and by our own door (``to_pulp``). Bytes are what stays allocated (``tracemalloc``, measured apart from the seconds).
    """
    import tracemalloc

    from allocator.model.exact import formulate
    from allocator.model.pulp_door import to_pulp

    d = instances.capacitated(arcs // 18, arcs // 360, seed=1)
    ways = {
        "arrays": lambda: formulate(problems.capacitated_problem(d)).linear,
        "arrays, links": lambda: formulate(problems.capacitated_problem(d), links=True).linear,
        "PuLP as written": lambda: _as_people_write_it(d, False),
        "PuLP as written, links": lambda: _as_people_write_it(d, True),
        "PuLP objects": lambda: to_pulp(formulate(problems.capacitated_problem(d))),
        "PuLP objects, links": lambda: to_pulp(
            formulate(problems.capacitated_problem(d), links=True)
        ),
    }
    made_of = len(d["area"])
    line: dict = {"arcs": made_of}
    for way, make in ways.items():
        make()
        seconds = []
        for _ in range(3):
            t0 = time.process_time()
            make()
            seconds.append(time.process_time() - t0)
        tracemalloc.start()
        kept = make()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del kept
        line[way] = {"cpu_s": sorted(seconds)[1], "bytes_an_arc": size / made_of}
    return line


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=60.0, help="wall seconds a solve")
    parser.add_argument("--json", action="store_true", help="one JSON line a solve")
    parser.add_argument("--build", action="store_true", help="cost of building instead")
    a = parser.parse_args(argv)
    if a.build:
        print(json.dumps(build()))
        return 0
    for name in a.names:
        if name not in instances.NAMED and not re.fullmatch(r"median-\d+x\d+", name):
            parser.error(f"no instance {name}: median-NxP or one of {', '.join(instances.NAMED)}")
    wrong = 0
    for name in a.names:
        for line in measure(name, a.seed, a.limit):
            wrong += "not the same" in line.get("said", "")
            if a.json:
                print(json.dumps(line), flush=True)
            elif "value" not in line:
                print(f"{name:22s} {line['peer']:14s} {line['said']}", flush=True)
            else:
                print(
                    f"{name:22s} {line['peer']:14s} {line['value']:14.3f} {line['wall_s']:8.2f} s "
                    f"{line['cpu_s']:8.2f} CPU s {line.get('ratio', 1.0):8.1f} x {line.get('said', '')}",
                    flush=True,
                )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
