"""What a change takes: places, money and workers of one run more than of another."""

from __future__ import annotations

import pandas as pd

from allocator.run import Run

__all__ = ["extra"]


def extra(before: Run, after: Run) -> pd.DataFrame:
    """Return what a change takes: places, money and workers of one run more than of another.

    Parameters
    ----------
    before, after
        Runs of one case and the same periods, such as without and with a raised standard.

    Returns
    -------
    pandas.DataFrame
        ``year``, ``measure`` (``places``, ``served``, ``capital_yuan``, ``running_yuan_year``,
        ``care_workers``, ``missing``), ``part`` (service, payer, rule or blank), ``before``,
        ``after``, ``extra``. Yuan of payers are whole and sum to the rounded use of the pool.

    Raises
    ------
    ValueError
        When the cases or periods differ.
    """
    if before.inputs["case"] != after.inputs["case"]:
        raise ValueError("runs of different cases cannot be compared")
    if [p.to for p in before.scenario.periods] != [p.to for p in after.scenario.periods]:
        raise ValueError("the runs have different periods")
    both = pd.DataFrame({"before": _amounts(before), "after": _amounts(after)}).fillna(0.0)
    both["extra"] = both["after"] - both["before"]
    return both.rename_axis(["year", "measure", "part"]).reset_index()


def _amounts(run: Run) -> pd.Series:
    """Places and people by service, yuan by payer, workers and missed targets, by year."""
    names = ("use", "needs", "sites")
    use, needs, sites = (
        t[t["year"] > run.scenario.base_year] for t in (run.tables[n] for n in names)
    )
    found: dict[tuple[int, str, str], float] = {}

    def put(measure: str, rows: pd.Series) -> None:
        for key, value in rows.items():
            year, part = key if isinstance(key, tuple) else (key, "")
            found[int(str(year)), measure, str(part)] = float(value)

    put("places", use.groupby(["year", "service"])["places"].sum())
    put("served", needs.groupby(["year", "service"])["served"].sum())
    paid = run.tables["payers"]
    for pool, measure in (("capital", "capital_yuan"), ("running", "running_yuan_year")):
        put(measure, paid[paid["pool"] == pool].groupby(["year", "payer"])["yuan"].sum())
    put("care_workers", sites.groupby("year")["care_workers"].sum())
    end = run.scenario.years[-1]
    for rule, missed in run.measures["shortfalls"].items():
        found[end, "missing", str(rule)] = float(missed)
    index = pd.MultiIndex.from_tuples(list(found))
    return pd.Series(list(found.values()), index=index)
