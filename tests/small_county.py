"""A corner of the demonstration county as a case of its own, small enough to solve in tests."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from allocator.design import plain_data
from allocator.io.case import read_case
from allocator.io.scenarios import read_scenarios

ROOT = Path(__file__).resolve().parents[1]
CASE, SCENARIOS = ROOT / "data" / "rongshui", ROOT / "scenarios" / "rongshui"
TOWNSHIPS = ("450225100", "450225101", "450225103")
SITES = ("S01", "S02", "S04", "S21", "S23", "S40", "S41", "S49", "S52", "S53", "S65")
VILLAGES = 4
"""Villages kept of each township besides its seat and the communities of the county town."""


@cache
def whole_county():
    return read_case(CASE)


@cache
def corner(sites=SITES):
    """Return the case with the county town, two townships' seats, a few villages, and some sites."""
    case = whole_county()
    region = case.region
    areas = region.areas[region.areas["township_id"].isin(TOWNSHIPS)]
    village = areas["area_class"] == "village"
    few = areas[village].groupby("township_id").head(VILLAGES)
    areas = areas[~village | areas.index.isin(few.index)].reset_index(drop=True)
    places = region.sites[region.sites["site_id"].isin(sites)].reset_index(drop=True)
    homes = region.homes[region.homes["site_id"].isin(sites)].reset_index(drop=True)
    towns = region.townships[region.townships["township_id"].isin(TOWNSHIPS)]
    small = replace(
        region, areas=areas, sites=places, homes=homes, townships=towns.reset_index(drop=True)
    )
    points = {*areas["area_id"], *sites}
    people, points_of = case.population, case.placements
    return replace(
        case, region=small,
        population=people[people["area_id"].isin(areas["area_id"])].reset_index(drop=True),
        placements=points_of[points_of["point_id"].isin(points)].reset_index(drop=True),
    )  # fmt: skip


def share(case):
    """Return the part's share of the county's people."""
    whole = whole_county().region.areas["population"].sum()
    return float(case.region.areas["population"].sum() / whole)


def written(name, **changes):
    """Return a shipped scenario with some of its keys written anew, its pools cut to the corner."""
    (scenario,) = read_scenarios(SCENARIOS, [name])
    data = plain_data(scenario)
    return type(scenario).model_validate({**data, **changes}).scaled(share(corner()))
