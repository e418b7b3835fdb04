"""Willingness to use a service: by minutes, net fee against income, and need grade.

A curve is a step function of minutes, taken at the far edge of each band, so the sets of sites a
person accepts are nested. The default curves are assumed, not calibrated locally; a table of where
today's residents came from (入住来源) calibrates them, with an interval and the fit shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocator.errors import Finding, InputRefused, Rank, Text, Where, plural, refuse_if_any
from allocator.population.people import unknown
from allocator.population.rates import check_columns, check_numbers

__all__ = ["Calibration", "WillingnessCurve", "calibrate_willingness"]

Floats = npt.NDArray[np.float64]
Steps = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class WillingnessCurve:
    """Share of those in need who would use a site at some minutes and fee.

    Parameters
    ----------
    id, service
        Name of the curve, and the service it is for.
    steps
        Per group: (up to minutes, share in (0, 1]) bands, minutes rising and shares not rising.
        The group ``all`` serves groups without bands of their own.
    fee_free_share
        Per group: share of monthly income that a net monthly fee may take without deterring.
    fee_sensitivity
        Per group: beyond it, acceptance falls as ``exp(-sensitivity (fee / income - free))``.
    mark
        ``modelled``, or ``synthetic`` where its data are.
    calibrated
        Whether local data stand behind the bands.
    """

    id: str
    service: str
    steps: Mapping[str, Steps]
    fee_free_share: Mapping[str, float]
    fee_sensitivity: Mapping[str, float]
    mark: str = "modelled"
    calibrated: bool = False
    source: str = ""

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError(f"curve {self.id} has no bands")
        for group, bands in self.steps.items():
            minutes = [m for m, _ in bands]
            shares = [s for _, s in bands]
            if not bands or minutes != sorted(set(minutes)) or minutes[0] <= 0:
                raise ValueError(f"curve {self.id}, {group}: minutes must rise from above 0")
            if shares != sorted(shares, reverse=True) or not 0 < shares[-1] <= shares[0] <= 1:
                raise ValueError(f"curve {self.id}, {group}: shares fall within (0, 1]")

    def _group(self, group: str) -> str:
        if group in self.steps:
            return group
        if "all" in self.steps:
            return "all"
        raise unknown("group", "人群", group, sorted(self.steps), "unknown-group")

    def limit_minutes(self, group: str) -> float:
        """Return the minutes beyond which nobody of the group goes."""
        return self.steps[self._group(group)][-1][0]

    def acceptance(
        self,
        minutes: Floats,
        group: str,
        net_fee_yuan: Floats | float = 0.0,
        income_yuan: Floats | float = 1.0,
    ) -> Floats:
        """Return the share who would accept, in (0, 1]; 0 beyond the limit.

        Parameters
        ----------
        minutes
            Travel minutes; NaN or infinite count as beyond the limit.
        group
            Need grade.
        net_fee_yuan, income_yuan
            Monthly fee after subsidies, and monthly income; both broadcast with ``minutes``. A
            positive fee against no income is refused by everyone the fee can deter.

        Raises
        ------
        InputRefused
            When the curve knows no such group.
        """
        own = self._group(group)
        bands = self.steps[own]
        edges = np.array([m for m, _ in bands])
        shares = np.array([*(s for _, s in bands), 0.0])
        time = np.nan_to_num(np.asarray(minutes, dtype=float), nan=np.inf, posinf=np.inf)
        at = np.searchsorted(edges, time, side="left")
        fee = np.maximum(np.asarray(net_fee_yuan, dtype=float), 0.0)
        income = np.maximum(np.asarray(income_yuan, dtype=float), 0.0)
        burden = np.divide(
            fee,
            income,
            out=np.full(np.broadcast(fee, income).shape, np.inf),
            where=income > 1e-9 * fee,
        )
        burden = np.where(fee == 0, 0.0, burden)
        sensitivity = self.fee_sensitivity.get(own, 0.0)
        over = np.maximum(burden - self.fee_free_share.get(own, 1.0), 0.0)
        deterred = np.exp(-np.minimum(sensitivity * over, 700.0)) if sensitivity > 0 else 1.0
        return np.asarray(shares[at] * deterred)

    def levels(self, group: str) -> tuple[float, ...]:
        """Return the distinct shares of a group, highest first."""
        return tuple(sorted({s for _, s in self.steps[self._group(group)]}, reverse=True))

    def flattened(self, factor: float) -> WillingnessCurve:
        """Return a flatter (``factor`` > 1) or steeper (< 1) curve with the same limits.

        Every share ``s`` becomes ``s ** (1 / factor)``, as when distance mattered ``factor`` times
        less.
        """
        if factor <= 0:
            raise ValueError("the factor must be positive")
        steps = {
            group: tuple((m, float(s ** (1.0 / factor))) for m, s in bands)
            for group, bands in self.steps.items()
        }
        return replace(self, id=f"{self.id}-flat-{factor:g}", steps=steps)

    @classmethod
    def from_table(cls, table: pd.DataFrame, curve: str, service: str) -> WillingnessCurve:
        """Build one curve from a table of bands.

        Parameters
        ----------
        table
            curve, service, group, up_to_minutes, share, fee_free_share, fee_sensitivity, mark,
            calibrated, source.

        Raises
        ------
        InputRefused
            When columns lack, or the curve or its service is unknown.
        """
        columns = ["curve", "service", "group", "up_to_minutes", "share", "fee_free_share"]
        columns += ["fee_sensitivity", "mark", "calibrated", "source"]
        refuse_if_any(check_columns(table, "willingness", columns))
        numbers = ["up_to_minutes", "share", "fee_free_share", "fee_sensitivity"]
        refuse_if_any(check_numbers(table, "willingness", numbers))
        here = table[table["curve"] == curve]
        if here.empty:
            known = sorted({str(c) for c in table["curve"]})
            raise unknown("willingness curve", "意愿曲线", curve, known, "unknown-curve")
        mine = here[here["service"] == service]
        if mine.empty:
            known = sorted({str(s) for s in here["service"]})
            raise unknown("service", "服务", service, known, "unknown-service")
        steps, free, sensitivity = {}, {}, {}
        for group, rows in mine.groupby("group", sort=True):
            rows = rows.sort_values("up_to_minutes")
            pairs = zip(rows["up_to_minutes"], rows["share"], strict=True)
            steps[str(group)] = tuple((float(m), float(s)) for m, s in pairs)
            free[str(group)] = float(rows["fee_free_share"].iloc[0])
            sensitivity[str(group)] = float(rows["fee_sensitivity"].iloc[0])
        refuse_if_any(_check_bands(steps, curve))
        return cls(
            id=curve,
            service=service,
            steps=steps,
            fee_free_share=free,
            fee_sensitivity=sensitivity,
            mark=str(mine["mark"].iloc[0]),
            calibrated=bool((mine["calibrated"].astype(str) == "yes").all()),
            source=str(mine["source"].iloc[0]),
        )


def _check_bands(steps: Mapping[str, Steps], curve: str) -> list[Finding]:
    """Return one error a group whose minutes do not rise or whose shares rise or leave (0, 1]."""
    found = []
    for group, bands in steps.items():
        minutes, shares = [m for m, _ in bands], [s for _, s in bands]
        rises = minutes == sorted(set(minutes)) and minutes[0] > 0
        if rises and shares == sorted(shares, reverse=True) and 0 < shares[-1] <= shares[0] <= 1:
            continue
        what = Text(
            "各档分钟须递增,比例须在 (0, 1] 内且不增。",
            "Minutes must rise, and shares fall within (0, 1].",
        )
        remedy = Text("请更正该曲线。", "Correct the curve.")
        where = Where(file="willingness", id=f"{curve}, {group}")
        found.append(Finding(Rank.ERROR, "bad-curve", where, what, remedy))
    return found


@dataclass(frozen=True, eq=False)
class Calibration:
    """A willingness curve fitted to where today's residents came from.

    Parameters
    ----------
    curve
        The fitted curve, marked calibrated.
    fit
        One row a band: up_to_minutes, origins, need, residents, raw share, fitted share, low, high
        (the interval), expected residents, and whether the band has data of its own.
    dispersion
        Pearson chi-square a degree of freedom. Above 1 the people of an origin decide alike, and
        the interval widens by their intraclass correlation.
    confidence
        Share of samples in which the interval should hold the truth, band by band.
    findings
        Origins left out and bands without data.
    """

    curve: WillingnessCurve
    fit: pd.DataFrame
    dispersion: float
    confidence: float
    findings: tuple[Finding, ...]


def calibrate_willingness(
    origins: pd.DataFrame,
    need: Mapping[str, float],
    minutes: Mapping[tuple[str, str], float],
    *,
    service: str,
    bands: Sequence[float],
    group: str = "all",
    full: Collection[str] = (),
    default: WillingnessCurve | None = None,
    confidence: float = 0.9,
    id: str = "calibrated",
) -> Calibration:
    """Fit a willingness curve to the origins of today's residents.

    People go to the nearest home if it lies within the minutes they accept. So of the people in
    need of an origin whose nearest home is in band ``b``, a share ``f(b)`` lives in that home (any
    of them, where homes tie within the band). ``f`` is the binomial estimate made non-rising by
    pooling neighbours (isotonic regression; Barlow, Bartholomew, Bremner, Brunk 1972), with Wilson
    intervals widened where the people of an origin decide alike.

    Parameters
    ----------
    origins
        home, origin, count: residents today by home and place of origin.
    need
        Persons in need by origin; every origin in reach belongs here, those without residents too.
    minutes
        Travel minutes by (origin, home).
    service, group, id
        What the curve is for, and its name.
    bands
        Far edges of the bands, minutes, rising.
    full
        Homes that are full: who stayed away says nothing of willingness, so origins whose nearest
        home is one of these are left out, with a finding.
    default
        Curve whose share fills bands without data, kept non-rising.
    confidence
        Confidence of the intervals.

    Raises
    ------
    InputRefused
        When columns lack, counts are bad, a home or an origin is unknown, or no band has data.
    """
    refuse_if_any(check_columns(origins, "origins", ["home", "origin", "count"]))
    refuse_if_any(_check_origins(origins, need, minutes))
    edges = np.array(sorted(bands), dtype=float)
    homes = sorted({h for _, h in minutes})
    residents = origins.groupby("origin")["count"].sum().to_dict()
    left_out: list[str] = []
    of_band, people, stay = [], [], []
    for origin in sorted(need):
        near = min((minutes.get((origin, h), np.inf), h) for h in homes)
        if near[1] in full:
            left_out.append(origin)
            continue
        band = int(np.searchsorted(edges, near[0], side="left"))
        if band < len(edges) and need[origin] > 0:
            of_band.append(band)
            people.append(float(need[origin]))
            stay.append(min(float(residents.get(origin, 0.0)), float(need[origin])))
    band_of = np.array(of_band, dtype=int)
    in_need, living = np.array(people), np.array(stay)
    if not len(band_of) or living.sum() <= 0:
        raise _no_data()
    fit, dispersion = _fit_bands(band_of, in_need, living, edges, confidence, default, group)
    steps = tuple((float(m), float(s)) for m, s in zip(edges, fit["share"], strict=True))
    curve = WillingnessCurve(
        id=id,
        service=service,
        steps={group: steps},
        fee_free_share={group: default.fee_free_share.get(group, 1.0) if default else 1.0},
        fee_sensitivity={group: default.fee_sensitivity.get(group, 0.0) if default else 0.0},
        mark="modelled",
        calibrated=True,
        source=f"{plural(int(living.sum()), 'resident')} of {plural(len(band_of), 'origin')}",
    )
    found = _calibration_findings(left_out, fit)
    return Calibration(curve, fit, dispersion, confidence, found)


def _fit_bands(
    band_of: npt.NDArray[np.int_],
    need: Floats,
    living: Floats,
    edges: Floats,
    confidence: float,
    default: WillingnessCurve | None,
    group: str,
) -> tuple[pd.DataFrame, float]:
    from scipy.stats import norm, t

    count = len(edges)
    total = np.bincount(band_of, weights=need, minlength=count).astype(float)
    stay = np.bincount(band_of, weights=living, minlength=count).astype(float)
    has = total > 0
    raw = np.divide(stay, total, out=np.full(count, np.nan), where=has)
    pooled = _non_rising(raw[has], total[has])
    share = np.full(count, np.nan)
    share[has] = pooled
    expected = need * share[band_of]
    spread = expected * (1.0 - share[band_of])
    chi2 = float(((living - expected) ** 2 / np.maximum(spread, 1e-9))[spread > 1e-9].sum())
    freedom = max(len(band_of) - int(has.sum()), 1)
    dispersion = max(chi2 / freedom, 1.0)
    # People of one origin decide alike: intraclass correlation by moments (beta-binomial).
    alike = max(chi2 - freedom, 0.0) / max(float((need - 1.0).sum()), 1.0)
    inflated = need * (1.0 + np.maximum(need - 1.0, 0.0) * alike)
    noise = np.bincount(band_of, weights=inflated, minlength=count)
    n = np.maximum(np.divide(total**2, noise, out=np.zeros(count), where=noise > 0), 1e-9)
    origins = np.bincount(band_of, minlength=count)
    z = t.ppf((1 + confidence) / 2, np.maximum(origins - 1, 1))
    if alike == 0.0:
        z = np.full(count, norm.ppf((1 + confidence) / 2))
    middle = (raw + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(raw * (1 - raw) / n + z * z / (4 * n * n))
    low, high = middle - half, middle + half
    guess = np.full(count, np.nan)
    if default is not None:
        guess = default.acceptance(edges, group)
    for b in range(count):
        if has[b]:
            continue
        nearer = share[b - 1] if b else 1.0
        later = share[b + 1 :][has[b + 1 :]]
        floor = float(later[0]) if len(later) else 0.0
        wish = guess[b] if guess[b] > 0 else (nearer + floor) / 2
        share[b] = min(max(wish, floor), nearer)
        low[b], high[b] = floor, nearer
    share = np.maximum(share, 1e-6)
    fit = pd.DataFrame(
        {
            "up_to_minutes": edges,
            "origins": origins,
            "need": total,
            "residents": stay,
            "raw_share": raw,
            "share": np.minimum.accumulate(share),
            "low": np.clip(low, 0.0, 1.0),
            "high": np.clip(high, 0.0, 1.0),
            "expected_residents": total * share,
            "has_data": has,
        }
    )
    return fit, dispersion


def _non_rising(values: Floats, weights: Floats) -> Floats:
    """Pool neighbours until values do not rise (weighted isotonic regression)."""
    blocks: list[list[float]] = []
    for value, weight in zip(values, weights, strict=True):
        blocks.append([float(value), float(weight), 1.0])
        while len(blocks) > 1 and blocks[-2][0] < blocks[-1][0]:
            v, w, n = blocks.pop()
            before = blocks[-1]
            before[0] = (before[0] * before[1] + v * w) / (before[1] + w)
            before[1] += w
            before[2] += n
    return np.concatenate([np.full(int(n), v) for v, _, n in blocks])


def _check_origins(
    origins: pd.DataFrame, need: Mapping[str, float], minutes: Mapping[tuple[str, str], float]
) -> list[Finding]:
    found = []
    homes = {h for _, h in minutes}
    counts = pd.to_numeric(origins["count"], errors="coerce")
    remedy = Text("请更正入住来源表。", "Correct the table of origins.")
    rows = zip(origins["home"], origins["origin"], counts, strict=True)
    for row, (home, origin, count) in enumerate(rows, start=2):
        where = Where(file="origins", row=row)
        if not np.isfinite(count) or count < 0:
            what = Text("人数须为非负数。", "The count is blank, text or negative.")
            found.append(Finding(Rank.ERROR, "bad-count", where, what, remedy))
        if home not in homes:
            what = Text(f"机构 {home} 没有出行时间。", f"No travel minutes lead to home {home}.")
            found.append(Finding(Rank.ERROR, "unknown-home", where, what, remedy))
        if origin not in need:
            what = Text(f"来源地 {origin} 没有需求。", f"Origin {origin} has no need given.")
            found.append(Finding(Rank.ERROR, "unknown-origin", where, what, remedy))
    return found


def _no_data() -> InputRefused:
    what = Text("没有可用于校准的入住来源。", "No origin can be used: none in reach has residents.")
    remedy = Text(
        "请检查时限、满员机构与来源。", "Check the bands, the full homes and the origins."
    )
    return InputRefused(
        (Finding(Rank.ERROR, "calibration-no-data", Where(file="origins"), what, remedy),)
    )


def _calibration_findings(left_out: Sequence[str], fit: pd.DataFrame) -> tuple[Finding, ...]:
    found = []
    if left_out:
        what = Text(
            f"{len(left_out)} 个来源地最近的机构已满员,未用于校准。",
            f"{plural(len(left_out), 'origin was', 'origins were')} left out: the nearest home is full.",
        )
        remedy = Text("如有排队名单,请计入。", "Count the waiting list where there is one.")
        where = Where(file="origins")
        found.append(Finding(Rank.INFORMATION, "calibration-left-out", where, what, remedy))
    for row in fit[~fit["has_data"]].itertuples():
        what = Text(
            f"{row.up_to_minutes:g} 分钟档无数据,取邻档之间的值。",
            f"No data up to {row.up_to_minutes:g} minutes; taken between its neighbours.",
        )
        remedy = Text("该档仍为假设。", "This band remains an assumption.")
        where = Where(file="origins", id=f"{row.up_to_minutes:g} min")
        found.append(Finding(Rank.WARNING, "calibration-band-empty", where, what, remedy))
    return tuple(found)
