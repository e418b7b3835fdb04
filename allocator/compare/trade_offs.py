"""What many runs say together: frontiers, dominated plans, marginal cost, tornado, regret.

Each works on a table of one row a run (`allocator.study.StudyResults.table`): names of runs in
``name``, what was set and what came of it in the other columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["BETTER", "dominated", "frontier", "marginal", "regret", "tornado"]

BETTER: Mapping[str, int] = {
    "places_per_1000": 1, "nursing_share": 1, "township_centres": 1, "destitute_met": 1,
    "resident_met": 1, "day_met": 1, "home_met": 1, "use_assigned": 1, "use_free": 1,
    "coverage_day": 1, "empty_free": -1, "investment_all": -1, "running_gap": -1, "care_workers": -1,
    "mean_minutes": -1, "p90_minutes": -1, "cost_person_day": -1, "budget": -1, "short": -1,
    "gini": -1,
}  # fmt: skip
"""Which way an indicator is better: 1 more, -1 less. Places as such are neither."""
SAME = 1e-9
STATE_TODAY = "state_today"
"""Column of what stands today in tables of sites by run: no run can bear the name."""


def dominated(table: pd.DataFrame, directions: Mapping[str, int]) -> dict[str, str]:
    """Return each dominated run and one that dominates it, itself not dominated.

    A run is dominated where another is at least as good in every figure and better in one.

    Parameters
    ----------
    directions
        By column, 1 where more is better and -1 where less is.
    """
    names = [str(n) for n in table["name"]]
    values = _signed(table, directions)
    finite = np.where(np.isfinite(values), np.abs(values), 0.0)
    room = np.maximum(finite.max(0, initial=0.0), 1.0) * SAME
    found: dict[int, int] = {}
    for i, row in enumerate(values):
        better = (values >= row - room).all(1) & (values > row + room).any(1)
        if better.any():
            # Of all that are better, the one best in sum is itself not dominated.
            scale = np.maximum(finite.max(0), 1e-12)
            rank = np.where(better, (values / scale).sum(1), -np.inf)
            found[i] = int(rank.argmax())
    return {names[i]: names[j] for i, j in found.items()}


def frontier(table: pd.DataFrame, cost: str, gain: str, chosen: str | None = None) -> pd.DataFrame:
    """Return runs by cost and gain, dominated ones named, in order of cost.

    Parameters
    ----------
    cost, gain
        Columns; whether less or more is better is known for indicators (`BETTER`), else less of
        ``cost`` and more of ``gain``.
    chosen
        Name of the plan to mark.

    Returns
    -------
    pandas.DataFrame
        ``name``, the two columns, ``dominated_by`` (blank on the frontier), ``is_chosen``.
    """
    directions = {cost: BETTER.get(cost, -1), gain: BETTER.get(gain, 1)}
    beaten = dominated(table, directions)
    out = table[["name", cost, gain]].copy()
    out["dominated_by"] = [beaten.get(str(n), "") for n in out["name"]]
    out["is_chosen"] = out["name"] == chosen
    order = [cost, gain, "name"]
    return out.sort_values(order, ascending=[directions[cost] < 0, True, True], ignore_index=True)


def marginal(table: pd.DataFrame, cost: str, gain: str) -> pd.DataFrame:
    """Return what each step along the frontier costs and brings.

    Returns
    -------
    pandas.DataFrame
        ``from``, ``to``, ``cost`` and ``gain`` of the step, ``cost_per_gain`` (NaN where the step
        brings nothing).
    """
    line = frontier(table, cost, gain)
    line = line[line["dominated_by"] == ""].drop_duplicates([cost, gain])
    sign_cost, sign_gain = -BETTER.get(cost, -1), BETTER.get(gain, 1)
    steps = pd.DataFrame(
        {
            "from": line["name"].to_numpy()[:-1],
            "to": line["name"].to_numpy()[1:],
            "cost": sign_cost * np.diff(line[cost].to_numpy(float)),
            "gain": sign_gain * np.diff(line[gain].to_numpy(float)),
        }
    )
    brings = steps["gain"].abs() > SAME
    steps["cost_per_gain"] = np.where(
        brings, steps["cost"] / steps["gain"].where(brings, 1), np.nan
    )
    return steps


def tornado(table: pd.DataFrame, measure: str, settings: Sequence[str]) -> pd.DataFrame:
    """Return how far each assumption moves a measure, the widest first.

    A numeric assumption is read at the runs in the lowest and the highest quarter of its
    values, another at the value with the least and the most mean; all else varies as it does.

    Returns
    -------
    pandas.DataFrame
        ``setting``; ``low``, ``high``: the two ends of the assumption; ``at_low``, ``at_high``: mean
        of the measure there; ``swing``; ``rank_correlation`` (NaN for words).
    """
    rows = []
    for name in settings:
        if name == "sample" or name not in table or table[name].nunique() < 2:
            continue
        value, result = table[name], table[measure].astype(float)
        if pd.api.types.is_numeric_dtype(value) and not pd.api.types.is_bool_dtype(value):
            low, high = value <= value.quantile(0.25), value >= value.quantile(0.75)
            ends: tuple[object, object] = (float(value[low].mean()), float(value[high].mean()))
            at = float(result[low].mean()), float(result[high].mean())
            both = pd.DataFrame({"a": value.rank(), "b": result.rank()})
            flat = both["b"].nunique() < 2
            link = float("nan") if flat else float(both["a"].corr(both["b"]))
        else:
            mean = result.groupby(value.astype(str)).mean()
            ends = (str(mean.idxmin()), str(mean.idxmax()))
            at, link = (float(mean.min()), float(mean.max())), float("nan")
        rows.append((name, *ends, *at, abs(at[1] - at[0]), link))
    columns = ["setting", "low", "high", "at_low", "at_high", "swing", "rank_correlation"]
    found = pd.DataFrame(rows, columns=columns)
    return found.sort_values(["swing", "setting"], ascending=[False, True], ignore_index=True)


def regret(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return how much worse each plan does in each future than the best known for that future.

    Parameters
    ----------
    table
        A study of futures: ``role``, ``base``, ``future`` and the measure; see `design.Futures`.
    measure
        Column; less is better unless `BETTER` says otherwise (objectives are all minimised).

    Returns
    -------
    pandas.DataFrame
        Plans as rows, futures as columns, ``worst`` last; NaN where the plan cannot keep the hard
        rules there. The first row of least ``worst`` is the minimax-regret plan.
    """
    sign = -BETTER.get(measure, -1)
    loss = table.assign(loss=sign * table[measure].astype(float))
    best = loss.groupby("future")["loss"].min()
    # The plan itself and the run that plans anew are what "as planned" and "best" stand for.
    fixed = loss[loss["role"].isin(("plan", "fixed"))]
    wide = fixed.pivot(index="base", columns="future", values="loss")
    order = list(dict.fromkeys(loss["future"]))
    wide = wide.reindex(columns=order).sub(best.reindex(order), axis=1)
    wide = wide.where(wide.abs() > SAME * np.maximum(best.abs().max(), 1.0), 0.0)
    wide = wide.where(fixed.pivot(index="base", columns="future", values="loss").notna()[order])
    wide["worst"] = wide.max(axis=1, skipna=False)
    return wide.sort_values("worst", kind="stable").rename_axis(index="plan", columns=None)


def _signed(table: pd.DataFrame, directions: Mapping[str, int]) -> npt.NDArray[np.float64]:
    values = table[list(directions)].to_numpy(dtype=float) * np.array(list(directions.values()))
    return np.where(np.isnan(values), -np.inf, values)
