"""People: projections a planner can defend.

`Population` holds persons by track, future, place, year, age and sex; `project_small_areas` makes
one from a base, a county's `VitalRates` and a `SmallAreaMethod`. The parts below it (life tables,
cohort components, raking, tracks, futures) stand alone.
"""

from allocator.population.backcast import (
    CountyShares,
    backcast_shares,
    seat_drift,
    shares_with_seat_drift,
)
from allocator.population.cohort import AGES_5, Projection, project
from allocator.population.futures import (
    BandFit,
    Uncertainty,
    fit_uncertainty,
    sample_futures,
    variant_futures,
)
from allocator.population.groups import persons_of_group
from allocator.population.lifetable import LifeTable, Survival, fit_to_e0, life_table, survival
from allocator.population.people import MARKS, Population, stack_tracks, weakest_mark
from allocator.population.raking import Raked, control, rake
from allocator.population.rates import ROGERS_CASTRO, RogersCastro, VitalRates
from allocator.population.small_areas import (
    ShareHistory,
    SmallAreaMethod,
    SmallAreaProjection,
    estimate_ages,
    hamilton_perry,
    project_county,
    project_small_areas,
    registered_only,
    share_of_growth,
    small_area_chunks,
    small_area_projection,
)
from allocator.population.tracks import Move, PhaseIn, Tier, absent_from, eligible, move

__all__ = [
    "AGES_5",
    "MARKS",
    "ROGERS_CASTRO",
    "BandFit",
    "CountyShares",
    "LifeTable",
    "Move",
    "PhaseIn",
    "Population",
    "Projection",
    "Raked",
    "RogersCastro",
    "ShareHistory",
    "SmallAreaMethod",
    "SmallAreaProjection",
    "Survival",
    "Tier",
    "Uncertainty",
    "VitalRates",
    "absent_from",
    "backcast_shares",
    "control",
    "eligible",
    "estimate_ages",
    "fit_to_e0",
    "fit_uncertainty",
    "hamilton_perry",
    "life_table",
    "move",
    "persons_of_group",
    "project",
    "project_county",
    "project_small_areas",
    "rake",
    "registered_only",
    "sample_futures",
    "seat_drift",
    "share_of_growth",
    "shares_with_seat_drift",
    "small_area_chunks",
    "small_area_projection",
    "stack_tracks",
    "survival",
    "variant_futures",
    "weakest_mark",
]
