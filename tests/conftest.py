"""Fixtures that many rooms share."""

import pytest
import small_problems


@pytest.fixture(scope="session")
def three_hamlets():
    """Three hamlets and two sites, solvable by hand: see `small_problems.three_hamlets`."""
    return small_problems.three_hamlets()
