"""Backcast of township shares, and the drift to the county seat learnt from other counties.

With two censuses a county's own drift cannot be tested on itself. So each county is predicted from
the *other* counties: how far the log-odds of their seat's share moved is given to its seat, and the
other places keep their shares of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["CountyShares", "backcast_shares", "seat_drift", "shares_with_seat_drift"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CountyShares:
    """Shares of the places of one county at two censuses.

    Parameters
    ----------
    places, seat
        Area ids, and that of the county seat.
    before, after
        (place,) shares or totals at the two censuses; normed to sum 1.
    years
        Years between the censuses.
    """

    places: tuple[str, ...]
    seat: str
    before: Floats
    after: Floats
    years: float = 10.0

    def __post_init__(self) -> None:
        if self.seat not in self.places:
            raise ValueError(f"the seat {self.seat} is no place of the county")
        for name in ("before", "after"):
            shares = np.asarray(getattr(self, name), dtype=float)
            if shares.shape != (len(self.places),) or not (shares > 0).all():
                raise ValueError(f"{name} needs one positive share a place")
            object.__setattr__(self, name, shares / shares.sum())

    @property
    def is_seat(self) -> npt.NDArray[np.bool_]:
        """(place,) whether the place is the seat."""
        return np.array([p == self.seat for p in self.places])


def _odds(share: float) -> float:
    return float(np.log(share / (1.0 - share)))


def seat_drift(counties: Sequence[CountyShares]) -> float:
    """Return the mean yearly change of the log-odds of the seat's share over counties."""
    moved = [
        (_odds(float(c.after[c.is_seat][0])) - _odds(float(c.before[c.is_seat][0]))) / c.years
        for c in counties
    ]
    return float(np.mean(moved))


def shares_with_seat_drift(
    shares: Floats, is_seat: npt.NDArray[np.bool_], drift: float, years: float
) -> Floats:
    """Return shares after the seat's log-odds moved by ``drift`` a year; the rest in proportion."""
    seat = float(shares[is_seat].sum())
    later = 1.0 / (1.0 + np.exp(-(_odds(seat) + drift * years)))
    return np.asarray(np.where(is_seat, shares * later / seat, shares * (1 - later) / (1 - seat)))


def backcast_shares(counties: Mapping[str, CountyShares]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict each county's later shares from its earlier ones and the other counties' drift.

    Three methods stand side by side: ``constant`` (nothing moves), ``linear`` (the seat gains the
    others' mean percentage points) and ``seat-drift`` (this module).

    Returns
    -------
    One row a place: county, place, before, after and the three predictions. And one row a county
    and method, with a row ``all``: n places, ``misplaced_percent`` (people in the wrong place:
    half the sum of absolute share errors) and ``median_error_percent`` of the places.

    Raises
    ------
    ValueError
        With fewer than two counties.
    """
    if len(counties) < 2:
        raise ValueError("a backcast needs two counties or more: each is predicted from the others")
    rows = []
    for name, county in sorted(counties.items()):
        others = [c for other, c in sorted(counties.items()) if other != name]
        gain = float(np.mean([(c.after - c.before)[c.is_seat][0] / c.years for c in others]))
        seat = float(county.before[county.is_seat][0])
        top = min(max(seat + gain * county.years, 1e-6), 1 - 1e-6)
        linear = np.where(county.is_seat, top, county.before * (1 - top) / (1 - seat))
        drift = seat_drift(others)
        ours = shares_with_seat_drift(county.before, county.is_seat, drift, county.years)
        for i, place in enumerate(county.places):
            row = (name, place, county.before[i], county.after[i], county.before[i], linear[i])
            rows.append((*row, ours[i]))
    methods = ["constant", "linear", "seat-drift"]
    table = pd.DataFrame(rows, columns=["county", "place", "before", "after", *methods])
    summary = []
    parts = [*((n, table[table["county"] == n]) for n in sorted(counties)), ("all", table)]
    for name, part in parts:
        for method in methods:
            gap = (part[method] - part["after"]).abs()
            wrong = 50.0 * float(gap.sum()) / part["county"].nunique()
            middle = 100.0 * float((gap / part["after"]).median())
            summary.append((name, method, len(part), wrong, middle))
    columns = ["county", "method", "n", "misplaced_percent", "median_error_percent"]
    return table, pd.DataFrame(summary, columns=columns)
