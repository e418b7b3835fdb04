"""Who pays what: costs divided among payers to the whole yuan, and whether each period carries it.

Tables in, tables out; nothing here knows a norm, a share or a grant: those are catalogue data.
Every division is by largest remainder, so payers sum to sites and sites to payers exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import maximum_flow

from allocator.catalogue import Catalogue, SubsidyStep

__all__ = [
    "UNFUNDED",
    "affordability",
    "grants",
    "payers_by_tier",
    "phase_in_steps",
    "split_costs",
    "split_table",
    "split_whole",
    "step_effect",
]

UNFUNDED = "unfunded"
Whole = npt.NDArray[np.int64]


def split_whole(total: int, weights: Sequence[float] | npt.NDArray[np.float64]) -> Whole:
    """Divide whole yuan by weights, the largest remainders first.

    Parameters
    ----------
    total
        Whole yuan; may be negative.
    weights
        (n,) weights of at least 0, one of them positive unless ``total`` is 0.

    Returns
    -------
    numpy.ndarray
        (n,) whole yuan that sum to ``total``; ties go to the earlier weight.

    Raises
    ------
    ValueError
        When a weight is negative or not finite, or all are 0 and there is money to divide.
    """
    w = np.asarray(weights, dtype=float)
    if not np.isfinite(w).all() or (w < 0).any():
        raise ValueError("weights must be finite and at least 0")
    if total == 0:
        return np.zeros(len(w), dtype=np.int64)
    if not w.sum() > 0:
        raise ValueError("no weight is positive, so the money cannot be divided")
    sign, money = (-1, -total) if total < 0 else (1, total)
    exact = money * (w / w.sum())
    parts = np.floor(exact).astype(np.int64)
    left = int(money - parts.sum())
    order = np.argsort(-(exact - parts), kind="stable")
    parts[order[: max(left, 0)]] += 1
    if left < 0:  # a product rounded up past the money: take back from the smallest remainders
        at = [k for k in order[::-1] if parts[k] > 0][:-left]
        parts[at] -= 1
    return np.asarray(sign * parts, dtype=np.int64)


def split_table(rows: Whole, columns: Whole) -> Whole:
    """Fill a table with whole yuan, near to proportion, whose margins are exactly those given.

    Each cell is the exact proportion rounded down or up (controlled rounding; Cox 1987, JASA 82:
    the rounding is a flow with whole capacities, so a whole solution exists).

    Parameters
    ----------
    rows, columns
        (m,) and (n,) whole yuan of at least 0 with equal sums.

    Raises
    ------
    ValueError
        When the sums differ or a margin is negative.
    """
    total = int(rows.sum())
    if total != int(columns.sum()):
        raise ValueError(f"rows sum to {total} yuan, columns to {int(columns.sum())}")
    if (rows < 0).any() or (columns < 0).any():
        raise ValueError("margins must be at least 0")
    if total == 0:
        return np.zeros((len(rows), len(columns)), dtype=np.int64)
    product = rows.astype(object)[:, None] * columns.astype(object)[None, :]  # beyond int64
    cells = (product // total).astype(np.int64)
    can_rise = (product % total != 0).astype(bool)
    row_left, column_left = rows - cells.sum(axis=1), columns - cells.sum(axis=0)
    return np.asarray(cells + _rise(can_rise, row_left, column_left), dtype=np.int64)


def _rise(can_rise: npt.NDArray[np.bool_], row_left: Whole, column_left: Whole) -> Whole:
    """Choose the cells that are rounded up: a maximum flow from rows to columns."""
    m, n = can_rise.shape
    i, j = np.nonzero(can_rise)
    source, sink = m + n, m + n + 1
    tail = np.concatenate([np.full(m, source), i, m + np.arange(n)])
    head = np.concatenate([np.arange(m), m + j, np.full(n, sink)])
    capacity = np.concatenate([row_left, np.ones(len(i)), column_left]).astype(np.int32)
    graph = csr_array(coo_array((capacity, (tail, head)), shape=(m + n + 2, m + n + 2)))
    flow = maximum_flow(graph, source, sink).flow
    return np.asarray(flow.toarray()[:m, m : m + n]).clip(min=0).astype(np.int64)


def payers_by_tier(catalogue: Catalogue, place: str, *, local: Mapping[str, float]) -> pd.Series:
    """Return payers' shares of an item shared by the five central-local tiers.

    Parameters
    ----------
    place
        Province or separately planned city, in Chinese or English as the catalogue names it.
    local
        Division of the local part, by payer, summing to 1 (a local table, not a national rule).

    Raises
    ------
    KeyError
        When the catalogue has no tier for the place.
    ValueError
        When ``local`` does not sum to 1 or names the centre.
    """
    if "central" in local or abs(sum(local.values()) - 1.0) > 1e-9:
        raise ValueError("the local part must sum to 1 and leave the centre out")
    for tier in catalogue.tiers:
        if place in (tier.place.zh, tier.place.en):
            rest = 1.0 - tier.central_share
            return pd.Series({"central": tier.central_share, **{p: rest * s for p, s in local.items()}}, name="share")  # fmt: skip
    raise KeyError(f"no central-local tier for {place!r}")


def grants(projects: pd.DataFrame, steps: Iterable[SubsidyStep], on: str) -> pd.DataFrame:
    """Return what subsidy steps pay each project.

    Parameters
    ----------
    projects
        Columns ``site``, ``period``, ``mode``, ``places``; for running grants also ``group`` and
        ``occupied_place_months`` (rows by group).
    steps
        Steps in force on the ISO date ``on`` are used; of a programme, the one whose mode, group
        and size fit.

    Returns
    -------
    pandas.DataFrame
        ``site``, ``pool``, ``period``, ``payer``, ``programme``, ``yuan`` (whole).
    """
    rows = []
    live = [s for s in steps if s.valid_from <= on and (not s.valid_until or on <= s.valid_until)]
    for project in projects.to_dict("records"):
        for s in live:
            if s.modes and project["mode"] not in s.modes:
                continue
            if not s.places_min <= project["places"] <= s.places_max:
                continue
            if s.per == "place":
                units = project["places"]
            elif s.group == project.get("group", ""):
                units = project.get("occupied_place_months", 0.0)
            else:
                continue
            yuan = round(units * s.yuan)
            if yuan:
                rows.append((project["site"], s.pool, project["period"], s.payer, s.programme, yuan))  # fmt: skip
    columns = ["site", "pool", "period", "payer", "programme", "yuan"]
    table = pd.DataFrame(rows, columns=columns)
    keys = columns[:-1]
    return table.groupby(keys, sort=True)["yuan"].sum().reset_index() if rows else table


def step_effect(
    steps: Iterable[SubsidyStep],
    programme: str,
    mode: str,
    sizes: Iterable[int],
    capital_yuan_place: float,
) -> pd.DataFrame:
    """Return what a builder pays a place at each size, so that steps that reward size show.

    Columns ``places``, ``grant_yuan_place``, ``own_yuan_place``, ``is_jump`` (the grant a place is
    higher than at the size before).
    """
    mine = [s for s in steps if s.programme == programme and s.per == "place" and (not s.modes or mode in s.modes)]  # fmt: skip
    rows = []
    for places in sorted(set(sizes)):
        grant = sum(s.yuan for s in mine if s.places_min <= places <= s.places_max)
        rows.append((places, grant, capital_yuan_place - grant))
    table = pd.DataFrame(rows, columns=["places", "grant_yuan_place", "own_yuan_place"])
    table["is_jump"] = table["grant_yuan_place"].diff().fillna(0.0) > 0
    return table


def split_costs(
    uses: pd.DataFrame, payers: pd.DataFrame, granted: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Divide costs by site, pool and period among payers, to the whole yuan.

    Grants come first, up to the cost of their site. What is left of a pool and period is shared;
    a payer pays at most its cap, and what caps cut off goes to the payers without a cap that
    ``takes_rest``, by their shares, or else stays `UNFUNDED`.

    Parameters
    ----------
    uses
        Columns ``site``, ``pool``, ``period``, ``yuan`` (at least 0); rows of one key are added,
        then each pool and period is rounded to whole yuan.
    payers
        Columns ``pool``, ``payer``, ``share``; optional ``period`` (blank or missing: all),
        ``cap`` (yuan a period, NaN or inf: none), ``takes_rest``. Shares of a pool sum to 1.
    granted
        The table of `grants`.

    Returns
    -------
    pandas.DataFrame
        ``site``, ``pool``, ``period``, ``payer``, ``yuan``: whole, positive, summing by site, pool
        and period to the costs.

    Raises
    ------
    ValueError
        When a cost is negative or not finite, or shares of a pool do not sum to 1.
    """
    yuan = uses["yuan"].to_numpy(dtype=float)
    if not np.isfinite(yuan).all() or (yuan < 0).any():
        raise ValueError("costs must be finite and at least 0")
    parts = []
    for key, rows in uses.groupby(["pool", "period"], sort=True):
        pool, period = cast("tuple[Any, Any]", key)
        by_site = rows.groupby("site", sort=True)["yuan"].sum()
        whole = split_whole(round(float(by_site.sum())), by_site.to_numpy(dtype=float))
        cost = pd.Series(whole, index=by_site.index)
        paid, cost = _pay_grants(cost, granted, pool, period)
        chosen = _payers_of(payers, pool, period)
        columns = _pay_shares(int(cost.sum()), chosen)
        cells = split_table(cost.to_numpy(dtype=np.int64), columns.to_numpy(dtype=np.int64))
        table = pd.DataFrame(cells, index=cost.index, columns=columns.index)
        long = table.rename_axis("site").reset_index().melt("site", var_name="payer", value_name="yuan")  # fmt: skip
        part = pd.concat([paid, long], ignore_index=True)
        part["pool"], part["period"] = pool, period
        parts.append(part)
    columns_out = ["site", "pool", "period", "payer", "yuan"]
    if not parts:
        return pd.DataFrame(columns=columns_out)
    out = pd.concat(parts, ignore_index=True)
    out = out.groupby(columns_out[:-1], sort=True)["yuan"].sum().reset_index()
    return out[out["yuan"] > 0].reset_index(drop=True)


def _pay_grants(
    cost: pd.Series, granted: pd.DataFrame | None, pool: object, period: object
) -> tuple[pd.DataFrame, pd.Series]:
    """Pay what grants cover of each site's cost, in the table's order; return what is left."""
    left = cost.copy()
    rows = []
    if granted is not None and len(granted):
        here = granted[(granted["pool"] == pool) & (granted["period"] == period)]
        for g in here.to_dict("records"):
            if g["site"] in left.index:
                pays = min(int(g["yuan"]), int(left[g["site"]]))
                left[g["site"]] -= pays
                rows.append((g["site"], g["payer"], pays))
    return pd.DataFrame(rows, columns=["site", "payer", "yuan"]).astype({"yuan": np.int64}), left


def _payers_of(payers: pd.DataFrame, pool: object, period: object) -> pd.DataFrame:
    chosen = payers[payers["pool"] == pool].copy()
    if "period" in chosen:
        every = chosen["period"].isna() | (chosen["period"].astype(str) == "")
        chosen = chosen[every | (chosen["period"] == period)]
    if abs(chosen["share"].sum() - 1.0) > 1e-9:
        raise ValueError(f"the payers of {pool} sum to {chosen['share'].sum():g}, not 1")
    chosen["cap"] = chosen["cap"].astype(float).fillna(np.inf) if "cap" in chosen else np.inf
    rest = chosen["takes_rest"].astype(bool) if "takes_rest" in chosen else False
    chosen["takes_rest"] = rest & np.isinf(chosen["cap"])
    return chosen.sort_values("payer", ignore_index=True)


def _pay_shares(total: int, payers: pd.DataFrame) -> pd.Series:
    """Return whole yuan by payer, caps kept, with `UNFUNDED` for what nobody pays."""
    asked = split_whole(total, payers["share"].to_numpy(dtype=float))
    caps = payers["cap"].to_numpy(dtype=float)
    cap = np.where(np.isinf(caps), asked, np.floor(np.minimum(caps, float(total)))).astype(np.int64)
    pays = np.minimum(asked, cap)
    left = total - int(pays.sum())
    rest = payers["takes_rest"].to_numpy(dtype=bool)
    if left and rest.any():
        share = payers["share"].to_numpy(dtype=float) * rest
        weight = share if share.sum() > 0 else rest.astype(float)
        pays = pays + split_whole(left, weight)
        left = 0
    return pd.Series([*pays, left], index=[*payers["payer"], UNFUNDED])


def affordability(by_payer: pd.DataFrame, supply: pd.DataFrame) -> pd.DataFrame:
    """Say of each pool and period what is needed, at hand, missing, and carried.

    Parameters
    ----------
    by_payer
        The table of `split_costs`.
    supply
        Columns ``pool``, ``period``, ``yuan``; inf is unlimited.

    Returns
    -------
    pandas.DataFrame
        ``pool``, ``period``, ``needed_yuan``, ``available_yuan``, ``missing_yuan`` (beyond supply
        or unfunded, whichever is more), ``used_share``, ``is_affordable``.
    """
    keys = ["pool", "period"]
    needed = by_payer.groupby(keys)["yuan"].sum()
    nobody = by_payer[by_payer["payer"] == UNFUNDED].groupby(keys)["yuan"].sum()
    at_hand = supply.groupby(keys)["yuan"].sum()
    index = at_hand.index.union(needed.index)
    table = pd.DataFrame(index=index)
    table["needed_yuan"] = needed.reindex(index).fillna(0).astype(np.int64)
    table["available_yuan"] = at_hand.reindex(index).fillna(0.0)
    short = (table["needed_yuan"] - table["available_yuan"]).clip(lower=0.0)
    table["missing_yuan"] = np.maximum(short, nobody.reindex(index).fillna(0))
    some = table["available_yuan"] > 0
    share = table["needed_yuan"] / table["available_yuan"].where(some)
    table["used_share"] = share.fillna(np.inf).where(table["needed_yuan"] > 0, 0.0)
    table["is_affordable"] = table["missing_yuan"] <= 0
    return table.reset_index()


def phase_in_steps(
    people: pd.DataFrame,
    share_resident: Mapping[int, float],
    *,
    units_per_person: float,
    yuan_per_unit_year: float,
    local: Mapping[str, float],
    handling: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Say what each step from the registered to the resident base adds or takes, and who pays.

    Parameters
    ----------
    people
        Columns ``place`` (township or area), ``year``, ``track`` (``resident``, ``registered``),
        ``persons`` of the target group.
    share_resident
        By year, the share of the move that is made (0: registered base, 1: resident base).
    units_per_person
        Places (or visits, yuan) a person of the base, from the norm.
    yuan_per_unit_year
        Yearly cost of one unit.
    local
        Division of cost among local payers, summing to 1.
    handling
        Division of the cost of persons registered elsewhere among other payers
        (``registration-place``, ``central``); the rest up to 1 stays with ``local``.

    Returns
    -------
    pandas.DataFrame
        By place and year: ``registered``, ``resident``, ``base``, ``units``, ``units_change``
        (against the registered base: inflow places gain, outflow places lose), ``yuan_change``
        (whole) and ``yuan.<payer>`` that sum to it.

    Raises
    ------
    ValueError
        When shares do not sum as said or a step lies outside [0, 1].
    """
    handling = dict(handling or {})
    if abs(sum(local.values()) - 1.0) > 1e-9 or sum(handling.values()) > 1.0 + 1e-9:
        raise ValueError("local shares must sum to 1 and handling shares to at most 1")
    if any(not 0.0 <= s <= 1.0 for s in share_resident.values()):
        raise ValueError("a phase-in share lies in [0, 1]")
    wide = people.pivot_table(index=["place", "year"], columns="track", values="persons", aggfunc="sum", fill_value=0.0)  # fmt: skip
    wide = wide.reindex(columns=["registered", "resident"], fill_value=0.0).reset_index()
    wide = wide[wide["year"].isin(share_resident)].sort_values(["place", "year"], ignore_index=True)
    step = wide["year"].map(dict(share_resident)).astype(float)
    wide["base"] = wide["registered"] + step * (wide["resident"] - wide["registered"])
    wide["units"] = wide["base"] * units_per_person
    wide["units_change"] = wide["units"] - wide["registered"] * units_per_person
    wide["yuan_change"] = (wide["units_change"] * yuan_per_unit_year).round().astype(np.int64)
    names = [*handling, *(p for p in local if p not in handling)]
    kept = 1.0 - sum(handling.values())
    split = []
    for yuan in wide["yuan_change"]:
        arriving = handling if yuan > 0 else {}
        mine = kept if yuan > 0 else 1.0
        weights = [arriving.get(p, 0.0) + mine * local.get(p, 0.0) for p in names]
        split.append(split_whole(int(yuan), weights))
    table = np.array(split, dtype=np.int64).reshape(len(wide), len(names))
    return wide.rename_axis(columns=None).assign(**{f"yuan.{p}": table[:, k] for k, p in enumerate(names)})  # fmt: skip
