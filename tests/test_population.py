"""Life tables, cohort components and their invariants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocator.population import (
    Survival,
    fit_to_e0,
    life_table,
    project,
    survival,
)
from allocator.population.cohort import flows_to_net, project_chunks
from allocator.population.lifetable import ABRIDGED_AGES


def gompertz(ages, level=1.0):
    """Plausible death rates by age, both sexes."""
    middle = np.array(ages, dtype=float) + 0.5 * np.append(np.diff(ages), 5)
    rates = 0.00004 * np.exp(0.098 * middle) + 0.0003 + 0.01 * (np.array(ages) == 0)
    return level * np.stack([1.2 * rates, rates], axis=-1)


def smooth_base(ages):
    middle = np.array(ages, dtype=float) + 0.5
    one = 1000.0 * np.exp(-0.012 * middle) / (1.0 + np.exp((middle - 78.0) / 7.0))
    return np.stack([one, one * 1.01], axis=-1)


def in_steps(alive, steps):
    return Survival(
        alive.width,
        np.broadcast_to(alive.birth, (steps, *alive.birth.shape)),
        np.broadcast_to(alive.ages, (steps, *alive.ages.shape)),
    )


@pytest.fixture
def alive():
    return survival(life_table(gompertz(ABRIDGED_AGES)))


@pytest.fixture
def base():
    return [*smooth_base(range(101))[:100].reshape(20, 5, 2).sum(axis=1).tolist(), [1.0, 2.0]]


FERTILITY = np.array([0.01, 0.08, 0.1, 0.06, 0.02, 0.005, 0.0005])


def test_a_constant_death_rate_gives_an_expectation_of_one_over_the_rate():
    table = life_table(np.full((101, 2), 0.02), tuple(range(101)))
    assert table.e0 == pytest.approx(50.0, rel=2e-3)


def test_survivors_reaching_zero_give_no_nan():
    mx = gompertz(ABRIDGED_AGES)
    mx[15:] = 50.0
    alive = survival(life_table(mx))
    assert np.isfinite(alive.ages).all() and (alive.ages >= 0).all()
    assert life_table(mx).alive[-1] == pytest.approx(0.0, abs=1e-12)


def test_negative_or_missing_rates_are_refused():
    mx = gompertz(ABRIDGED_AGES)
    for bad in (np.nan, -0.1):
        spoilt = mx.copy()
        spoilt[3, 0] = bad
        with pytest.raises(ValueError, match="finite"):
            life_table(spoilt)


def test_the_logit_shift_reaches_the_wanted_life_expectancy():
    wanted = np.array([[55.0, 58.0], [80.0, 86.0]])
    assert life_table(fit_to_e0(gompertz(ABRIDGED_AGES), wanted)).e0 == pytest.approx(
        wanted, abs=1e-5
    )


def test_the_open_group_loses_by_its_own_rate(alive):
    m = gompertz(ABRIDGED_AGES)[-1]
    assert alive.ages[-1] == pytest.approx(np.exp(-5 * m))


def test_steps_of_one_and_five_years_agree():
    ages = tuple(range(101))
    table = life_table(gompertz(ages), ages)
    single = smooth_base(ages)
    yearly = in_steps(survival(table, 1), 30)
    asfr = np.repeat(FERTILITY, 5)
    by_one = project(single, yearly, np.broadcast_to(asfr, (30, 35)), 1.05).persons[-1]
    groups = np.concatenate([single[:100].reshape(20, 5, 2).sum(axis=1), single[100:]])
    fives = in_steps(survival(table, 5), 6)
    by_five = project(groups, fives, np.broadcast_to(FERTILITY, (6, 7)), 1.05).persons[-1]
    summed = np.concatenate([by_one[:100].reshape(20, 5, 2).sum(axis=1), by_one[100:]])
    assert by_five.sum() == pytest.approx(summed.sum(), rel=0.005)
    assert by_five[:18] == pytest.approx(summed[:18], rel=0.02)


def test_no_births_no_deaths_no_migration_only_ages_people(base):
    nobody = in_steps(survival(life_table(np.zeros((22, 2)))), 4)
    found = project(base, nobody, np.zeros((4, 7)), 1.05)
    assert found.persons[-1].sum(axis=0) == pytest.approx(np.sum(base, axis=0))
    assert found.persons[-1][4] == pytest.approx(base[0])
    assert found.persons[-1][:4] == pytest.approx(0.0)
    assert found.deaths == pytest.approx(0.0) and found.births == pytest.approx(0.0)


def test_zero_fertility_leaves_no_children(base, alive):
    found = project(base, in_steps(alive, 3), np.zeros((3, 7)), 1.05)
    assert found.persons[-1][:3].sum() == 0.0


def test_swapped_sexes_swap_the_answer_above_the_newborn(base, alive):
    swapped = Survival(5, alive.birth[..., ::-1], alive.ages[..., ::-1])
    zero = np.zeros((3, 7))
    one = project(np.array(base), in_steps(alive, 3), zero, 1.0).persons
    other = project(np.array(base)[:, ::-1], in_steps(swapped, 3), zero, 1.0).persons
    assert other[..., ::-1] == pytest.approx(one)


def test_regions_sum_to_their_total_when_rates_are_shared(base, alive):
    parts = np.array(base)[None] * np.array([0.2, 0.3, 0.5])[:, None, None]
    together = project(base, in_steps(alive, 6), np.broadcast_to(FERTILITY, (6, 7)), 1.05)
    lead = Survival(5, in_steps(alive, 6).birth[:, None], in_steps(alive, 6).ages[:, None])
    apart = project(parts, lead, np.broadcast_to(FERTILITY, (6, 1, 7)), 1.05)
    assert apart.persons.sum(axis=1) == pytest.approx(together.persons)


def test_flows_between_regions_move_nobody_out_of_the_whole(base, alive):
    rng = np.random.default_rng(5)
    rate = rng.uniform(0, 0.04, (3, 3, 21, 2))
    parts = np.array(base)[None] * np.array([0.2, 0.3, 0.5])[:, None, None]
    assert flows_to_net(parts, rate).sum(axis=0) == pytest.approx(0.0, abs=1e-9)
    lead = Survival(5, in_steps(alive, 4).birth[:, None], in_steps(alive, 4).ages[:, None])
    births = np.broadcast_to(FERTILITY, (4, 1, 7))
    found = project(parts, lead, births, 1.05, flow_rate=np.broadcast_to(rate, (4, *rate.shape)))
    assert found.migrants.sum(axis=(1, 2)) == pytest.approx(0.0, abs=1e-6)
    assert found.migrants.std() > 1.0
    assert np.abs(found.imbalance).max() < 1e-8


def test_chunks_give_the_same_answer_as_one_go(base, alive):
    parts = np.array(base)[None] * np.linspace(0.1, 2.0, 17)[:, None, None]
    lead = Survival(5, in_steps(alive, 3).birth[:, None], in_steps(alive, 3).ages[:, None])
    births = np.broadcast_to(FERTILITY, (3, 1, 7))
    whole = project(parts, lead, births, 1.05).persons
    chunks = list(project_chunks(parts, lead, births, 1.05, chunk_bytes=20_000))
    assert len(chunks) > 3
    assert np.concatenate([p.persons for _, p in chunks], axis=1) == pytest.approx(whole)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    level=st.floats(0.0, 40.0),
    children=st.floats(0.0, 4.0),
    moving=st.floats(-900.0, 900.0),
)
def test_every_step_balances_and_nobody_is_negative(seed, level, children, moving):
    rng = np.random.default_rng(seed)
    persons = rng.uniform(0.0, 500.0, (2, 21, 2))
    lead = in_steps(survival(life_table(gompertz(ABRIDGED_AGES, level))), 4)
    lead = Survival(5, lead.birth[:, None], lead.ages[:, None])
    net = moving * rng.standard_normal((4, 2, 21, 2))
    births = np.broadcast_to(children * FERTILITY, (4, 1, 7))
    found = project(persons, lead, births, 1.07, net)
    assert (found.persons >= 0).all() and np.isfinite(found.persons).all()
    assert np.abs(found.imbalance).max() < 1e-7
    assert (found.deaths >= -1e-9).all()
