"""The same blocks through PuLP: the same optimum, readable LP text, a golden text a family."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_problems import WORDS, random_problem, three_hamlets

from allocator.model import formulate, solve_exactly
from allocator.model.blocks import FAMILIES
from allocator.model.pulp_door import export, meaning, names, solve_by_pulp, text_of, to_pulp
from allocator.rules import (
    Coverage,
    Deviation,
    Floor,
    Forced,
    Gini,
    Held,
    Hub,
    MeanTravel,
    Nearest,
    PlacesRatio,
    PlacesShare,
    Referral,
    Reserved,
    Resettlement,
    Room,
    Rule,
    Served,
    SiteCount,
    WorstGroup,
)
from allocator.verify import CHECKS, verify

GOLDEN = Path(__file__).parent / "golden"
REWRITE = os.environ.get("ALLOCATOR_REWRITE_GOLDEN") == "1"


def _with_every_family():
    """The three hamlets with one rule of each family, priced where a family can be."""
    one = np.ones(1)
    part = np.array([0, 1, 1])
    more = (
        Coverage(id="coverage", words=WORDS, price=2.0, areas=np.array([0, 1, 2]),
                 people=np.array([[10.0], [6.0], [4.0]]), pair_area=np.array([0, 1, 2]),
                 pair_offer=np.array([0, 1, 1]), share=0.8 * one),
        Served(id="served", words=WORDS, price=3.0, service=0, areas=np.array([0, 2]),
               groups=np.array([0]), share=0.5 * one),
        PlacesRatio(id="ratio", words=WORDS, price=1.0, offer_weight=np.ones(2), minimum=11 * one),
        PlacesShare(id="share", words=WORDS, price=1.0, part=np.array([0.5, 1.0]),
                    whole=np.ones(2), share=0.6 * one),
        Resettlement(id="resettlement", words=WORDS, site=0, area=1, service=0,
                     arcs=np.array([1, 2]), closed_options=np.array([0])),
        Hub(id="hub", words=WORDS, point_options=np.array([1]), hub_options=np.array([1]),
            pair_site=np.array([0, 1]), pair_hub=np.array([1, 0])),
        SiteCount(id="sites", words=WORDS, options=np.array([1]), minimum=one, maximum=2 * one),
        Forced(id="forced", words=WORDS, site=1, options=np.array([1]), period=0),
        Reserved(id="reserved", words=WORDS, classes=np.array([0]), groups=np.array([], int),
                 share=0.25),
        Floor(id="floor", words=WORDS, service=0, part=part, share=0.25 * one),
        WorstGroup(id="worst", words=WORDS, service=0, part=part),
        Deviation(id="deviation", words=WORDS, service=0, part=part, ceiling=0.3 * one),
        Gini(id="gini", words=WORDS, service=0, part=np.array([0, 1, 2]), ceiling=0.2 * one),
        MeanTravel(id="travel", words=WORDS, service=0, minutes=12 * one),
        Nearest(id="nearest", words=WORDS, service=0),
        Room(id="room", words=WORDS, stints=np.array([1]), room=np.array([300.0]),
             offer_area=np.array([30.0, 40.0])),
        Referral(id="referral", words=WORDS, site=np.array([0]), area=np.array([2]),
                 classes=np.array([0]), service=0, share=0.1 * one),
        Held(id="held:unmet", words=WORDS, objective="unmet", most=15.0),
    )  # fmt: skip
    plain = three_hamlets()
    willing = np.array([[1.0], [0.5], [0.8], [1.0]])
    return replace(
        plain, rules=(*plain.rules, *more), offer_module=np.array([0.0, 2.0]), acceptance=willing
    )


@pytest.mark.parametrize("family", sorted(FAMILIES, key=lambda f: f.__name__))
def test_a_family_is_written_as_its_golden_text_says(family):
    problem = _with_every_family()
    (rule,) = (r for r in problem.rules if type(r) is family)
    form = formulate(problem, whole_places=False, links=True)
    (block,) = (b for b in form.blocks if b.rule == rule.id)
    model, _ = to_pulp(form, blocks=[block])
    text = f"\\* {' '.join(FAMILIES[family].__doc__.split())} *\\\n" + text_of(model)
    rows = text[text.index("Subject To") : text.rindex("Bounds")]
    assert re.search(r"\br0_\d", rows), "the family wrote no row"
    path = GOLDEN / f"{family.__name__}.lp"
    if REWRITE:
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        pytest.fail("golden text rewritten: read the difference, then run without the flag")
    assert text == path.read_text(encoding="utf-8")


def test_every_family_has_rows_a_check_and_a_golden_text():
    families = set(Rule.__subclasses__())
    assert set(FAMILIES) == families
    assert set(CHECKS) == families
    assert {p.stem for p in GOLDEN.glob("*.lp")} == {f.__name__ for f in families}
    for family in families:
        assert family.__doc__ and FAMILIES[family].__doc__


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(0, 50, 4))
def test_cbc_through_pulp_finds_the_same_value(seed):
    problem = random_problem(seed, most=60)
    ours = solve_exactly(problem, gap=0.0, whole_places=False)
    theirs = solve_by_pulp(problem, whole_places=False)
    assert theirs.is_complete == ours.is_complete
    if ours.is_complete:
        assert theirs.objectives[0].bound == pytest.approx(
            ours.objectives[0].bound, rel=1e-5, abs=1e-5
        )
        assert theirs.objectives[-1].value == pytest.approx(
            ours.objectives[-1].value, rel=1e-3, abs=1e-3
        )
        assert verify(problem, theirs) == ()


def test_names_are_numbers_and_mean_something():
    problem = _with_every_family()
    columns = formulate(problem).columns
    assert len(names(columns)) == len(set(names(columns))) == columns.size
    assert len(meaning(problem, columns)) == columns.size
    assert meaning(problem, columns)[1] == "A: closed -> home, now..now"
    assert all(re.fullmatch(r"[ynxua]\d+", n) for n in names(columns))


def test_export_writes_every_row_as_lp_and_mps():
    problem = three_hamlets()
    lp, mps = export(problem, "lp"), export(problem, "mps")
    assert "Subject To" in lp and lp.rstrip().endswith("End")
    assert "ROWS" in mps and mps.rstrip().endswith("ENDATA")
    with pytest.raises(ValueError, match="lp or mps"):
        export(problem, "xlsx")
