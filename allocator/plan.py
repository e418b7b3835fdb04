"""`Plan`: what solving narrows to; it stands alone, with its status, bound and gap."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from allocator.errors import Text
from allocator.rules import Floats, Ints

__all__ = [
    "FEWEST_SITES",
    "ObjectiveValue",
    "Plan",
    "Status",
    "Violation",
    "priced_under",
    "relative_gap",
]

FEWEST_SITES = "fewest-sites"
"""The name of prices (services, periods, futures) on rows of no rule: need implies so many whole sites."""


class Status(StrEnum):
    """How a solve ended, as the solver itself says."""

    PROVED = "proved"  # gap within the asked tolerance
    LIMIT = "limit"  # stopped by a limit with a plan
    INTERRUPTED = "interrupted"  # stopped by the user with a plan
    INCOMPLETE = "incomplete"  # a limit came before any plan; what was found breaks hard rules
    INFEASIBLE = "infeasible"  # no plan exists
    NO_PLAN_FOUND = "no-plan-found"  # a limit came before any plan


def relative_gap(value: float, bound: float) -> float:
    """Return ``|bound - value| / |value|``; 0 where both are 0, infinite where there is no value.

    A value nearer to nothing than a millionth counts as a millionth, so that the gap is a number.
    """
    difference = abs(bound - value)
    if difference <= 1e-9:
        return 0.0
    return difference / max(abs(value), 1e-6) if math.isfinite(value) else math.inf


def priced_under(objective: str) -> str:
    """Return what the names of prices of a later objective start with."""
    return f"then {objective}: "


@dataclass(frozen=True, slots=True)
class ObjectiveValue:
    """Value and proven bound of one objective (constants left out of the gap).

    ``held``: the most that objectives after it let it be; the bounds of these hold of such plans.
    """

    id: str
    unit: str
    value: float
    bound: float
    constant: float = 0.0
    held: float = math.inf

    @property
    def gap(self) -> float:
        """``|bound - value| / |value|``, without the constant."""
        return relative_gap(self.value - self.constant, self.bound - self.constant)


@dataclass(frozen=True, slots=True)
class Violation:
    """By how much a hard rule is broken in each period: parts of the county summed, in the worst future.

    ``unit`` is ``person``, ``place``, ``site``, ``m2``, ``person-minute`` or the id of a pool.
    """

    rule: str
    words: Text
    unit: str
    amounts: tuple[float, ...]  # (T,)


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """Options in place, places, people served and unmet, with proof.

    Parameters
    ----------
    problem
        Digest of the `Problem` the plan answers.
    stints
        (m,) chosen stints, sorted.
    places
        (F,) places of each offer; 0 where its stint is not chosen.
    served_arc, served_group, served_period, served_future, served
        Parallel arrays of people served; only positive entries, sorted.
    unmet
        (I, S, G, T, W) persons.
    shortfalls
        Shortfall of each priced rule by id, in the rule's own unit.
    objectives
        Values and bounds in the order of the problem. Where there is no plan the value is infinite and
        the bound, where one was proved, still holds of every plan.
    violations
        What an ``incomplete`` plan breaks; a plan breaks nothing.
    road
        ``exact`` or ``prices``; ``solver`` names solver and version.
    prices
        Multipliers by rule id, when the road gives them; ``verify`` recomputes the bound from them. Those of
        later objectives stand under the objective's id as well: see `prices_of`.
    """

    problem: str
    status: Status
    stints: Ints
    places: Floats
    served_arc: Ints
    served_group: Ints
    served_period: Ints
    served_future: Ints
    served: Floats
    unmet: Floats
    shortfalls: Mapping[str, float] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    objectives: tuple[ObjectiveValue, ...]
    road: str
    solver: str = ""
    seed: int = 0
    reproducible: bool = True
    work: Mapping[str, float] = field(default_factory=dict)
    prices: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """The largest gap over the objectives in order."""
        return max((o.gap for o in self.objectives), default=0.0)

    def prices_of(self, number: int) -> dict[str, Floats]:
        """Return by rule id the prices that prove the bound of one objective in order."""
        later = [priced_under(o.id) for o in self.objectives[1:]]
        if number:
            start = later[number - 1]
            return {k.removeprefix(start): p for k, p in self.prices.items() if k.startswith(start)}
        return {k: p for k, p in self.prices.items() if not k.startswith(tuple(later))}

    @property
    def is_complete(self) -> bool:
        """Whether the plan keeps every hard rule as far as the solver knows."""
        return self.status in (Status.PROVED, Status.LIMIT, Status.INTERRUPTED)
