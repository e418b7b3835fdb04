"""`Case`: all that the scenarios of one county share."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from allocator.catalogue import Catalogue
from allocator.demand import NeedRates
from allocator.errors import NO_TEXT, Finding, Text
from allocator.region import Region
from allocator.travel.journeys import TravelSpec

__all__ = ["Case", "TravelSpec"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """Region, people of today, catalogue, rates, travel inputs, and how the case must speak.

    Parameters
    ----------
    population
        Table of schema ``population``: persons by area, year, track, sex, age.
    rates
        Tables of ``rates/`` by file stem.
    travel
        How journeys are timed, with the tables, networks and surfaces they are timed by.
    placements
        Table of schema ``placements``; None where points are real.
    disclaimer, map_footer
        Sentences printed on every page, sheet, layer and legend.
    digests
        Digest of each input file by its path inside the case folder.
    findings
        What reading found and did not refuse, the data gaps among them.
    """

    region: Region
    base_year: int
    population: pd.DataFrame
    catalogue: Catalogue
    rates: Mapping[str, pd.DataFrame]
    travel: TravelSpec
    placements: pd.DataFrame | None = None
    disclaimer: Text = NO_TEXT
    map_footer: Text = NO_TEXT
    finest_published: str = "township"
    sources: tuple[Mapping[str, str], ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def id(self) -> str:
        """The region's id."""
        return self.region.id

    @cached_property
    def need_rates(self) -> NeedRates:
        """The tables of rates as need is estimated from them."""
        return NeedRates.from_tables(self.rates)

    def part(self, townships: Collection[str]) -> tuple[Case, float]:
        """Return the case with some townships alone, and their share of the county's people.

        Supplies are for the whole county: cut a scenario to the share with `Scenario.scaled`.
        """
        region, kept = self.region, set(townships)
        tables = {
            name: table[table["township_id"].isin(kept)].reset_index(drop=True)
            for name in ("townships", "areas", "sites")
            for table in [getattr(region, name)]
        }
        homes = region.homes[region.homes["site_id"].isin(tables["sites"]["site_id"])]
        small = replace(region, **tables, homes=homes.reset_index(drop=True))
        people, placed = self.population, self.placements
        if placed is not None:
            points = {*small.area_ids, *small.site_ids}
            placed = placed[placed["point_id"].isin(points)].reset_index(drop=True)
        part = hashlib.sha256(" ".join(sorted(kept)).encode()).hexdigest()
        share = float(small.areas["population"].sum() / region.areas["population"].sum())
        return replace(
            self, region=small, placements=placed, digests={**self.digests, "part": part},
            population=people[people["area_id"].isin(small.area_ids)].reset_index(drop=True),
        ), share  # fmt: skip
