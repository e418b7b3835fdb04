"""Words of findings: counts agree with their nouns."""

import pytest

from allocator.errors import plural


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((1, "area"), "1 area"), ((0, "area"), "0 areas"), ((1200, "area"), "1,200 areas"),
        ((1, "entry", "entries"), "1 entry"), ((2, "entry", "entries"), "2 entries"),
        ((1, "site is", "sites are"), "1 site is"), ((3.0, "site is", "sites are"), "3 sites are"),
        ((1.5, "place"), "1.5 places"),
    ],
)  # fmt: skip
def test_a_count_and_its_noun_agree(given, said):
    assert plural(*given) == said
