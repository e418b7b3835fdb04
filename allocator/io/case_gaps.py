"""What stands in where a county has no table, and the entry in the list of data gaps for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from allocator.errors import Finding, Where, plural
from allocator.io.findings import data_gap, error
from allocator.io.tables import empty_table
from allocator.population import AGES_5, estimate_ages
from allocator.schema import SCHEMAS

__all__ = [
    "age_pattern",
    "age_table",
    "default_population",
    "default_sites",
    "least_findings",
    "place_at_seats",
]

Tables = Mapping[str, pd.DataFrame]
DEFAULT_TYPE = "township-home"


class _Declared(Protocol):
    @property
    def id(self) -> str: ...


def default_sites(tables: Tables, file: _Declared) -> tuple[pd.DataFrame, list[Finding]]:
    """Return sites where there is no table of them: every home, and a plot at each township seat.

    A township's plot has the township's id, so that the road-distance table reaches it. Plots, and
    homes whose roll gives no point, stand at the seat village (see `_seat_points`).
    """
    homes, townships = tables["homes"], tables["townships"]
    found = [
        data_gap(
            "sites",
            Where(file="sites.csv"),
            ("没有现有与备选地点表。", "there is no table of existing and candidate sites."),
            (
                "以名册中的机构和各乡镇驻地的示意地块代替,筛选条件均为未核。",
                "The homes of the roll and one nominal plot at each township seat stand in, all screening unchecked.",
            ),
        )
    ]
    known = dict(zip(townships["township_id"], townships["area_class"], strict=True))
    for row, home in homes[homes["township_id"] == ""].iterrows():
        found.append(
            error(
                "home-without-site",
                Where(
                    file="homes.csv", row=int(str(row)), column="township_id", id=home["site_id"]
                ),
                (
                    f"机构“{home['site_id']}”没有地点,也没有乡镇代码。",
                    f"The home {home['site_id']!r} has neither a site nor a township.",
                ),
                (
                    "请提供 sites.csv,或在名册中填写乡镇代码。",
                    "Provide sites.csv, or fill in township_id in the roll.",
                ),
            )
        )
    existing = pd.DataFrame(
        {
            "site_id": homes["site_id"],
            "name_zh": homes["name_zh"],
            "township_id": homes["township_id"],
            "area_class": homes["township_id"].map(known).fillna("township-seat"),
            "today": homes["today"].where(homes["today"] != "", DEFAULT_TYPE),
            "lon": homes["lon"],
            "lat": homes["lat"],
            "mark": homes["mark"],
        }
    )
    taken = set(homes["site_id"])
    free = townships[~townships["township_id"].isin(taken)]
    plots = pd.DataFrame(
        {
            "site_id": free["township_id"],
            "name_zh": free["name_zh"] + "驻地(示意)",
            "name_en": free["name_en"].where(free["name_en"] != "", free["name_zh"])
            + " seat (nominal)",
            "township_id": free["township_id"],
            "area_class": free["area_class"],
            "mark": "modelled",
        }
    )
    schema = SCHEMAS["sites"]
    blank = empty_table(schema)
    sites = pd.concat([existing, plots], ignore_index=True)
    for column in schema.columns:
        if column.name not in sites:
            sites[column.name] = pd.Series(
                [column.default] * len(sites), dtype=blank[column.name].dtype
            )
        elif column.kind in ("id", "text", "choice"):
            sites[column.name] = sites[column.name].fillna(str(column.default or "")).astype("str")
    found += place_at_seats(sites, tables["areas"])
    return sites[[c.name for c in schema.columns]], found


def _seat_points(areas: pd.DataFrame) -> pd.DataFrame:
    """Return (lon, lat) of the seat by township: its first area that is no village, by id.

    Where every area is a village, the one nearest to the mean of them, weighted by people.
    """
    known = areas[areas["lon"].notna() & areas["lat"].notna()].sort_values("area_id")
    rows = {}
    for township, here in known.groupby("township_id"):
        seats = here[here["area_class"] != "village"]
        if len(seats):
            rows[township] = seats[["lon", "lat"]].iloc[0]
            continue
        points = here[["lon", "lat"]].to_numpy(dtype=float)
        people = np.nan_to_num(here["registered_60"].to_numpy(dtype=float)) + 1e-6
        middle = people @ points / people.sum()
        rows[township] = here[["lon", "lat"]].iloc[int(((points - middle) ** 2).sum(1).argmin())]
    return pd.DataFrame(rows, index=["lon", "lat"]).T


def place_at_seats(sites: pd.DataFrame, areas: pd.DataFrame) -> list[Finding]:
    """Give the sites without a point that of their township's seat, in place, and say so."""
    seats = _seat_points(areas)
    if seats.empty:
        return []
    blank = sites["lon"].isna() & sites["lat"].isna() & sites["township_id"].isin(seats.index)
    for column in ("lon", "lat"):
        sites[column] = sites[column].where(~blank, sites["township_id"].map(seats[column]))
    real = blank & (
        (sites["today"].fillna("") != "") | (sites["building"].fillna("none") != "none")
    )
    if not real.any():
        return []
    return [
        data_gap(
            "points-of-sites",
            Where(file="homes.csv", column="lon"),
            (
                f"{int(real.sum())}家机构或闲置房屋没有坐标。",
                f"{plural(int(real.sum()), 'home or idle building has', 'homes or idle buildings have')} no coordinates.",
            ),
            (
                "以所在乡镇驻地(或居中的村)的点位代替。",
                "The seat of their township, or its middle village, stands in.",
            ),
        )
    ]


def default_population(
    tables: Tables, rates: Tables, base_year: int
) -> tuple[pd.DataFrame, list[Finding]]:
    """Return modelled ages where there is no table of them.

    Totals are those of the areas, or the township's spread over its areas by registered elders
    (evenly where there are none); the age pattern is the standard population's, scaled to the
    registered 60+ and 80+ counts, which are taken for resident ones.
    """
    schema = SCHEMAS["population"]
    areas, standard = tables["areas"], rates.get("standard_population")
    found = [
        data_gap(
            "population",
            Where(file="population.csv"),
            ("没有分村、分年龄、分性别的人口。", "there is no population by area, age and sex."),
            (
                "由总数、户籍60+、80+人数和标准年龄结构推算。",
                "It is modelled from totals, registered 60+ and 80+ counts and a standard age pattern.",
            ),
        )
    ]
    if standard is None or areas.empty:
        return empty_table(schema), found
    donor = age_pattern(standard, areas)
    totals = _totals(areas, tables["townships"])
    aged = {
        60: areas["registered_60"].to_numpy(dtype=float),
        80: areas["registered_80"].to_numpy(dtype=float),
    }
    for age, counts in aged.items():
        blank = int(np.isnan(counts).sum())
        if blank:
            found.append(
                data_gap(
                    f"registered-{age}",
                    Where(file="areas.csv", column=f"registered_{age}"),
                    (
                        f"{blank}个村没有户籍{age}岁以上人数。",
                        f"{plural(blank, 'area has', 'areas have')} no registered {age}+ count.",
                    ),
                    ("使用标准年龄结构。", "The standard age pattern stands in."),
                )
            )
    persons = estimate_ages(totals, donor, aged=aged)
    years = tables["townships"]["year"]
    year = int(years.max()) if len(years) else base_year
    return age_table(areas, persons, year), found


def age_table(areas: pd.DataFrame, persons: np.ndarray, year: int) -> pd.DataFrame:
    """Return (area, age, sex) persons as a table of modelled residents."""
    count = len(AGES_5) * 2
    table = pd.DataFrame(
        {
            "area_id": np.repeat(areas["area_id"].to_numpy(dtype=object), count),
            "year": np.int64(year),
            "track": "resident",
            "sex": np.tile(np.array(["m", "f"], dtype=object), len(areas) * len(AGES_5)),
            "age": np.tile(np.repeat(np.array(AGES_5, dtype=object), 2), len(areas)),
            "persons": persons.reshape(-1),
            "mark": "modelled",
        }
    )
    for name in ("area_id", "track", "sex", "age", "mark"):
        table[name] = table[name].astype("str")
    return table


def age_pattern(standard: pd.DataFrame, areas: pd.DataFrame) -> np.ndarray:
    """Return (area, age, sex) persons of the standard population of town or country."""
    patterns = {urban: _pattern(standard, urban) for urban in (False, True)}
    return np.stack([patterns[_is_urban(c)] for c in areas["area_class"]])


def _is_urban(area_class: str) -> bool:
    return area_class == "county-town"


def _pattern(standard: pd.DataFrame, urban: bool) -> np.ndarray:
    """Return the (age, sex) pattern of the standard population of town or country."""
    here = standard[standard["area_class"] == ("urban" if urban else "rural")]
    table = here.pivot_table(index="age", columns="sex", values="thousand", aggfunc="sum")
    return np.asarray(
        table.reindex(index=list(AGES_5), columns=["m", "f"]).fillna(0.0), dtype=float
    )


def _totals(areas: pd.DataFrame, townships: pd.DataFrame) -> np.ndarray:
    """Return persons by area; unknown ones share what their township has left."""
    totals: np.ndarray = areas["population"].to_numpy(dtype=float).copy()
    elders = areas["registered_60"].to_numpy(dtype=float)
    whole = dict(zip(townships["township_id"], townships["population"], strict=True))
    for township, at in areas.reset_index(drop=True).groupby("township_id").indices.items():
        blank = at[np.isnan(totals[at])]
        if not len(blank):
            continue
        left = max(0.0, float(whole.get(township, 0)) - float(np.nansum(totals[at])))
        known = np.nan_to_num(elders[blank])
        weight = known if known.sum() > 0 else np.ones(len(blank))
        totals[blank] = left * weight / weight.sum()
    return totals


def least_findings(
    tables: Tables, methods: Sequence[str], told: Collection[tuple[str, int | None]] = ()
) -> list[Finding]:
    """Say which places no source of journeys knows, and which gaps remain.

    Parameters
    ----------
    methods
        Sources of journeys in use; see `travel.journeys.SOURCES`.
    told
        Tables and rows with a fault already.
    """
    found: list[Finding] = []
    if not set(methods) & {"road-table", "matrix", "network", "surface"}:
        found.append(
            data_gap(
                "distances",
                Where(file="distances.csv"),
                ("没有公路里程表、路网或出行时间。", "there is no distance table, network or table of times."),
                ("使用直线距离乘绕行系数。", "Straight lines times a detour factor stand in."),
            )
        )  # fmt: skip
    by_point = bool(set(methods) & {"network", "surface", "straight-line"})
    legs, cells = tables.get("distances"), tables.get("matrix")
    roads = _ends(legs, "from_id", "to_id") if "road-table" in methods else set()
    times = {
        "areas": _ends(cells, "from_id") if "matrix" in methods else set(),
        "sites": _ends(cells, "to_id") if "matrix" in methods else set(),
    }
    for name, key, zh, en in (
        ("areas", "area_id", "村", "area"),
        ("sites", "site_id", "地点", "site"),
    ):
        table = tables[name]
        if tables["areas"].empty:  # told when the table was read; sites stand by the villages
            continue
        placed = table["lon"].notna() & table["lat"].notna()
        named = table[key].isin(roads | times[name])
        sound = np.array([(name, row) not in told for row in table.index], dtype=bool)
        lost = table[~(placed & by_point) & ~named & sound]
        if name == "sites":
            # Reached through their township's seat.
            seated = lost["township_id"].isin(roads)
            found += _seat_gap(lost[seated])
            lost = lost[~seated]
        found += _lost(lost[key], name, zh, en)
        blank = ~placed & named
        if blank.any():
            found.append(
                data_gap(
                    f"coordinates-{name}",
                    Where(file=f"{name}.csv", column="lon"),
                    (
                        f"{int(blank.sum())}个{zh}没有坐标。",
                        f"{plural(int(blank.sum()), f'{en} has', f'{en}s have')} no coordinates.",
                    ),
                    (
                        "距离取自里程表或时间矩阵;这些地点不上图。",
                        "Distances come from the table; these places are not drawn.",
                    ),
                )
            )
    return found


def _ends(table: pd.DataFrame | None, *columns: str) -> set[str]:
    return set() if table is None else {v for c in columns for v in table[c]}


def _seat_gap(sites: pd.DataFrame) -> list[Finding]:
    if sites.empty:
        return []
    shown = ", ".join(sites["site_id"].iloc[:5])
    return [
        data_gap(
            "distances-sites",
            Where(file="distances.csv"),
            (
                f"{len(sites)}个地点不在里程表中:{shown}。",
                f"{plural(len(sites), 'site is', 'sites are')} not in the distance table: {shown}.",
            ),
            ("按其乡镇驻地计算里程。", "The seat of their township stands in."),
        )
    ]


def _lost(ids: pd.Series, name: str, zh: str, en: str) -> list[Finding]:
    if ids.empty:
        return []
    shown = ", ".join(ids.iloc[:5])
    return [
        error(
            "place-unknown",
            Where(file=f"{name}.csv", column="lon"),
            (
                f"{len(ids)}个{zh}既无坐标也不在里程表中:{shown}。",
                f"{plural(len(ids), f'{en} has', f'{en}s have')} neither coordinates nor road distances: {shown}.",
            ),
            (
                "请填写经纬度,或补充里程表。",
                "Fill in lon and lat, or add them to distances.csv.",
            ),
        )
    ]
