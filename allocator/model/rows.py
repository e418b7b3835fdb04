"""Rows of one rule while they are being written, and the block they become."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array

from allocator.model.columns import Columns
from allocator.rules import Floats, Ints, Rule

__all__ = ["INF", "Block", "Rows", "stretches"]

INF = np.inf


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of one rule: ``lower <= matrix @ z <= upper``."""

    rule: str
    matrix: csr_array
    lower: Floats
    upper: Floats


class Rows:
    """Entries of a block while it is being written."""

    def __init__(self, columns: Columns) -> None:
        self._size = columns.size
        self._row: list[Ints] = []
        self._column: list[Ints] = []
        self._value: list[Floats] = []

    def put(self, row: object, column: object, value: object) -> None:
        """Add entries; row, column and value broadcast together."""
        r, c, v = np.broadcast_arrays(
            np.asarray(row, np.int32), np.asarray(column, np.int32), np.asarray(value, float)
        )
        self._row.append(r.ravel())
        self._column.append(c.ravel())
        self._value.append(v.ravel())

    def block(self, rule: Rule, lower: object, upper: object, count: int) -> Block:
        """Close the block with ``count`` rows."""
        if max(count, self._size) > np.iinfo(np.int32).max:
            raise OverflowError(f"{rule.id}: more rows or columns than a solver numbers")
        row = np.concatenate(self._row) if self._row else np.zeros(0, np.int32)
        column = np.concatenate(self._column) if self._row else np.zeros(0, np.int32)
        value = np.concatenate(self._value) if self._row else np.zeros(0)
        matrix = csr_array(coo_array((value, (row, column)), shape=(count, self._size)))
        full = np.zeros(count)
        return Block(rule.id, matrix, full + np.asarray(lower), full + np.asarray(upper))


def stretches(first: Ints, length: Ints) -> tuple[Ints, Ints]:
    """Return all positions of stretches ``first .. first + length - 1``, and which stretch each is of."""
    of = np.repeat(np.arange(len(first)), length)
    within = np.arange(len(of)) - np.repeat(np.cumsum(length) - length, length)
    return of, first[of] + within
