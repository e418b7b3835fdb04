"""Weighted indices of how evenly something is spread, and two-step floating catchments.

Pure functions on arrays. ``values`` are levels a person (places, minutes, yuan), ``weights`` are
persons; unweighted indices over unequal zones are wrong, so weights are always asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = [
    "Arcs",
    "Decay",
    "Theil",
    "agglomeration",
    "binary_decay",
    "density_index",
    "gaussian_decay",
    "gini",
    "interval",
    "kernel_decay",
    "location_quotient",
    "lorenz",
    "means_by",
    "quantiles_by",
    "step_decay",
    "theil",
    "two_step",
    "variable_limits",
    "variation",
    "weighted_mean",
    "weighted_quantile",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Decay = Callable[[Floats], Floats]


def _clean(values: npt.ArrayLike, weights: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return values and weights of those with a positive weight; refuse what is no number."""
    v, w = np.asarray(values, dtype=float), np.asarray(weights, dtype=float)
    if v.shape != w.shape or v.ndim != 1:
        raise ValueError(f"values {v.shape} and weights {w.shape} must be equal vectors")
    if not np.isfinite(w).all() or (w < 0).any():
        raise ValueError("weights must be finite and at least 0")
    keep = w > 0
    if np.isnan(v[keep]).any():
        raise ValueError("a value is NaN")
    return v[keep], w[keep]


def _levels(values: npt.ArrayLike, weights: npt.ArrayLike) -> tuple[Floats, Floats]:
    v, w = _clean(values, weights)
    if not np.isfinite(v).all() or (v < 0).any():
        raise ValueError("levels must be finite and at least 0")
    return v, w


def _dot(a: Floats, b: Floats) -> float:
    """Sum of products in one fixed order: that of the linear-algebra library hangs on the cores."""
    return float(np.sum(a * b))


def weighted_mean(values: npt.ArrayLike, weights: npt.ArrayLike) -> float:
    """Return the mean a person; NaN where nobody is."""
    v, w = _clean(values, weights)
    return _dot(v, w) / float(w.sum()) if len(v) else float("nan")


def weighted_quantile(values: npt.ArrayLike, weights: npt.ArrayLike, q: float) -> float:
    """Return the least value that at least a share ``q`` of the persons do not exceed."""
    v, w = _clean(values, weights)
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"a quantile lies in [0, 1], got {q}")
    if not len(v):
        return float("nan")
    order = np.argsort(v, kind="stable")
    share = np.cumsum(w[order]) / w.sum()
    return float(v[order][min(int(np.searchsorted(share, q - 1e-12)), len(v) - 1)])


def means_by(
    values: npt.ArrayLike, weights: npt.ArrayLike, part: npt.ArrayLike, count: int
) -> Floats:
    """Return `weighted_mean` of each of ``count`` parts; ``part`` below 0 is in none."""
    v, w, at = _in_parts(values, weights, part)
    total = np.bincount(at, w, count)
    out = np.full(count, np.nan)
    np.divide(np.bincount(at, v * w, count), total, where=total > 0, out=out)
    return out


def quantiles_by(
    values: npt.ArrayLike, weights: npt.ArrayLike, part: npt.ArrayLike, count: int, q: float
) -> Floats:
    """Return `weighted_quantile` of each of ``count`` parts; ``part`` below 0 is in none."""
    v, w, at = _in_parts(values, weights, part)
    order = np.lexsort((v, at))
    ends = np.searchsorted(at[order], np.arange(count + 1))
    parts = [order[a:b] for a, b in pairwise(ends)]
    return np.array([weighted_quantile(v[rows], w[rows], q) for rows in parts])


def _in_parts(
    values: npt.ArrayLike, weights: npt.ArrayLike, part: npt.ArrayLike
) -> tuple[Floats, Floats, Ints]:
    """Return values, weights and part of those with a positive weight in some part."""
    at = np.asarray(part, dtype=np.int64)
    v, w = np.asarray(values, dtype=float)[at >= 0], np.asarray(weights, dtype=float)[at >= 0]
    clean_v, clean_w = _clean(v, w)
    return clean_v, clean_w, at[at >= 0][w > 0]


def lorenz(values: npt.ArrayLike, weights: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the Lorenz curve: cumulative share of persons and of the total, from (0, 0) to (1, 1).

    Persons stand in order of level, poorest first. A total of 0 gives the line of equality.
    """
    v, w = _levels(values, weights)
    order = np.argsort(v, kind="stable")
    people = np.concatenate([[0.0], np.cumsum(w[order])])
    total = np.concatenate([[0.0], np.cumsum(v[order] * w[order])])
    if not len(v):
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    people = people / people[-1]
    return people, total / total[-1] if total[-1] > 0 else people.copy()


def gini(values: npt.ArrayLike, weights: npt.ArrayLike) -> float:
    """Return the Gini coefficient, persons weighted: one minus twice the area under Lorenz.

    Equal to ``sum_ij w_i w_j |v_i - v_j| / (2 mean W^2)``. Source: Lerman and Yitzhaki 1989,
    J. Econometrics 42. NaN where nobody is; 0 where the total is 0.
    """
    v, _ = _levels(values, weights)
    if not len(v):
        return float("nan")
    people, share = lorenz(values, weights)
    area = float(np.sum(np.diff(people) * (share[1:] + share[:-1])) / 2)
    return max(0.0, 1.0 - 2.0 * area)


@dataclass(frozen=True, slots=True)
class Theil:
    """Theil's T and its split: ``total = between + within``; ``parts`` is within by group."""

    total: float
    between: float
    within: float
    parts: Mapping[str, float]

    @property
    def between_share(self) -> float:
        """Share of inequality that lies between groups; 0 where there is none."""
        return self.between / self.total if self.total > 0 else 0.0


def _t(v: Floats, w: Floats) -> float:
    mean = _dot(v, w) / float(w.sum())
    if mean <= 0:
        return 0.0
    ratio = v / mean
    logs = np.log(ratio, where=ratio > 0, out=np.zeros_like(ratio))
    return _dot(w * ratio, logs) / float(w.sum())


def theil(
    values: npt.ArrayLike,
    weights: npt.ArrayLike,
    groups: Sequence[str] | npt.NDArray[np.object_] | None = None,
) -> Theil:
    """Return Theil's T index and its split between and within groups.

    ``T = sum w (v/m) ln(v/m) / W``; the share of a group in the total weighs its own T, and what
    the groups' means differ is *between*. Source: Theil 1967; Shorrocks 1980, Econometrica 48.
    """
    v, w = _levels(values, weights)
    if not len(v):
        return Theil(float("nan"), float("nan"), float("nan"), {})
    v = (
        v / v.max() if v.max() > 0 else v
    )  # the index has no scale; the least levels would underflow
    total = max(0.0, _t(v, w))
    if groups is None:
        return Theil(total, 0.0, total, {})
    names = np.asarray(groups, dtype=object)[np.asarray(weights, dtype=float) > 0]
    whole = _dot(v, w)
    between = within = 0.0
    parts: dict[str, float] = {}
    for g in sorted(set(names)):
        here = names == g
        mass, people = _dot(v[here], w[here]), float(w[here].sum())
        share = mass / whole if whole > 0 else 0.0
        if share > 0:
            between += share * float(np.log(share / (people / w.sum())))
            parts[g] = share * _t(v[here], w[here])
            within += parts[g]
        else:
            parts[g] = 0.0
    return Theil(total, max(0.0, between), max(0.0, within), parts)


def variation(values: npt.ArrayLike, weights: npt.ArrayLike) -> float:
    """Return the coefficient of variation: standard deviation over mean, persons weighted."""
    v, w = _levels(values, weights)
    mean = weighted_mean(v, w)
    if not len(v) or mean == 0:
        return float("nan") if not len(v) else 0.0
    return float(np.sqrt(_dot(w, (v - mean) ** 2) / w.sum()) / mean)


def location_quotient(resource: npt.ArrayLike, people: npt.ArrayLike) -> Floats:
    """Return each part's share of the resource over its share of the people; NaN where nobody is."""
    r, p = np.asarray(resource, dtype=float), np.asarray(people, dtype=float)
    if not r.sum() > 0 or not p.sum() > 0:
        return np.full(len(r), np.nan)
    share = p / p.sum()
    quotient = np.divide(r / r.sum(), share, where=share > 0, out=np.full(len(r), np.nan))
    return np.asarray(quotient, dtype=float)


def agglomeration(
    resource: npt.ArrayLike, people: npt.ArrayLike, area_km2: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Return HRAD and HRAD/PAD of each part: concentration by area, and against people.

    HRAD is the share of the resource over the share of the area; PAD the same of people. HRAD/PAD
    near 1 means that resource follows people.
    """
    hrad = location_quotient(resource, area_km2)
    pad = location_quotient(people, area_km2)
    return hrad, np.divide(hrad, pad, where=pad > 0, out=np.full(len(hrad), np.nan))


def density_index(
    resource: npt.ArrayLike, people: npt.ArrayLike, area_km2: npt.ArrayLike
) -> Floats:
    """Return HRDI: the geometric mean of resource a thousand persons and resource a km2."""
    r, p, a = (np.asarray(x, dtype=float) for x in (resource, people, area_km2))
    per = np.divide(r * 1000.0, p, where=p > 0, out=np.full(len(r), np.nan))
    dense = np.divide(r, a, where=a > 0, out=np.full(len(r), np.nan))
    return np.asarray(np.sqrt(per * dense))


def interval(
    samples: npt.ArrayLike, weights: npt.ArrayLike, level: float = 0.8
) -> tuple[float, float]:
    """Return the central interval that holds a share ``level`` of weighted futures."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"a level lies between 0 and 1, got {level}")
    tail = (1.0 - level) / 2
    return weighted_quantile(samples, weights, tail), weighted_quantile(
        samples, weights, 1.0 - tail
    )


# Two-step floating catchments -----------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Arcs:
    """Sparse journeys: ``origin`` (A,) area, ``destination`` (A,) site, ``minutes`` (A,).

    ``share`` (A,) is the share of the origin's people who travel so, where there are several modes
    (multi-mode 2SFCA; Mao and Nekorchuk 2013); None means all of them.
    """

    origin: Ints
    destination: Ints
    minutes: Floats
    share: Floats | None = None

    def __post_init__(self) -> None:
        if not len(self.origin) == len(self.destination) == len(self.minutes):
            raise ValueError("origin, destination and minutes must be equally long")
        if len(self.minutes) and (not np.isfinite(self.minutes).all() or self.minutes.min() < 0):
            raise ValueError("minutes must be finite and at least 0")

    def within(self, limits: Floats) -> Arcs:
        """Return the journeys no longer than the limit of their site, ``limits`` (J,) minutes."""
        near = self.minutes <= limits[self.destination]
        share = None if self.share is None else self.share[near]
        return Arcs(self.origin[near], self.destination[near], self.minutes[near], share)


def binary_decay(limit: float) -> Decay:
    """Weight 1 within the limit, 0 beyond. Source: Luo and Wang 2003 (2SFCA)."""
    return lambda m: (m <= limit).astype(float)


def step_decay(bounds: Sequence[float], weights: Sequence[float]) -> Decay:
    """Weight by band, 0 beyond the last bound. Source: Luo and Qi 2009 (E2SFCA)."""
    if len(bounds) != len(weights) or list(bounds) != sorted(bounds):
        raise ValueError("bounds must rise and be as many as weights")
    table = np.array([*weights, 0.0])
    return lambda m: table[np.searchsorted(np.asarray(bounds, dtype=float), m, side="left")]


def gaussian_decay(limit: float, at_limit: float) -> Decay:
    """Gaussian weight, 1 at 0 and ``at_limit`` at the limit, 0 beyond. Source: Dai 2010."""
    if not 0.0 < at_limit < 1.0:
        raise ValueError("the weight at the limit lies between 0 and 1")
    rate = -np.log(at_limit) / limit**2
    return lambda m: np.where(m <= limit, np.exp(-rate * m**2), 0.0)


def kernel_decay(limit: float) -> Decay:
    """Epanechnikov kernel ``1 - (m/limit)^2``, 0 beyond the limit. Source: Dai and Wang 2011."""
    return lambda m: np.clip(1.0 - (m / limit) ** 2, 0.0, None)


def two_step(
    supply: npt.ArrayLike,
    demand: npt.ArrayLike,
    arcs: Arcs,
    decay: Decay | Sequence[Decay],
    *,
    kind: npt.ArrayLike | None = None,
) -> Floats:
    """Return accessible supply a person at each origin, competition included (两步移动搜索).

    First step: each site's supply over the people that reach it, weighted; second step: the sum of
    those ratios over the sites a person reaches. What people reach is conserved: scores times
    demand sum to the supply of sites that someone reaches.

    Parameters
    ----------
    supply, demand
        (J,) places and (I,) persons.
    decay
        One weight of minutes, or one a kind of site (facility level) chosen by ``kind``.
    kind
        (J,) position in ``decay`` of each site; needed with more than one.
    """
    s, d = np.asarray(supply, dtype=float), np.asarray(demand, dtype=float)
    weight = _weights(arcs, decay, kind)
    if arcs.share is not None:
        weight = weight * arcs.share
    reach = np.bincount(arcs.destination, weights=weight * d[arcs.origin], minlength=len(s))
    ratio = np.divide(s, reach, where=reach > 0, out=np.zeros(len(s)))
    score = np.bincount(arcs.origin, weights=weight * ratio[arcs.destination], minlength=len(d))
    return np.asarray(score, dtype=float)


def _weights(arcs: Arcs, decay: Decay | Sequence[Decay], kind: npt.ArrayLike | None) -> Floats:
    if callable(decay):
        return np.asarray(decay(arcs.minutes), dtype=float)
    if kind is None:
        raise ValueError("several decays need the kind of each site")
    of = np.asarray(kind, dtype=np.int64)[arcs.destination]
    weight = np.zeros(len(arcs.minutes))
    for k, f in enumerate(decay):
        weight[of == k] = f(arcs.minutes[of == k])
    return weight


def variable_limits(
    supply: npt.ArrayLike,
    demand: npt.ArrayLike,
    arcs: Arcs,
    limits: Sequence[float],
    persons_per_place: float,
) -> Floats:
    """Return each site's own limit: the first at which enough people are within reach for its size.

    Catchments that widen until ``demand within >= supply x persons_per_place``, else the last
    limit. Source: the variable-catchment form of Nanjing's study (IJERPH 2015).
    """
    s, d = np.asarray(supply, dtype=float), np.asarray(demand, dtype=float)
    chosen = np.full(len(s), float(limits[-1]))
    open_ = np.ones(len(s), dtype=bool)
    for limit in limits:
        near = arcs.minutes <= limit
        people = np.bincount(arcs.destination[near], weights=d[arcs.origin[near]], minlength=len(s))
        enough = open_ & (people >= s * persons_per_place)
        chosen[enough] = limit
        open_ &= ~enough
    return chosen
