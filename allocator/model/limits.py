"""The limits of one solve: seconds, nodes, whether the clock ever cut work short; and what it has so far."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allocator.model.dual import DualState
    from allocator.model.restricted import Answer

__all__ = ["Limits"]

_MOST_NODES = 10_000
"""Nodes of an exact problem where nobody says: without a clock the work still ends."""


class Limits:
    """How long a solve may take; ``cut`` once the clock, and not the work, has ended some step.

    A plan whose clock never ended anything is the same on any machine. ``nodes`` limits the branching of each
    exact problem on the way. ``best`` and ``state`` are the best plan and the prices so far: all that is left
    where Ctrl-C ends the work.
    """

    def __init__(self, seconds: float = math.inf, nodes: int | None = None) -> None:
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.nodes = _MOST_NODES if nodes is None else nodes
        self.cut = False
        self.best: Answer | None = None
        self.state: DualState | None = None

    @property
    def left(self) -> float:
        """Seconds left; below zero when it is over."""
        return self.deadline - time.monotonic()

    def over(self) -> bool:
        """Whether time is up; asked only where that ends the work."""
        self.cut |= self.left <= 0.0
        return self.left <= 0.0

    def again(self) -> None:
        """Start the clock anew; what was kept stays."""
        self.cut |= self.left <= 0.0
        self.deadline = time.monotonic() + self.seconds

    def keep(self, answer: Answer) -> None:
        """Remember a plan that is better than the best so far."""
        best = math.inf if self.best is None else self.best.value
        if answer.value < best:
            self.best = answer
