"""What the optional sheets of a case change: idle buildings, local unit costs, residents' origins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from allocator.catalogue import Catalogue
from allocator.demand import NeedRates, WillingnessCurve, calibrate_willingness, estimate_need
from allocator.errors import Finding, InputRefused, Where, nearest
from allocator.io.findings import error, library_missing, notice, warning
from allocator.population import AGES_5, Population
from allocator.schema import SCHEMAS
from allocator.travel.journeys import Places, TravelSpec, time_journeys

__all__ = ["calibrated_rows", "place_h3_cells", "with_buildings", "with_unit_costs"]

Tables = Mapping[str, pd.DataFrame]
RESIDENT, CURVE, DEFAULT_CURVE = "elderly.resident", "calibrated", "assumed-default"
ANY_TIME = 24 * 60.0
FAR_BELOW = 100


def with_buildings(
    sites: pd.DataFrame, buildings: pd.DataFrame
) -> tuple[pd.DataFrame, list[Finding]]:
    """Return the sites with the idle buildings among the candidates, and ids given twice."""
    twice = buildings["building_id"].isin(sites["site_id"])
    found = [
        error(
            "id-in-two-tables",
            Where(file="buildings.csv", row=int(str(row)), column="building_id", id=str(value)),
            (f"“{value}”在地点表中已有。", f"{value!r} is in the table of sites too."),
            ("请只在一张表中填写。", "Write it in one of the two tables."),
        )
        for row, value in buildings.loc[twice, "building_id"].items()
    ]
    schema = SCHEMAS["sites"]
    added = buildings.rename(columns={"building_id": "site_id", "kind": "building"})
    for column in schema.columns:
        if column.name not in added:
            text = column.kind in ("id", "text", "choice")
            added[column.name] = str(column.default or "") if text else np.nan
    # Row numbers of another file must not be told as rows of the table of sites.
    added.index = pd.Index([f"buildings {row}" for row in added.index])
    names = [c.name for c in schema.columns]
    both = pd.concat([sites[names], added.loc[~twice.to_numpy(), names]])
    return both.astype({n: sites[n].dtype for n in names}), found


def place_h3_cells(table: pd.DataFrame, name: str) -> list[Finding]:
    """Give places without a point the middle of their H3 cell, in place; return cells at fault.

    Cells are in WGS 84 degrees. Needs ``h3`` (extra ``geo``).
    """
    rows = table.index[(table["h3"] != "") & table["lon"].isna() & table["lat"].isna()]
    if not len(rows):
        return []
    try:
        import h3
    except ImportError:
        return [library_missing("h3", Where(file=f"{name}.csv", column="h3"))]
    found = []
    for row in rows:
        cell = table.loc[row, "h3"]
        if not h3.is_valid_cell(cell):
            found.append(
                error(
                    "h3-cell",
                    Where(file=f"{name}.csv", row=int(str(row)), column="h3"),
                    (f"“{cell}”不是H3单元。", f"{cell!r} is no H3 cell."),
                    ("请写15位的H3编号,如 87411ca4dffffff。", "Write its index, such as 87411ca4dffffff."),
                )
            )  # fmt: skip
            continue
        table.loc[row, ["lat", "lon"]] = h3.cell_to_latlng(cell)
    return found


def with_unit_costs(catalogue: Catalogue, costs: pd.DataFrame) -> tuple[Catalogue, list[Finding]]:
    """Return the catalogue with local unit costs in place of its own, and names it does not know."""
    found: list[Finding] = []
    types = dict(catalogue.types)
    for row, cost in costs.iterrows():
        where = Where(file="unit_costs.csv", row=int(str(row)), column="type", id=cost["type"])
        type_ = types.get(cost["type"])
        if type_ is None:
            near = nearest(cost["type"], types)
            found.append(
                error(
                    "type-unknown",
                    where,
                    (
                        f"设施类型“{cost['type']}”不在目录中。",
                        f"The facility type {cost['type']!r} is not in the catalogue.",
                    ),
                    (
                        f"是否为“{near}”?" if near else f"可用:{'、'.join(sorted(types))}。",
                        f"Did you mean {near!r}?" if near else f"Known: {', '.join(sorted(types))}.",
                    ),
                )
            )  # fmt: skip
            continue
        modes = sorted({p.mode for p in type_.provisions})
        if cost["mode"] not in modes:
            found.append(
                error(
                    "mode-unknown",
                    replace(where, column="mode"),
                    (
                        f"{cost['type']} 没有方式“{cost['mode']}”。",
                        f"{cost['type']} has no mode {cost['mode']!r}.",
                    ),
                    (f"可用:{'、'.join(modes)}。", f"Known: {', '.join(modes)}."),
                )
            )
            continue
        fixed = cost["capital_yuan_fixed"]
        own = [p for p in type_.provisions if p.mode == cost["mode"]]
        for column in ("capital_yuan_place", "capital_yuan_fixed"):
            known = [getattr(p, column) for p in own]
            found += _unlikely_cost(replace(where, column=column), float(cost[column]), known)
        provisions = tuple(
            replace(
                p,
                capital_yuan_place=float(cost["capital_yuan_place"]),
                capital_yuan_fixed=p.capital_yuan_fixed if np.isnan(fixed) else float(fixed),
                mark="stated",
                source=cost["source"] or "unit_costs",
            )
            if p.mode == cost["mode"]
            else p
            for p in type_.provisions
        )
        types[cost["type"]] = replace(type_, provisions=provisions)
    return replace(catalogue, types=types, version=f"{catalogue.version}+unit-costs"), found


def _unlikely_cost(where: Where, yuan: float, known: list[float]) -> list[Finding]:
    """Tell a cost under a hundredth of the catalogue's, as one in thousands or ten thousands is."""
    usual = float(np.median([k for k in known if k > 0] or [np.nan]))
    if not 0 < yuan < usual / FAR_BELOW:
        return []
    thousand = abs(np.log10(usual / yuan) - 3) < 0.5
    unit = ("千元", "thousand yuan") if thousand else ("万元", "ten thousand yuan")
    return [
        warning(
            "magnitude-unlikely",
            where,
            (
                f"{yuan:g}元,目录中为{usual:,.0f}元,是否误用{unit[0]}?",
                f"{yuan:g} yuan, where the catalogue has {usual:,.0f}: given in {unit[1]}?",
            ),
            ("请核对单位,本列为元。", "Check the unit: the column is in yuan."),
        )
    ]


def calibrated_rows(
    tables: Tables, rates: Tables, travel: TravelSpec, crs: str
) -> tuple[pd.DataFrame | None, list[Finding]]:
    """Return the rows of a curve ``calibrated`` from where today's residents came from.

    Need is that of the last counted year under the default definition; journeys are by car. Origins
    are areas, or townships throughout; the minutes of a township are the means of its areas.

    Returns
    -------
    Rows for the table ``willingness``, None where none could be fitted; and the findings, the
    interval of every band among them.
    """
    origins, homes, areas = tables["origins"], tables["homes"], tables["areas"]
    found = _unknown_ends(tables)
    if found:
        return None, found
    townships = set(tables["townships"]["township_id"])
    by_township = origins["from_id"].isin(townships)
    if by_township.any() and not by_township.all():
        return None, [
            error(
                "origins-mixed",
                Where(file="origins.csv", column="from_id"),
                ("来源地混用了村和乡镇。", "Origins mix areas and townships."),
                ("请统一为村,或统一为乡镇。", "Write areas throughout, or townships throughout."),
            )
        ]
    areas = areas.sort_values("area_id")
    need = _need_by_area(tables, rates, areas)
    minutes = _minutes(tables, travel, areas, crs)
    group = areas["township_id"] if bool(by_township.any()) else areas["area_id"]
    people = pd.Series(need, index=group.to_numpy()).groupby(level=0).sum()
    weight = need + 1e-9
    table = pd.DataFrame(
        minutes * weight[:, None], index=group.to_numpy(), columns=homes["site_id"]
    )
    total = pd.Series(weight, index=group.to_numpy()).groupby(level=0).sum()
    mean = table.groupby(level=0).sum(min_count=1).div(total, axis=0)
    reach = {(str(i), str(j)): float(m) for (i, j), m in mean.stack().items() if np.isfinite(m)}
    default = _default_curve(rates)
    try:
        fit = calibrate_willingness(
            origins.rename(columns={"site_id": "home", "from_id": "origin", "residents": "count"}),
            people.to_dict(), reach, service=RESIDENT,
            bands=[m for m, _ in next(iter(default.steps.values()))],
            full=set(homes.loc[homes["residents"] >= homes["places"], "site_id"]), id=CURVE,
        )  # fmt: skip
    except InputRefused as refused:
        return None, [
            replace(f, where=replace(f.where, file="origins.csv")) for f in refused.findings
        ]
    bands = "; ".join(
        f"≤{r.up_to_minutes:g} min {r.share:.2f} ({r.low:.2f}-{r.high:.2f})"
        for r in fit.fit.itertuples()
    )
    found = [replace(f, where=replace(f.where, file="origins.csv")) for f in fit.findings]
    found.append(
        notice(
            "willingness-calibrated",
            Where(file="origins.csv"),
            (
                f"已由入住来源拟合意愿曲线 {CURVE}(90%区间):{bands}。",
                f"The willingness curve {CURVE!r} was fitted to the origins (90 % interval): {bands}.",
            ),
            (
                f"在情景中写 need: {{willingness: {{{RESIDENT}: {CURVE}}}}} 即可使用。",
                f"Use it with need: {{willingness: {{{RESIDENT}: {CURVE}}}}} in a scenario.",
            ),
        )
    )
    [(_, steps)] = fit.curve.steps.items()
    return (
        pd.DataFrame(
            {
                "curve": CURVE, "service": RESIDENT, "group": "all",
                "up_to_minutes": [m for m, _ in steps], "share": [round(s, 4) for _, s in steps],
                "fee_free_share": 1.0, "fee_sensitivity": 0.0, "mark": "modelled",
                "calibrated": "yes", "source": fit.curve.source,
            }
        ),
        found,
    )  # fmt: skip


def _unknown_ends(tables: Tables) -> list[Finding]:
    """Homes and origins of the table that no other table knows."""
    origins = tables["origins"]
    found = []
    known = {
        "site_id": set(tables["homes"]["site_id"]),
        "from_id": set(tables["areas"]["area_id"]) | set(tables["townships"]["township_id"]),
    }
    for column, ids in known.items():
        for row, value in origins.loc[~origins[column].isin(ids), column].items():
            near = nearest(value, ids)
            found.append(
                error(
                    "id-unknown",
                    Where(file="origins.csv", row=int(str(row)), column=column, id=value),
                    (f"“{value}”不在其他表中。", f"{value!r} is in no other table."),
                    (
                        f"是否为“{near}”?" if near else "请改正,或在相应表中补上。",
                        f"Did you mean {near!r}?" if near else "Correct it, or add it there.",
                    ),
                )
            )
    return found


def _need_by_area(tables: Tables, rates: Tables, areas: pd.DataFrame) -> np.ndarray:
    """Return persons in need of resident care by area in the last counted year."""
    table = tables["population"]
    table = table[(table["track"] == "resident") & (table["year"] == table["year"].max())]
    year, ids = int(table["year"].max()), list(areas["area_id"])
    persons = np.zeros((1, 1, len(ids), 1, len(AGES_5), 2))
    at = (
        table["area_id"].map({a: n for n, a in enumerate(ids)}).to_numpy(),
        table["age"].map({a: n for n, a in enumerate(AGES_5)}).to_numpy(),
        table["sex"].map({"m": 0, "f": 1}).to_numpy(),
    )
    np.add.at(persons, (0, 0, at[0], 0, at[1], at[2]), table["persons"].to_numpy(dtype=float))
    need = estimate_need(
        Population(places=tuple(ids), years=(year,), persons=persons, mark="modelled"),
        NeedRates.from_tables(rates),
        services=[RESIDENT],
        definition="basic-adl",
        years=[year],
        area_class=dict(zip(areas["area_id"], areas["area_class"], strict=True)),
        base="resident",
    )
    return np.asarray(need.expected().sum(axis=(1, 2, 3)))


def _minutes(tables: Tables, travel: TravelSpec, areas: pd.DataFrame, crs: str) -> np.ndarray:
    """Return (area, home) minutes by car, NaN out of reach."""
    sites = tables["sites"].set_index("site_id")
    homes = tables["homes"]["site_id"]
    here = sites.reindex(homes)
    arcs = time_journeys(
        travel,
        Places(tuple(areas["area_id"]), areas[["lon", "lat"]].to_numpy(float), tuple(areas["township_id"])),
        Places(tuple(homes), here[["lon", "lat"]].to_numpy(float), tuple(here["township_id"])),
        mode="car", within_minutes=ANY_TIME, crs=crs,
    )  # fmt: skip
    minutes = np.full((len(areas), len(homes)), np.nan)
    minutes[arcs.origin, arcs.destination] = arcs.minutes
    return minutes


def _default_curve(rates: Tables) -> WillingnessCurve:
    return WillingnessCurve.from_table(rates["willingness"], DEFAULT_CURVE, RESIDENT)
