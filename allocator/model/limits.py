"""The limits of one solve: seconds, nodes, and whether the clock ever cut work short."""

from __future__ import annotations

import math
import time

__all__ = ["Limits"]

_MOST_NODES = 10_000
"""Nodes of an exact problem where nobody says: without a clock the work still ends."""


class Limits:
    """How long a solve may take; ``cut`` once the clock, and not the work, has ended some step.

    A plan whose clock never ended anything is the same on any machine. ``nodes`` limits the branching of each
    exact problem on the way.
    """

    def __init__(self, seconds: float = math.inf, nodes: int | None = None) -> None:
        self.deadline = time.monotonic() + seconds
        self.nodes = _MOST_NODES if nodes is None else nodes
        self.cut = False

    @property
    def left(self) -> float:
        """Seconds left; below zero when it is over."""
        return self.deadline - time.monotonic()

    def over(self) -> bool:
        """Whether time is up; asked only where that ends the work."""
        self.cut |= self.left <= 0.0
        return self.left <= 0.0
