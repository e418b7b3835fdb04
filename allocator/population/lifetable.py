"""Life tables from central death rates, and the survival ratios a projection needs.

Arrays end in ``(age, sex)``; any leading axes (year, region, draw) are carried along. Death rates
come either **abridged** (22 ages: 0, 1, 5, 10 ... 95, 100+) or **single** (ages 0, 1, 2 ... open).

Sources: Preston, Heuveline, Guillot (2001) *Demography*, ch. 3 and 6; Coale, Demeny (1983)
*Regional Model Life Tables*, West family, for years lived by those who die under five; Greville
(1943) for ages above 15; Brass (1971) for the relational logit model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["ABRIDGED_AGES", "LifeTable", "Survival", "fit_to_e0", "life_table", "survival"]

Floats = npt.NDArray[np.float64]

ABRIDGED_AGES = (0, 1, *range(5, 101, 5))
"""First ages of the 22 intervals of an abridged table."""

_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class LifeTable:
    """A life table with radix 1.

    Parameters
    ----------
    ages
        First age of each interval.
    alive
        (..., age, sex) share alive at the start of the interval, l(x).
    lived
        (..., age, sex) person-years lived in the interval, L(x); the open one included.
    e0
        (..., sex) expectation of life at birth, years.
    open_rate
        (..., sex) death rate of the open interval, a year.
    """

    ages: tuple[int, ...]
    alive: Floats
    lived: Floats
    e0: Floats
    open_rate: Floats


@dataclass(frozen=True, eq=False)
class Survival:
    """Survival ratios over one step of ``width`` years, all in [0, 1].

    Parameters
    ----------
    width
        Years a step, equal to the width of the age groups.
    birth
        (..., sex) share of the births of a step alive at its end.
    ages
        (..., age, sex) share of each age group alive at the end of the step, one group older;
        the last entry is the open group, which stays where it is.
    """

    width: int
    birth: Floats
    ages: Floats


def _separation(mx: Floats, ages: tuple[int, ...]) -> Floats:
    """Years lived in the interval by those who die in it, a(x)."""
    n = np.diff(np.array([*ages, ages[-1] + 5], dtype=float))
    ax = np.broadcast_to((n / 2)[:, None], mx.shape).copy()
    m0 = mx[..., 0, :]
    high = m0 >= 0.107
    west0 = np.where(high, [0.330, 0.350], [0.045, 0.053] + m0 * [2.684, 2.800])
    ax[..., 0, :] = west0
    if ages[1] == 1 and n[1] == 4:
        ax[..., 1, :] = np.where(high, [1.352, 1.361], [1.651, 1.522] + m0 * [-2.816, -1.518])
        # Greville: a(x) = 2.5 - 25/12 (m - k), k = the slope of log m over ten years.
        floor = np.maximum(mx, _TINY)
        slope = 0.1 * np.log(floor[..., 5:, :] / floor[..., 3:-2, :])
        greville = 2.5 - 25.0 / 12.0 * (mx[..., 4:-1, :] - slope)
        ax[..., 4:-1, :] = np.clip(greville, 0.5, 4.5)
    return ax


def life_table(mx: Floats, ages: tuple[int, ...] = ABRIDGED_AGES) -> LifeTable:
    """Build a life table from central death rates.

    Parameters
    ----------
    mx
        (..., age, sex) deaths a person-year, males first; finite and not negative.
    ages
        First age of each interval, the last one open. Either `ABRIDGED_AGES` or single years.

    Raises
    ------
    ValueError
        When a rate is negative or not finite, or the shapes differ.
    """
    mx = np.asarray(mx, dtype=float)
    if mx.shape[-2:] != (len(ages), 2):
        raise ValueError(f"mx ends in {mx.shape[-2:]}; expected ({len(ages)}, 2)")
    if not np.isfinite(mx).all() or (mx < 0).any():
        raise ValueError("death rates must be finite and not negative")
    n = np.diff(np.array(ages, dtype=float))[:, None]
    ax = _separation(mx, ages)[..., :-1, :]
    closed = mx[..., :-1, :]
    qx = np.clip(n * closed / (1.0 + np.maximum(n - ax, 0.0) * closed), 0.0, 1.0)
    alive = np.ones_like(mx)
    np.cumprod(1.0 - qx, axis=-2, out=alive[..., 1:, :])
    dead = alive[..., :-1, :] - alive[..., 1:, :]
    lived = np.empty_like(mx)
    lived[..., :-1, :] = n * alive[..., 1:, :] + ax * dead
    open_rate = mx[..., -1, :]
    lived[..., -1, :] = alive[..., -1, :] / np.maximum(open_rate, 1e-3)
    e0 = np.asarray(np.ones(len(ages)) @ lived)
    return LifeTable(tuple(ages), alive, lived, e0, open_rate)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """Quotient that is 0 where nobody is left to survive."""
    ratio = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > _TINY)
    return np.clip(ratio, 0.0, 1.0)


def survival(table: LifeTable, width: int | None = None) -> Survival:
    """Survival ratios of a life table over a step as wide as its age groups.

    Within the open group the death rate is constant, so ``exp(-width m)`` of it survive; those
    who enter it survive at the ratio of L(x) over its first ``width`` years to L(x) before.

    Parameters
    ----------
    table
        An abridged table (steps of 5 years) or a table by single years (steps of 1 or 5 years;
        for 5 the intervals are summed to five-year groups first).
    width
        Years a step; by default 5 for an abridged table, else 1.
    """
    abridged = table.ages[1] == 1 and table.ages[2] == 5
    width = width or (5 if abridged else 1)
    closed = table.lived[..., :-1, :]
    if abridged:
        if width != 5:
            raise ValueError(f"an abridged table gives steps of 5 years, not {width}")
        first = closed[..., 0:1, :] + closed[..., 1:2, :]
        closed = np.concatenate([first, closed[..., 2:, :]], axis=-2)
    elif width == 5:
        shape = (*closed.shape[:-2], closed.shape[-2] // 5, 5, 2)
        closed = closed.reshape(shape).sum(axis=-2)
    elif width != 1:
        raise ValueError(f"steps of 1 or 5 years, not {width}")
    rate = table.open_rate
    gone = -np.expm1(-width * rate)
    entering = table.alive[..., -1, :] * np.where(
        rate > 1e-9, gone / np.maximum(rate, 1e-9), float(width)
    )
    lived = np.concatenate([closed, entering[..., None, :]], axis=-2)
    ages = np.empty_like(lived)
    ages[..., :-1, :] = _ratio(lived[..., 1:, :], lived[..., :-1, :])
    ages[..., -1, :] = 1.0 - gone
    return Survival(width, np.clip(lived[..., 0, :] / width, 0.0, 1.0), ages)


def fit_to_e0(
    mx: Floats, e0: Floats, ages: tuple[int, ...] = ABRIDGED_AGES, rounds: int = 60
) -> Floats:
    """Shift a standard life table by Brass logits until its life expectancy is ``e0``.

    Parameters
    ----------
    mx
        (..., age, sex) standard death rates.
    e0
        (..., sex) wanted expectation of life at birth, years.
    ages, rounds
        Intervals of ``mx``; halvings of the search interval.

    Returns
    -------
    (..., age, sex) death rates whose life table has the wanted e0, within 1e-6 years where a
    logit shift in [-6, 6] can reach it.
    """
    mx = np.asarray(mx, dtype=float)
    target = np.asarray(e0, dtype=float)
    shape = np.broadcast_shapes(mx.shape[:-2], target.shape[:-1])
    mx = np.broadcast_to(mx, (*shape, *mx.shape[-2:]))
    table = life_table(mx, ages)
    dead = np.clip(1.0 - table.alive[..., 1:, :], 1e-9, 1 - 1e-9)
    logit = 0.5 * np.log(dead / (1.0 - dead))
    low = np.full((*shape, 2), -6.0)
    high = np.full((*shape, 2), 6.0)
    for _ in range(rounds):
        shift = (low + high) / 2
        shifted = life_table(_shifted(mx, table, logit, shift, ages), ages)
        too_long = shifted.e0 > target
        low = np.where(too_long, shift, low)
        high = np.where(too_long, high, shift)
    return _shifted(mx, table, logit, (low + high) / 2, ages)


def _shifted(
    mx: Floats, table: LifeTable, logit: Floats, shift: Floats, ages: tuple[int, ...]
) -> Floats:
    """Death rates after the shift of the logit of 1 - l(x); the open rate scales with the last."""
    dead = 1.0 / (1.0 + np.exp(-2.0 * (logit + shift[..., None, :])))
    alive = np.concatenate([np.ones_like(shift)[..., None, :], 1.0 - dead], axis=-2)
    n = np.diff(np.array(ages, dtype=float))[:, None]
    share = _separation(mx, ages)[..., :-1, :]
    qx = 1.0 - alive[..., 1:, :] / np.maximum(alive[..., :-1, :], _TINY)
    out = np.empty_like(mx)
    out[..., :-1, :] = qx / np.maximum(n - (n - share) * qx, _TINY)
    last = out[..., -2, :] / np.maximum(mx[..., -2, :], _TINY)
    out[..., -1, :] = mx[..., -1, :] * np.clip(last, 0.2, 5.0)
    return out
