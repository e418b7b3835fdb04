"""`Case`: all that the scenarios of one county share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
