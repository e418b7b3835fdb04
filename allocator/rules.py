"""Every rule family of the problem as one frozen value.

A family is three things with one name: a `Rule` here (what is asked, in words and numbers), its
rows in ``model/`` (how a solver is told) and its check in ``verify`` (how a plan is judged). Rules hold
indices into the sets of a `Problem`; arrays run over periods unless said otherwise.

A rule is *hard* when ``price`` is None. Otherwise its shortfall is allowed at ``price`` an
unit, and the objective named ``shortfall`` counts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from allocator.errors import Text

__all__ = [
    "Acceptance",
    "Balance",
    "Capacity",
    "Coverage",
    "Deviation",
    "Floor",
    "Forced",
    "Gini",
    "Held",
    "Hub",
    "Link",
    "MeanTravel",
    "Nearest",
    "Payer",
    "PlacesRatio",
    "PlacesShare",
    "Referral",
    "Reserved",
    "Resettlement",
    "Resource",
    "Room",
    "Rule",
    "Scale",
    "Served",
    "SiteCount",
    "SiteStates",
    "WorstGroup",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Rule:
    """One rule: a stable id, a sentence in both languages, its source, and hard or priced.

    ``limits`` names the numbers that may be tightened: 1 where more is tighter, -1 where less is.
    """

    limits: ClassVar[Mapping[str, int]] = {}

    id: str
    words: Text
    source: str = "design"
    price: float | None = None

    @property
    def is_hard(self) -> bool:
        """Whether a plan that breaks the rule is no plan."""
        return self.price is None


@dataclass(frozen=True, eq=False, kw_only=True)
class Balance(Rule):
    """Everyone in need is served or counted as unmet: ``sum_a x[a,g,t,w] + u = D``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Acceptance(Rule):
    """At most a share alpha of a need is served over arcs accepted by at most alpha.

    For every level alpha: ``sum of x over arcs with phi <= alpha is at most alpha D``, per area,
    service, group, period and future. Exact when phi is a step function and people rank classes
    alike (nested sets).
    """


@dataclass(frozen=True, eq=False, kw_only=True)
class Capacity(Rule):
    """Use of places stays between the occupancy bounds of the places in being.

    ``occ_min n <= sum (places a person) x <= occ_max n`` at each site, class, period, future.
    """


@dataclass(frozen=True, eq=False, kw_only=True)
class Scale(Rule):
    """Moderate scale (规模适度): ``q_min y <= n <= q_max y``, whole modules if an offer has them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Link(Rule):
    """Nobody is served where nothing is open: ``x <= phi D * sum of y offering the class``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SiteStates(Rule):
    """Each site follows one path of stints from today's state to the horizon (unit flow)."""


@dataclass(frozen=True, slots=True)
class Payer:
    """One payer of a pool: the share it pays of every unit, and its cap a period (inf = none)."""

    id: str
    share: float
    cap: tuple[float, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Resource(Rule):
    """Use of a pool stays within supply each period: ``use[k,t,w] <= supply[t]``.

    ``payers`` divide the use by shares; a payer with a cap adds ``share * use <= cap``.
    ``in_expectation`` asks it of the weighted mean over futures only. Unlimited is inf.
    """

    limits: ClassVar[Mapping[str, int]] = {"supply": -1}

    pool: int
    supply: Floats
    payers: tuple[Payer, ...] = ()
    in_expectation: bool = False

    @property
    def most(self) -> Floats:
        """The use (T,) that supply and payers' caps allow together."""
        most = np.array(self.supply, float)
        for payer in self.payers:
            if payer.share > 0:
                most = np.minimum(most, np.asarray(payer.cap, float) / payer.share)
        return most


@dataclass(frozen=True, eq=False, kw_only=True)
class Coverage(Rule):
    """A share of the people has an open site of the classes within the minutes (potential).

    ``v[i,t] <= sum of y within reach``, ``v <= 1``, ``sum people v >= share * sum people``.
    ``areas`` (n,) indices, ``people`` (n, T), ``share`` (T,). ``pair_area`` (m,) positions in
    ``areas``, ``pair_offer`` (m,) the offers in reach of them: of one site some may be in reach
    and others not, since journeys differ by class.
    """

    limits: ClassVar[Mapping[str, int]] = {"share": 1}

    areas: Ints
    people: Floats
    pair_area: Ints
    pair_offer: Ints
    share: Floats

    def pairs(self, offer_stint: Ints) -> tuple[Ints, Ints]:
        """Return positions of areas and the stints that bring them in reach, each pair once."""
        both = np.unique(np.column_stack([self.pair_area, offer_stint[self.pair_offer]]), axis=0)
        return both[:, 0], both[:, 1]


@dataclass(frozen=True, eq=False, kw_only=True)
class Served(Rule):
    """A share of a need is served (realised), over the stated areas and groups together.

    ``areas`` (n,), ``groups`` (m,) indices, ``service`` an index, ``share`` (T,).
    """

    limits: ClassVar[Mapping[str, int]] = {"share": 1}

    service: int
    areas: Ints
    groups: Ints
    share: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class PlacesRatio(Rule):
    """Places a thousand persons: ``sum offer_weight n >= minimum[t]`` places, each period."""

    offer_weight: Floats
    minimum: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class PlacesShare(Rule):
    """A share of places is of a kind (nursing beds): ``sum part n >= share[t] * sum whole n``."""

    part: Floats
    whole: Floats
    share: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Resettlement(Rule):
    """A home closes only if its residents are served within the stated minutes (先安置后撤并).

    ``area`` is the home's own area of residents, ``site`` the home, ``arcs`` those that count,
    ``closed_options`` every state that houses nobody, a merged home among them; in each period:
    ``sum x over arcs >= need * (site is in a closed option)``.
    """

    site: int
    area: int
    service: int
    arcs: Ints
    closed_options: Ints


@dataclass(frozen=True, eq=False, kw_only=True)
class Hub(Rule):
    """A point works only with a hub in reach: ``y[point] <= sum of y[hub options] nearby``.

    ``point_options``/``hub_options`` index options; ``pair_site``, ``pair_hub`` (m,) say which
    hub sites each point site reaches.
    """

    point_options: Ints
    hub_options: Ints
    pair_site: Ints
    pair_hub: Ints


@dataclass(frozen=True, eq=False, kw_only=True)
class SiteCount(Rule):
    """The number of sites in the options lies between bounds, each period (T,)."""

    options: Ints
    minimum: Floats
    maximum: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Forced(Rule):
    """A named site is in one of the options in a period (``wanted``) or in none of them."""

    site: int
    options: Ints
    period: int
    wanted: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class Reserved(Rule):
    """A share of places is kept for the stated groups (特困保底).

    At each site and class of ``classes``: ``sum over other groups of x <= (1 - share) * n``.
    """

    classes: Ints
    groups: Ints
    share: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Floor(Rule):
    """No part of the county is served below a share: `Served` for each part at once.

    ``part`` (I,) gives each area its part (-1: none), ``share`` (T,).
    """

    limits: ClassVar[Mapping[str, int]] = {"share": 1}

    service: int
    part: Ints
    share: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class WorstGroup(Rule):
    """The least served share over the parts, ``z``: ``z <= served share`` of each (max-min).

    Its objective is ``1 - z``, worst over periods and futures.
    """

    service: int
    part: Ints


@dataclass(frozen=True, eq=False, kw_only=True)
class Deviation(Rule):
    """Mean absolute deviation of the parts' served shares from the county's, people-weighted.

    ``ceiling`` (T,), where given, is the most that half of the deviation may be of the people
    served: the share of service that would have to move for all parts to be served alike (index of
    Hoover).
    """

    service: int
    part: Ints
    ceiling: Floats | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Gini(Rule):
    """The need-weighted Gini index of the parts' served shares stays below a ceiling.

    With W a part's share of all need and S the people served in it, the index is
    ``sum over pairs of |W_q S_p - W_p S_q| / sum of S``: linear in S because W is data.
    ``ceiling`` (T,).
    """

    limits: ClassVar[Mapping[str, int]] = {"ceiling": -1}

    service: int
    part: Ints
    ceiling: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class MeanTravel(Rule):
    """Those served by a service travel at most the stated minutes on average.

    ``sum (minutes of the arc - minutes[t]) x <= 0``; ``minutes`` (T,), inf where none is asked.
    """

    limits: ClassVar[Mapping[str, int]] = {"minutes": -1}

    service: int
    minutes: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Nearest(Rule):
    """Nobody of a service is served farther away than at an open place in reach (就近).

    For every arc a of the service: ``sum of x over farther arcs of the same need <= D (1 - sum of y
    offering the class of a at its site)``, per (i, g, t, w) with willingness (Rojeski and ReVelle 1970).
    """

    service: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Room(Rule):
    """What a stint offers fits its building: ``sum area n <= room y``.

    ``stints`` (m,), ``room`` (m,) m2 of floor, ``offer_area`` (F,) m2 a place.
    """

    stints: Ints
    room: Floats
    offer_area: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Referral(Rule):
    """A share of those served at a site goes on to another: a flow from site to site.

    ``sum of x from the onward origin over the onward service = share * sum of x at the site``, per
    (site, g, t, w). ``site`` (m,) the sites people come to, ``area`` (m,) the onward origin of each:
    an area where nobody lives and whose need is the most that the site could send on. ``classes``
    are the reach classes that count at the site, ``service`` the onward service, ``share`` (T,). With
    share 1 it is overflow: all whom a site receives go on, to the site itself where it offers that.

    Those sent on use places, workers and money as anyone does. As people they are counted where
    they live: no objective, measure or other rule on people counts an onward origin.
    """

    site: Ints
    area: Ints
    classes: Ints
    service: int
    share: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Held(Rule):
    """An objective of the problem, constant left out, stays at or below a value already reached.

    What a later objective in order may not undo: see `Problem.stage`.
    """

    limits: ClassVar[Mapping[str, int]] = {"most": -1}

    objective: str
    most: float
