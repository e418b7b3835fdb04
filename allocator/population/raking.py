"""Raking (iterative proportional fitting) of places to two margins, with its factors kept.

Sources: Deming, Stephan (1940); Smith, Tayman, Swanson (2013) *A Practitioner's Guide to State
and Local Population Projections*, ch. 8 and 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Raked", "control", "rake"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Raked:
    """A table fitted to its margins, and by how much each margin had to move.

    Parameters
    ----------
    table
        (..., place, cell) fitted values.
    place_factor, cell_factor
        (..., place) and (..., cell): fitted over seed, margin by margin; 1 where nothing moved.
    rounds
        Rounds used.
    miss
        Largest relative miss of a place total at the end (cells are met exactly).
    """

    table: Floats
    place_factor: Floats
    cell_factor: Floats
    rounds: int
    miss: float


def _factor(want: Floats, have: Floats) -> Floats:
    return np.divide(want, have, out=np.ones_like(want), where=have > 0)


def rake(
    seed: Floats, places: Floats, cells: Floats, rounds: int = 200, tolerance: float = 1e-9
) -> Raked:
    """Fit a table to the totals of its places and of its cells.

    Parameters
    ----------
    seed
        (..., place, cell) first guess, not negative. Where a cell is wanted but no place has
        anyone in it, it is spread over the places by their totals.
    places
        (..., place) totals of the places; scaled to the sum of the cells, which rule.
    cells
        (..., cell) totals over the places, such as a county's age-sex counts.
    rounds, tolerance
        Limit of rounds, and the relative miss at which the fitting ends.

    Raises
    ------
    ValueError
        When a margin is negative or not finite.
    """
    seed, places, cells = (np.asarray(x, dtype=float) for x in (seed, places, cells))
    for name, margin in (("places", places), ("cells", cells), ("seed", seed)):
        if not np.isfinite(margin).all() or (margin < 0).any():
            raise ValueError(f"{name} must be finite and not negative")
    table = np.array(np.broadcast_to(seed, (*cells.shape[:-1], *seed.shape[-2:])))
    empty = (table.sum(axis=-2) <= 0) & (cells > 0)
    table += np.where(empty[..., None, :], places[..., None], 0.0)
    barren = (table.sum(axis=-1) <= 0) & (places > 0)
    table += np.where(barren[..., None], cells[..., None, :], 0.0)
    first = table.copy()
    total = cells.sum(axis=-1, keepdims=True)
    wanted = places * _factor(total, places.sum(axis=-1, keepdims=True))
    used, miss = 0, np.inf
    while used < rounds and miss > tolerance:
        table *= _factor(wanted, table.sum(axis=-1))[..., None]
        table *= _factor(cells, table.sum(axis=-2))[..., None, :]
        gap = np.abs(table.sum(axis=-1) - wanted) / np.maximum(wanted, 1e-9)
        miss = float(np.where(wanted > 1e-9, gap, 0.0).max(initial=0.0))
        used += 1
    return Raked(
        table,
        _factor(table.sum(axis=-1), first.sum(axis=-1)),
        _factor(table.sum(axis=-2), first.sum(axis=-2)),
        used,
        miss,
    )


def control(parts: Floats, whole: Floats) -> Floats:
    """Scale parts (place first) so that they sum to the whole; nobody where the parts are empty.

    Parameters
    ----------
    parts
        (place, ...) counts.
    whole
        (...) counts they must sum to. Where all parts are zero the whole is shared evenly.
    """
    total = parts.sum(axis=0)
    even = whole / parts.shape[0]
    return np.where(total > 0, parts * _factor(whole, total), even)
