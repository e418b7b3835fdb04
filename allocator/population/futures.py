"""Futures: low, medium and high variants, and sampled paths calibrated to a published band.

A path moves total fertility, the level of mortality and net migration by period:

    TFR_p  = medium_p + s a p^b z_p        z an AR(1) of unit variance
    m_p(x) = medium_p(x) exp(k_p)          k a random walk
    net_p  = medium_p + r u_p              u an AR(1) of unit variance

Only ``a`` and ``b`` are fitted, so that the band of the projected total is as wide as a published
one; the other figures are stated. Sources: Lee, Tuljapurkar (1994) for the approach; Raftery,
Alkema, Gerland (2014) for the UN's bands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocator.errors import refuse_if_any
from allocator.population.people import unknown
from allocator.population.rates import VitalRates, check_columns
from allocator.population.small_areas import project_county

__all__ = ["BandFit", "Uncertainty", "fit_uncertainty", "sample_futures", "variant_futures"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Uncertainty:
    """How far paths stray from the medium variant, by five-year period ``p`` = 1, 2 ...

    Parameters
    ----------
    tfr_sd
        Standard deviation of total fertility in the first period, children.
    tfr_growth
        Power of the period by which it grows.
    tfr_memory
        Correlation of fertility between neighbouring periods.
    mortality_sd
        Standard deviation of the step of log mortality a period.
    migration_sd
        Standard deviation of net migration, persons a resident a year.
    migration_memory
        Correlation of migration between neighbouring periods.
    """

    tfr_sd: float
    tfr_growth: float
    tfr_memory: float
    mortality_sd: float
    migration_sd: float
    migration_memory: float

    @classmethod
    def from_table(cls, table: pd.DataFrame, region: str = "CN") -> Uncertainty:
        """Build from rows of region, figure, value.

        Raises
        ------
        InputRefused
            When columns or the region lack.
        """
        refuse_if_any(check_columns(table, "uncertainty", ["region", "figure", "value"]))
        regions = sorted({str(r) for r in table["region"]})
        if region not in regions:
            raise unknown("region", "区域", region, regions, "unknown-region")
        rows = table[table["region"] == region]
        given = {str(f): float(v) for f, v in zip(rows["figure"], rows["value"], strict=True)}
        return cls(**given)


@dataclass(frozen=True, eq=False)
class BandFit:
    """Uncertainty fitted to a band, with the fit shown.

    Parameters
    ----------
    uncertainty
        The fitted figures.
    fit
        year, low, high (published), fitted_low, fitted_high, width_ratio.
    """

    uncertainty: Uncertainty
    fit: pd.DataFrame


def variant_futures(
    rates: Mapping[str, VitalRates], weights: Mapping[str, float] | None = None
) -> VitalRates:
    """Set variants side by side as futures, by default low 0.25, medium 0.5, high 0.25.

    Parameters
    ----------
    rates
        One set of rates a variant.
    weights
        Weight a variant; how likely a variant is, the UN does not say: the weights are ours.
    """
    usual = {"low": 0.25, "medium": 0.5, "high": 0.25}
    return VitalRates.stack(rates, weights or {name: usual.get(name, 1.0) for name in rates})


def sample_futures(
    rates: VitalRates,
    uncertainty: Uncertainty,
    count: int,
    seed: int,
    since: int | None = None,
) -> VitalRates:
    """Draw paths around one set of rates; the same seed gives the same paths.

    Draws are scrambled Sobol points, so that bands settle with few paths; a power of two is best.

    Parameters
    ----------
    rates
        A single future, the medium one; period 1 is its first. Give `VitalRates.at` the periods
        of the projection, so that periods already past are not drawn.
    uncertainty
        How far to stray.
    count
        Number of paths.
    seed
        Seed of the generator.
    since
        Periods that start before this year are past: all paths share them, and the first one
        after is period 1. By default no period is past.
    """
    if len(rates.futures) != 1:
        raise ValueError("paths are drawn around one future")
    if count < 2:
        raise ValueError("two paths or more")
    years = rates.start_years
    past = 0 if since is None else sum(y < since for y in years)
    if past == 0:
        return _apply(rates, uncertainty, _draw(len(years), count, seed))
    shocks = np.zeros((3, len(years), count))
    if past < len(years):
        shocks[:, past:] = _draw(len(years) - past, count, seed)
    return _apply(rates, uncertainty, shocks, past)


def _draw(periods: int, count: int, seed: int) -> Floats:
    """(3, period, path) standard normal shocks, spread evenly (scrambled Sobol points)."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    power = int(np.ceil(np.log2(count)))
    points = qmc.Sobol(d=3 * periods, seed=seed).random_base2(power)[:count]
    shocks = ndtri(np.clip(points, 1e-9, 1 - 1e-9))
    return np.asarray(shocks.T.reshape(3, periods, count))


def _memory(shocks: Floats, memory: float, first: int = 0) -> Floats:
    """AR(1) of unit variance from independent shocks (period, path); zero before ``first``."""
    out = np.zeros_like(shocks)
    out[first : first + 1] = shocks[first : first + 1]
    for p in range(first + 1, len(shocks)):
        out[p] = memory * out[p - 1] + np.sqrt(1.0 - memory**2) * shocks[p]
    return out


def _apply(rates: VitalRates, by: Uncertainty, shocks: Floats, past: int = 0) -> VitalRates:
    """Stray from the rates by (3, period, path) shocks; those of past periods are zero."""
    periods, count = shocks.shape[1:]
    growth = np.arange(1.0, periods + 1.0 - past) ** by.tfr_growth
    growth = np.concatenate([np.zeros(past), growth])
    stray = by.tfr_sd * growth[:, None] * _memory(shocks[0], by.tfr_memory, past)
    tfr = np.maximum(rates.tfr + stray, 0.3)
    fertility = rates.fertility * (tfr / np.maximum(rates.tfr, 1e-9))[..., None]
    level = np.exp(np.cumsum(by.mortality_sd * shocks[1], axis=0))
    net = rates.net_rate + by.migration_sd * _memory(shocks[2], by.migration_memory, past)
    return replace(
        rates,
        mx=rates.mx * level[..., None, None],
        fertility=fertility,
        net_rate=net,
        futures=tuple(f"path-{w + 1:04d}" for w in range(count)),
        future_weight=np.full(count, 1.0 / count),
    )


def fit_uncertainty(
    base: Floats,
    rates: VitalRates,
    band: pd.DataFrame,
    start: Uncertainty,
    *,
    launch: int,
    share: float = 0.8,
    count: int = 1000,
    seed: int = 1,
) -> BandFit:
    """Fit the spread of fertility so that the band of the total is as wide as a published one.

    Parameters
    ----------
    base
        (21, sex) persons of the country in the year ``launch``.
    rates
        Its medium rates.
    band
        year, low, high: published band of the total at every fifth year after ``launch``.
    start
        First guess; its memory, mortality and migration are kept.
    launch, share
        Base year; probability inside the band.
    count, seed
        Paths used for the fit, and their seed.
    """
    from scipy.optimize import minimize

    years = [int(y) for y in band["year"]]
    if years != list(range(launch + 5, launch + 5 * len(years) + 1, 5)):
        raise ValueError("the band needs every fifth year after the base, in order")
    here = rates.at([y - 5 for y in years])
    shocks = _draw(len(years), count, seed)
    wanted = (band["high"] - band["low"]).to_numpy(dtype=float)

    def edges(x: Floats) -> Floats:
        guess = replace(start, tfr_sd=float(np.exp(x[0])), tfr_growth=float(x[1]))
        paths = _apply(here, guess, shocks)
        found = project_county(base[None], paths, launch=launch, to=years[-1])
        total = found.persons[1:].sum(axis=(-2, -1))
        return np.asarray(np.quantile(total, [(1 - share) / 2, (1 + share) / 2], axis=1))

    def miss(x: Floats) -> float:
        low, high = edges(x)
        return float((np.log((high - low) / wanted) ** 2).sum())

    guess = np.array([np.log(start.tfr_sd), start.tfr_growth])
    best = minimize(miss, guess, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-6})
    low, high = edges(best.x)
    fitted = replace(start, tfr_sd=float(np.exp(best.x[0])), tfr_growth=float(best.x[1]))
    fit = band[["year", "low", "high"]].assign(
        fitted_low=low, fitted_high=high, width_ratio=(high - low) / wanted
    )
    return BandFit(fitted, fit)
