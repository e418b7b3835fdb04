"""The sixteen questions on some townships of the demonstration county: a line of figures a variant.

A last line on standard error names the projects that all variants of a question have in common.

    python -m benchmarks.questions [--townships 450225100,450225101,...] [--only 05] [--gap 0.02]

Money, staff and other supplies are cut to the townships' share of the county's people. Figures are
of the last period. The whole county is run by ``allocator study``; this takes minutes, not hours.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CASE, QUESTIONS = ROOT / "data" / "rongshui", ROOT / "scenarios" / "rongshui" / "questions"
TOWNSHIPS = "450225100,450225101,450225102,450225103,450225104"
COLUMNS = (
    "resident_met", "destitute_met", "day_met", "home_met", "coverage_day", "places", "use_free",
    "nursing_share", "mean_minutes", "running_gap", "care_workers",
)  # fmt: skip


def figures(done: Any) -> dict[str, Any]:
    """Return what is printed of a run: measures of its last period, projects by type, pools."""
    end = done.scenario.periods[-1].to
    table = done.tables["indicators"]
    last = table[table["year"] == end].set_index("indicator")["value"]
    row: dict[str, Any] = {name: round(float(last[name]), 4) for name in COLUMNS}
    money = table[(table["indicator"] == "investment") & (table["year"] > done.scenario.base_year)]
    row["investment"] = round(float(money["value"].sum()))
    row["objective"] = round(done.plan.objectives[0].value, 1)
    row["gap"] = round(done.plan.gap, 4)
    projects = done.tables["projects"]
    count = projects.groupby(["mode", "type"]).size()
    row["projects"] = "; ".join(f"{m} {t} x{n}" for (m, t), n in count.items())
    sizes = projects.groupby("type")["places_resident"].mean()
    row["mean_size"] = "; ".join(f"{t} {v:.0f}" for t, v in sizes.items() if v > 0)
    pools = done.tables["pools"]
    pools = pools[pools["year"] == end]
    row["use"] = "; ".join(f"{p.pool} {p.use:.0f}" for p in pools.itertuples())
    short = done.measures["shortfalls"]
    row["short"] = "; ".join(f"{k} {v:.1f}" for k, v in short.items() if v > 0.05)
    return row


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.questions", description=__doc__)
    parser.add_argument("--townships", default=TOWNSHIPS)
    parser.add_argument("--only", default="", help="questions whose number starts so")
    parser.add_argument("--gap", type=float, default=0.02)
    a = parser.parse_args(argv)
    from allocator.errors import AllocatorError
    from allocator.io.case import read_case
    from allocator.io.studies import read_study
    from allocator.run import Shared, run

    case, share = read_case(CASE).part(a.townships.split(","))
    shared, failed, out = Shared(), 0, None
    for path in sorted(QUESTIONS.glob("*.yaml")):
        if not path.stem.startswith(a.only):
            continue
        study, members = read_study(path)
        names = [c.get("name", "") for c in study.changes] or [""]
        common: set[str] | None = None
        for n, scenario in enumerate(m.scenario for m in members):
            label = {
                "question": path.stem[:2],
                "scenario": scenario.name,
                "variant": names[n % len(names)],
            }
            begun = time.monotonic()
            try:
                solve = scenario.solve.model_copy(update={"gap": a.gap})
                asked = scenario.scaled(share).model_copy(update={"solve": solve})
                done = run(case, asked, shared=shared)
                row = figures(done)
                mine = {f"{p.site_id} {p.type}" for p in done.tables["projects"].itertuples()}
                common = mine if common is None else common & mine
            except AllocatorError as problem:
                row, failed = {"short": str(problem)[:200]}, failed + 1
            row = {**label, **row, "seconds": round(time.monotonic() - begun, 1)}
            if out is None:
                columns = [
                    "question",
                    "scenario",
                    "variant",
                    *COLUMNS,
                    "investment",
                    "objective",
                    "gap",
                ]
                columns += ["projects", "mean_size", "use", "short", "seconds"]
                out = csv.DictWriter(sys.stdout, columns, restval="")
                out.writeheader()
            out.writerow(row)
            sys.stdout.flush()
        print(f"{path.stem[:2]}: in all: {', '.join(sorted(common or ()))}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
