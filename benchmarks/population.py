"""Speed and accuracy of the population engine: ``python benchmarks/population.py``.

Speed is compared with a plain-loop version of the same step in the same run (a part of the work,
scaled up). Accuracy needs the validation data (``ALLOCATOR_VALIDATION_DATA``); without it that
part says so. Regions and their rates are invented with a seed; their number is that of China's
county-level units.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd

from allocator.io.rates import read_rates
from allocator.io.un import read_un_folder
from allocator.population import (
    CountyShares,
    Population,
    Survival,
    Uncertainty,
    VitalRates,
    backcast_shares,
    life_table,
    sample_futures,
    small_area_projection,
    survival,
)
from allocator.population.cohort import project_chunks
from allocator.population.un import project_un

ROOT = Path(__file__).parents[1]
COUNTIES, YEARS, SEED = 2844, 30, 20


def invented(regions: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Base, yearly death rates, fertility and net migrants of some regions by single age."""
    ages = np.arange(101.0)
    level = rng.uniform(0.7, 1.5, (YEARS, regions, 1, 1))
    mx = 0.0003 + 0.00004 * np.exp(0.098 * ages) + 0.006 * (ages == 0)
    mx = level * np.stack([1.2 * mx, mx], axis=-1)
    persons = rng.uniform(1000, 5000, (regions, 1, 1)) / (1 + np.exp((ages - 75) / 8))[:, None]
    persons = np.repeat(persons, 2, axis=-1)
    bell = np.exp(-0.5 * ((np.arange(15, 50) - 28.0) / 5.0) ** 2)
    fertility = rng.uniform(1.0, 2.0, (YEARS, regions, 1)) * bell / bell.sum()
    net = rng.normal(0, 5, (YEARS, regions, 1, 1)) * np.exp(-((ages - 23) ** 2) / 80)[:, None]
    return persons, mx, fertility, np.repeat(net, 2, axis=-1)


def plain_loop(persons, ages, birth, fertility, srb, net):  # type: ignore[no-untyped-def]
    """One region, all years, in plain Python over lists: the same equations, no arrays."""
    now = [[float(persons[a][s]) for s in (0, 1)] for a in range(101)]
    for t in range(len(ages)):
        start = [[max(now[a][s] + net[t][a][s] / 2, 0.0) for s in (0, 1)] for a in range(101)]
        end = [[0.0, 0.0] for _ in range(101)]
        for a in range(101):
            for s in (0, 1):
                end[min(a + 1, 100)][s] += start[a][s] * ages[t][a][s]
        for a in range(101):
            for s in (0, 1):
                end[a][s] = max(end[a][s] + net[t][a][s] / 2, 0.0)
        births = sum(fertility[t][a - 15] * (now[a][1] + end[a][1]) / 2 for a in range(15, 50))
        for s, share in ((0, srb / (1 + srb)), (1, 1 / (1 + srb))):
            end[0][s] = max(births * share * birth[t][s] + net[t][0][s] / 2, 0.0)
        now = end
    return now


def counties_by_single_age() -> dict[str, float]:
    """2,844 counties x 101 ages x 2 sexes x 30 years, life tables included (not in the loop)."""
    persons, mx, fertility, net = invented(COUNTIES, np.random.default_rng(SEED))
    ages = tuple(range(101))

    def alive(part: slice) -> Survival:
        return survival(life_table(mx[:, part], ages), 1)

    began = time.perf_counter()
    balance = 0.0
    last = np.empty((COUNTIES, 101, 2))
    for part, found in project_chunks(persons, alive, fertility, 1.1, net):
        last[part] = found.persons[-1]
        balance = max(balance, float(np.abs(found.imbalance).max()))
    took = time.perf_counter() - began
    sample = 6
    ratios = alive(slice(0, sample))
    parts = (ratios.ages, ratios.birth, fertility[:, :sample], net[:, :sample])
    lists = [x.tolist() for x in parts]
    began = time.perf_counter()
    for i in range(sample):
        ratio, birth, births, moving = ([year[i] for year in x] for x in lists)
        slow = plain_loop(persons[i].tolist(), ratio, birth, births, 1.1, moving)
        np.testing.assert_allclose(slow, last[i], rtol=1e-9)
    loop = (time.perf_counter() - began) / sample * COUNTIES
    return {
        "total_s": took,
        "plain_loop_s_scaled": loop,
        "times_faster_than_loop": loop / took,
        "largest_imbalance_persons": balance,
    }


def futures_of_a_prefecture() -> dict[str, float]:
    """1,000 sampled futures of 12 counties to 2050, each controlled to the prefecture."""
    tables = read_rates()
    rates = VitalRates.from_tables(tables["mortality"], tables["fertility"], tables["migration"])
    standard = tables["standard_population"]
    ages = standard.pivot_table(
        index="age", columns="sex", values="thousand", aggfunc="sum", sort=False
    )
    size = np.random.default_rng(SEED).uniform(0.1, 0.9, 12)
    persons = size[:, None, None] * ages[["m", "f"]].to_numpy(dtype=float)
    base = Population(tuple(f"c{i:02d}" for i in range(12)), (2020,), persons[None, None, :, None])
    by = Uncertainty.from_table(tables["uncertainty"], "county")
    began = time.perf_counter()
    periods = rates.at(list(range(2020, 2050, 5)))
    found = small_area_projection(base, sample_futures(periods, by, 1000, SEED), to=2050)
    took = time.perf_counter() - began
    low, high = found.population.band(found.population.total().sum(axis=2))
    return {"total_s": took, "relative_width_2050": float((high - low)[0, -1] / low[0, -1])}


def accuracy(folder: Path) -> list[dict[str, object]]:
    """UN inputs in, UN answer out, 2050; both age profiles of migrants."""
    rows: list[dict[str, object]] = []
    for country in ("CHN", "JPN"):
        tables = read_un_folder(folder / country)
        people = tables["population_5x5"]
        given = {**tables, "population_5x5": people[people["year"] <= 2020]}
        for profile in ("model", "residual"):
            for variant in ("low", "medium", "high"):
                found = project_un(given, start=2020, to=2050, variant=variant, profile=profile)
                here = found.table.query("year == 2050")[["pop_m", "pop_f"]].to_numpy()
                there = people[(people["variant"] == variant) & (people["year"] == 2050)]
                there = there[["pop_m", "pop_f"]].to_numpy()
                rows.append(
                    {
                        "country": country,
                        "profile": profile,
                        "variant": variant,
                        "total_percent": 100 * (here.sum() / there.sum() - 1),
                        "aged_65_percent": 100 * (here[13:].sum() / there[13:].sum() - 1),
                        "cells_under_90_percent": 100 * np.abs(here[:18] / there[:18] - 1).mean(),
                    }
                )
    return rows


def holdout(folder: Path) -> list[dict[str, object]]:
    """The past from an earlier base, by age profile of migrants: nothing after the base is read."""
    rows: list[dict[str, object]] = []
    for country in ("CHN", "JPN"):
        tables = read_un_folder(folder / country)
        people = tables["population_5x5"]
        there = people.query("variant == 'estimate' and year == 2020")[
            ["pop_m", "pop_f"]
        ].to_numpy()
        for start in (2000, 2010):
            given = {**tables, "population_5x5": people[people["year"] <= start]}
            for profile in ("model", "residual"):
                found = project_un(given, start=start, to=2020, profile=profile).table
                here = found.query("year == 2020")[["pop_m", "pop_f"]].to_numpy()
                cells = 100 * np.abs(here[:18] / there[:18] - 1).mean()
                rows.append(
                    {
                        "country": country,
                        "base": start,
                        "profile": profile,
                        "total_percent": 100 * (here.sum() / there.sum() - 1),
                        "cells_under_90_percent": cells,
                    }
                )
    return rows


def haiyuan(folder: Path) -> CountyShares:
    """The ten places of 海原 whose shares of 2010 are known; its seat became a sub-district."""
    table = pd.read_csv(folder / "township_population_2020.csv")
    table = table[(table["county"] == "海原县") & table["share_2010_pct"].notna()]
    before, after = (table[f"share_{y}_pct"].to_numpy() for y in (2010, 2020))
    return CountyShares(tuple(table["town"]), "海城街道办", before, after)


def backcast(census: Path | None = None) -> pd.DataFrame:
    """2010-2020 township shares of the shipped counties, each predicted from the others."""
    counties = {}
    for name in ("pingli", "tongxin"):
        table = pd.read_csv(ROOT / "data" / name / "townships.csv", dtype={"area": str})
        seat = table.loc[table["area_class"] == "county-town", "area"].iloc[0]
        before, after = (table[f"share_{y}_percent"].to_numpy() for y in (2010, 2020))
        counties[name] = CountyShares(tuple(table["area"]), seat, before, after)
    if census is not None:
        counties["haiyuan (10 of its places)"] = haiyuan(census)
    return backcast_shares(counties)[1]


def main() -> None:
    """Print everything, as JSON lines."""
    machine = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "numpy": np.__version__,
    }
    print(json.dumps({"machine": machine}))
    print(json.dumps({"2844 counties x 101 ages x 2 x 30 years": counties_by_single_age()}))
    print(json.dumps({"1000 futures of 12 counties": futures_of_a_prefecture()}))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_memory_mib, inputs included": round(peak)}))
    print(backcast().round(2).to_string(index=False))
    given = os.environ.get("ALLOCATOR_VALIDATION_DATA")
    folder = (Path(given) if given else ROOT / ".." / "shared" / "data") / "wpp" / "wpp2019"
    if not folder.exists():
        print("accuracy: left out, validation data not there (set ALLOCATOR_VALIDATION_DATA)")
        return
    print(backcast(folder.parents[1] / "census").round(2).to_string(index=False))
    print(pd.DataFrame(holdout(folder)).round(3).to_string(index=False))
    print(pd.DataFrame(accuracy(folder)).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
