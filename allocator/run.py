"""`Run`: one scenario from people to plan, with everything that shows how it came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from allocator.errors import Finding
from allocator.plan import Plan
from allocator.problem import Problem
from allocator.scenario import Scenario

__all__ = ["Run"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """Everything one scenario came to, able to stand alone.

    ``inputs`` and ``measures`` are plain data; ``tables`` are results by name.
    """

    id: str
    scenario: Scenario
    inputs: Mapping[str, Any]
    problem: Problem
    plan: Plan
    tables: Mapping[str, pd.DataFrame]
    measures: Mapping[str, Any]
    findings: tuple[Finding, ...] = ()
