"""Visits by teams as real routes, to see whether the vehicle-hours of a plan are enough.

A problem counts a visit as its minutes at the door and a share of a journey out and back. Here the
visits of each base become tours that start and end there within a shift, found by PyVRP (optional
extra ``routes``), with the case's own journeys between places. Ways between the doors of one place
are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from allocator.case import Case
from allocator.catalogue import Offer
from allocator.compile import class_offers, with_joint_types
from allocator.errors import Finding, InputRefused, Rank, Text, Where, plural
from allocator.journeys import minutes_among
from allocator.measures.choice import assigned, of_residents
from allocator.prepare import placed
from allocator.rules import Floats, Ints
from allocator.run import Run

__all__ = ["RouteCheck", "Shift", "Tours", "check_routes", "plan_tours"]

Progress = Callable[[str], None]
SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How teams work: hours of a shift, working days a month, and how long tours are searched for.

    ``rounds`` is how often a month each place is called at where the catalogue says nothing
    (``trips_month``). ``iterations`` of the search, from ``seed``: the same tours every time.
    """

    hours: float = 8.0
    days_month: float = 21.5
    rounds: float = 4.0
    iterations: int = 400
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Tours:
    """Tours of one base in one round: how many, and minutes of all of them from door to door.

    ``left`` (n,) positions of stops that no shift can reach and return from; they are in no tour.
    """

    count: int
    minutes: float
    left: Ints


@dataclass(frozen=True, eq=False)
class RouteCheck:
    """What routes say of a plan.

    Parameters
    ----------
    table
        A row a base, reach class and period: ``site_id, class, period, visits`` (a month), ``places``
        called at, ``rounds`` a month, ``tours`` a round, ``vehicles`` needed, ``hours`` a month
        on tours, ``hours_planned`` a month as the problem counted them, ``left`` places that no
        shift reaches.
    findings
        Bases whose tours take longer than planned, places that no shift reaches, periods that need
        more hours than the pool has.
    """

    table: pd.DataFrame
    findings: tuple[Finding, ...]


def plan_tours(minutes: Floats, work_minutes: Floats, shift: Shift, unit: float = 0.0) -> Tours:
    """Return the fewest tours within a shift that do all work, and of these the shortest found.

    Work that fills whole shifts at one stop is sent there and back on its own; the rest is routed.

    Parameters
    ----------
    minutes
        (n + 1, n + 1) journeys between the base (0) and the stops, inf where there is no way.
    work_minutes
        (n,) minutes of work at each stop.
    unit
        Minutes of one visit, which is not divided between shifts; 0: work divides freely.
    """
    shift_minutes = 60 * shift.hours
    free = shift_minutes - minutes[0, 1:] - minutes[1:, 0]
    most = np.floor(free / unit + 1e-9) * unit if unit else free
    left = np.flatnonzero((work_minutes > 0) & ~(most > 0))
    some = np.flatnonzero((work_minutes > 0) & (most > 0))
    full = np.zeros(len(work_minutes))
    full[some] = np.floor(work_minutes[some] / most[some] + 1e-9)
    rest = np.maximum(work_minutes[some] - full[some] * most[some], 0.0)
    alone = full[some] * (shift_minutes - free[some] + most[some])
    open_ = rest > 1e-6
    stops = np.r_[0, 1 + some[open_]]
    count, routed = _routed(minutes[np.ix_(stops, stops)], rest[open_], shift)
    return Tours(int(full.sum()) + count, float(alone.sum()) + routed, left)


def _routed(minutes: Floats, work: Floats, shift: Shift) -> tuple[int, float]:
    """Number of tours and their minutes; every stop can be served alone within the shift."""
    if not len(work):
        return 0, 0.0
    if len(work) == 1:
        return 1, float(minutes[0, 1] + work[0] + minutes[1, 0])
    from pyvrp import Model
    from pyvrp.stop import MaxIterations

    # Whole seconds, each rounded up, could add up to more than a stop's own shift: allow for them.
    seconds = np.where(np.isfinite(minutes), np.ceil(minutes * SECONDS - 1e-6), -1).astype(int)
    span = math.floor(shift.hours * 3600) + 3 * len(work)
    model = Model()
    at = [model.add_location(0, 0) for _ in range(len(work) + 1)]
    depot = model.add_depot(at[0])
    for place, much in zip(at[1:], work, strict=True):
        model.add_client(place, service_duration=math.ceil(much * SECONDS - 1e-6))
    for a, start in enumerate(at):
        for b, end in enumerate(at):
            if a != b and seconds[a, b] >= 0:
                model.add_edge(start, end, distance=0, duration=int(seconds[a, b]))
    model.add_vehicle_type(
        len(work), start_depot=depot, end_depot=depot, shift_duration=span,
        fixed_cost=span * (len(work) + 1), unit_distance_cost=0, unit_duration_cost=1,
    )  # fmt: skip
    best = model.solve(MaxIterations(shift.iterations), seed=shift.seed, display=False).best
    alone = minutes[0, 1:] + work + minutes[1:, 0]
    if not best.is_feasible():  # one tour a stop always is
        return len(work), float(alone.sum())
    return best.num_routes(), best.duration() / SECONDS


def check_routes(
    run: Run, case: Case, *, shift: Shift | None = None, progress: Progress | None = None
) -> RouteCheck:
    """Return tours of every base that sends teams, beside what the plan allotted to it.

    Visits are the mean over the futures. Each place is called at ``trips_month`` times a month, all
    places of a base in each round.

    Parameters
    ----------
    case
        The case of the run, for the journeys between places.

    Raises
    ------
    InputRefused
        When PyVRP is not installed, or the case lacks places of the run.
    """
    shift, say = shift or Shift(), progress or (lambda text: None)
    _refuse_without_pyvrp()
    problem, plan, scenario = run.problem, run.plan, run.scenario
    case = with_joint_types(placed(case, scenario), scenario)
    teams = {o.id: o for o in class_offers(case, scenario) if o.minutes_visit > 0}
    lived = of_residents(problem, assigned(plan))  # those sent on are visited from nowhere known
    arc = lived.arc
    served = pd.DataFrame(
        {
            "site": problem.arc_site[arc], "class": problem.arc_class[arc],
            "period": lived.period, "area": problem.arc_area[arc],
            "minutes": problem.arc_minutes[arc],
            "visits": lived.people * problem.future_weight[lived.future],
        }
    )  # fmt: skip
    mine = [problem.classes.index(c) for c in teams if c in problem.classes]
    served = served[served["class"].isin(mine)]
    cells = ["site", "class", "period", "area", "minutes"]
    served = served.groupby(cells, as_index=False)["visits"].sum()
    rows = []
    for (site, kind, period), part in served.groupby(["site", "class", "period"]):
        offer = teams[problem.classes[int(kind)]]
        say(problem.sites[int(site)])
        ids = [problem.areas[i] for i in part["area"]]
        between = minutes_among(case, problem.sites[int(site)], ids, offer.travel)
        rows.append(
            {
                "site_id": problem.sites[int(site)], "class": offer.id,
                "period": problem.periods[int(period)],
                **_of_base(between, part["visits"].to_numpy(), part["minutes"].to_numpy(), offer, shift),
            }
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return RouteCheck(table, tuple(_told(run, table, shift)))


_COLUMNS = (
    "site_id", "class", "period", "visits", "places", "rounds", "tours", "vehicles", "hours",
    "hours_planned", "left",
)  # fmt: skip


def _of_base(
    between: Floats, visits: Floats, out: Floats, offer: Offer, shift: Shift
) -> dict[str, float]:
    """Figures of one base: a round's tours, and the month's hours beside those planned."""
    rounds = offer.trips_month or shift.rounds
    tours = plan_tours(between, visits / rounds * offer.minutes_visit, shift, offer.minutes_visit)
    planned = visits * (offer.minutes_visit + 2 * out / offer.visits_trip) / 60
    return {
        "visits": float(visits.sum()), "places": len(visits), "rounds": rounds,
        "tours": tours.count, "vehicles": math.ceil(tours.count * rounds / shift.days_month - 1e-9),
        "hours": tours.minutes * rounds / 60, "hours_planned": float(planned.sum()),
        "left": len(tours.left),
    }  # fmt: skip


def _refuse_without_pyvrp() -> None:
    from importlib.util import find_spec

    if find_spec("pyvrp") is None:
        raise InputRefused(
            (
                Finding(
                    Rank.ERROR, "routes-need-pyvrp", Where(id="pyvrp"),
                    Text("核对线路需要可选组件 PyVRP,尚未安装。", "Checking routes needs the optional package PyVRP, which is not installed."),
                    Text('请安装:pip install "service-allocator[routes]"。', 'Install it: pip install "service-allocator[routes]".'),
                ),
            )
        )  # fmt: skip


def _told(run: Run, table: pd.DataFrame, shift: Shift) -> Iterator[Finding]:
    """Where the linear estimate was too small, in planners' words."""
    for row in table.to_dict("records"):
        where = Where(id=row["site_id"], column=row["period"])
        if row["left"]:
            yield Finding(
                Rank.WARNING, "routes-beyond-a-shift", where,
                Text(f"{row['left']:.0f}个村往返加服务超过一个班次({shift.hours:g}小时),无法当天往返。",
                     f"{plural(round(row['left']), 'place')} cannot be served and returned from within a shift of {shift.hours:g} hours."),
                Text("改由较近的站点上门,或安排驻点。", "Serve them from a nearer base, or post a worker there."),
            )  # fmt: skip
        if row["hours"] > row["hours_planned"] * 1.005 + 0.05:
            more = row["hours"] / row["hours_planned"] - 1
            yield Finding(
                Rank.WARNING, "routes-longer-than-planned", where,
                Text(f"按实际线路每月需{row['hours']:.0f}车时、{row['vehicles']:.0f}辆车,方案只计{row['hours_planned']:.0f}车时,少{more:.0%}。",
                     f"Real routes take {plural(round(row['hours']), 'vehicle-hour')} a month and {plural(round(row['vehicles']), 'vehicle')}; the plan counted {row['hours_planned']:.0f}: {more:.0%} more are needed."),
                Text("调低目录中每趟上门次数(visits_trip),或增加车辆工时后重新计算。", "Lower visits_trip in the catalogue, or supply more vehicle-hours, and plan again."),
            )  # fmt: skip
    pool = run.scenario.resources.get("vehicle_hours")
    if pool is None:
        return
    for period in run.scenario.periods:
        need = float(table.loc[table["period"] == period.id, "hours"].sum())
        have = pool.supply[period.from_]
        if need > have * 1.005:
            yield Finding(
                Rank.WARNING, "routes-beyond-the-fleet", Where(id="vehicle_hours", column=period.id),
                Text(f"全县按实际线路每月需{need:.0f}车时,可用{have:.0f}车时。",
                     f"Real routes of the county take {need:.0f} vehicle-hours a month; {have:.0f} are supplied."),
                Text("增加车辆,或减少上门次数。", "Add vehicles, or make fewer visits."),
            )  # fmt: skip
