"""`Problem`: the one value that everything narrows to before solving.

Sets are tuples of sorted ids; all else is plain arrays over their positions, in one unit system
(persons, places, yuan, minutes, years). Nothing is NaN.

Indices: area ``i``, site ``j``, option ``o``, stint ``p``, offer ``f``, reach class ``c``, service
``s``, group ``g``, period ``t``, future ``w``, pool ``k``, arc ``a``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from allocator.errors import NO_TEXT, Text
from allocator.rules import Floats, Held, Ints, Referral, Rule

__all__ = ["Objective", "Problem"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Objective:
    """One linear function to be minimised.

    ``sum_p stint[p] y[p] + sum_f place[f] n[f] + sum period_weight[t] weight[w]
    (person[a,g] x[a,g,t,w] + unmet[i,s,g] u[i,s,g,t,w]) + sum_rules price * shortfall``

    Parameters
    ----------
    id, words, unit
        Name, sentence, and unit of the value (``person``, ``yuan``, ``person-minute`` ...).
    stint, place
        (P,) and (F,) coefficients, discounting included.
    person
        (A, G) or (A, 1) coefficients of people served.
    unmet
        Broadcastable to (I, S, G) coefficients of people unserved.
    period_weight
        (T,) factor of person and unmet terms.
    shortfalls
        Whether the shortfalls of priced rules count, at each rule's own price.
    epigraph
        Id of a `WorstGroup` or `Deviation` rule whose value is added, at ``epigraph_weight``.
    risk, risk_share
        ``expected``, ``worst``, ``cvar`` or ``regret`` over futures; ``cvar`` is the mean of the
        worst ``risk_share``, ``regret`` the worst excess over ``future_best``.
    future_best
        (W,) best value of each future alone, without the parts that all futures share.
    tolerance
        How far a later objective may worsen this one, relative to the best plan found.
    constant
        Added to the reported value, left out of the gap.
    """

    id: str
    unit: str
    words: Text = NO_TEXT
    stint: Floats | None = None
    place: Floats | None = None
    person: Floats | None = None
    unmet: Floats | None = None
    period_weight: Floats | None = None
    shortfalls: bool = False
    epigraph: str | None = None
    epigraph_weight: float = 1.0
    risk: str = "expected"
    risk_share: float = 0.1
    future_best: Floats | None = None
    tolerance: float = 1e-4
    constant: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """Everything a solver, a checker or a measure needs, and nothing else.

    A **stint** is one arc of a site's state graph: coming from option ``stint_from``, the site is
    in ``stint_option`` from period ``stint_first`` to ``stint_last``. Each site starts in
    ``site_start`` before period 0 and follows exactly one path of stints to the last period, so a
    stint that starts at ``t`` follows one that ends at ``t - 1`` in option ``stint_from``.

    An **offer** is what a stint provides: ``n[f]`` places of one reach class, between
    ``offer_min`` and ``offer_max``, in whole ``offer_module`` units where that is positive.

    A **reach class** belongs to one service and fixes limit, mode of travel and acceptance; an
    **arc** says that people of an area may use a class at a site. Arcs are sorted by
    (area, class, site) and unique.
    """

    areas: tuple[str, ...]
    sites: tuple[str, ...]
    options: tuple[str, ...]
    services: tuple[str, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    periods: tuple[str, ...]
    pools: tuple[str, ...] = ()
    futures: tuple[str, ...] = ("expected",)

    period_years: Floats
    future_weight: Floats = field(default_factory=lambda: np.ones(1))
    need: Floats  # (I, S, G, T, W) persons (or visits a month, pupils)

    site_start: Ints  # (J,) option
    stint_site: Ints  # (P,)
    stint_from: Ints
    stint_option: Ints
    stint_first: Ints
    stint_last: Ints
    modes: tuple[str, ...] = ()
    stint_mode: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # (P,) or empty

    offer_stint: Ints  # (F,)
    offer_class: Ints
    offer_min: Floats
    offer_max: Floats
    offer_module: Floats

    class_service: Ints  # (C,)
    occupancy_min: Floats  # (C,) share of places that must be used
    occupancy_max: Floats  # (C,) share of places that may be used
    places_per_person: Floats  # (C, G)

    arc_area: Ints  # (A,)
    arc_site: Ints
    arc_class: Ints
    arc_minutes: Floats
    acceptance: Floats  # (A, G) in [0, 1]; 0: never. (A, 1) means all groups alike

    use_stint: csr_array  # (P, K*T), column k*T + t
    use_place: csr_array  # (F, K*T)
    use_person: Floats  # (C, G, K, T)
    use_minute: Floats  # (C, K) a person a minute of one-way travel

    rules: tuple[Rule, ...]
    objectives: tuple[Objective, ...]

    @property
    def shape(self) -> dict[str, int]:
        """Sizes of the sets, by the index letters of the module."""
        return {
            "i": len(self.areas), "j": len(self.sites), "o": len(self.options),
            "p": len(self.stint_site), "f": len(self.offer_stint), "c": len(self.classes),
            "s": len(self.services), "g": len(self.groups), "t": len(self.periods),
            "w": len(self.futures), "k": len(self.pools), "a": len(self.arc_area),
        }  # fmt: skip

    @cached_property
    def stint_periods(self) -> npt.NDArray[np.bool_]:
        """(P, T) whether the stint is in place in the period."""
        t = np.arange(len(self.periods))
        return (self.stint_first[:, None] <= t) & (t <= self.stint_last[:, None])

    @cached_property
    def onward(self) -> npt.NDArray[np.bool_]:
        """(I,) whether an area is an onward origin of a `Referral`: nobody lives there."""
        found = np.zeros(len(self.areas), bool)
        for rule in self.rules:
            if isinstance(rule, Referral):
                found[rule.area] = True
        return found

    @cached_property
    def own_need(self) -> Floats:
        """(I, S, G, T, W) need of those who live in the areas; 0 at onward origins."""
        if not self.onward.any():
            return self.need
        return np.where(self.onward[:, None, None, None, None], 0.0, self.need)

    @cached_property
    def digest(self) -> str:
        """Digest of every array and set: equal problems have equal digests."""
        h = hashlib.sha256()
        for f in fields(self):
            _feed(h, f.name)
            _feed(h, getattr(self, f.name))
        return h.hexdigest()

    def stage(self, number: int, reached: Sequence[float]) -> Problem:
        """Return the problem of one objective in order, where those before it are `Held` at ``reached``.

        It comes first among the objectives; after it come those held. ``reached`` (number,) without constants.
        """
        before = self.objectives[:number]
        held = [
            Held(
                id=f"held:{o.id}", objective=o.id, most=float(most),
                words=Text(f"“{o.words.zh or o.id}”不劣于已达到的值", f"{o.words.en or o.id} no worse than reached"),
            )
            for o, most in zip(before, reached, strict=True)
        ]  # fmt: skip
        return replace(
            self, objectives=(self.objectives[number], *before), rules=(*self.rules, *held)
        )

    def objective(self, name: str) -> Objective:
        """Return the objective of this id."""
        return next(o for o in self.objectives if o.id == name)

    def rules_of(self, kind: type[Rule]) -> tuple[Rule, ...]:
        """Return the rules of one family, in order."""
        return tuple(r for r in self.rules if isinstance(r, kind))

    def tightens(self, other: Problem) -> bool:
        """Whether this differs from ``other`` in hard limits that are as tight or tighter alone.

        Then each plan that holds here holds there too, at the same value, and a bound proved there
        is a bound here.
        """
        names = [f.name for f in fields(self) if f.name != "rules"]
        if len(self.rules) != len(other.rules):
            return False
        same = all(_digest(getattr(self, n)) == _digest(getattr(other, n)) for n in names)
        return same and all(map(_rule_tightens, self.rules, other.rules))


def _rule_tightens(rule: Rule, of: Rule) -> bool:
    limits = rule.limits if rule.is_hard else {}
    free = {"words", "source", *limits}
    names = [f.name for f in fields(rule) if f.name not in free]
    if type(rule) is not type(of) or any(
        _digest(getattr(rule, n)) != _digest(getattr(of, n)) for n in names
    ):
        return False
    return all(
        bool(np.all(way * getattr(rule, n) >= way * getattr(of, n))) for n, way in limits.items()
    )


def _digest(value: object) -> bytes:
    h = hashlib.sha256()
    _feed(h, value)
    return h.digest()


def _feed(h: hashlib._Hash, value: object) -> None:
    """Add a value to a digest, arrays by dtype, shape and bytes."""
    if isinstance(value, np.ndarray):
        h.update(f"{value.dtype}{value.shape}".encode())
        h.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, csr_array):
        for part in (np.array(value.shape), value.indptr, value.indices, value.data):
            _feed(h, part)
    elif isinstance(value, tuple):
        h.update(b"(")
        for item in value:
            _feed(h, item)
        h.update(b")")
    elif hasattr(value, "__dataclass_fields__"):
        h.update(type(value).__name__.encode())
        for f in fields(value):  # type: ignore[arg-type]
            _feed(h, getattr(value, f.name))
    else:
        h.update(repr(value).encode())
    h.update(b";")
