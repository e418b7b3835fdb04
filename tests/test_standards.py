"""Norms are compared by value, unit, direction, group and dates; changes are costed and ranked."""

import ast
import csv
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from allocator.catalogue import MARKS
from allocator.errors import InputRefused, Rank
from allocator.io.policy_files import TABLES, policy_digests, read_policy, read_standards
from allocator.measures.adjustment import cost_of_changes, rank_changes
from allocator.standards import (
    below_national,
    check_catalogue,
    check_dates,
    check_local,
    check_provision,
    check_years,
    default_mode,
    diff,
    is_within,
    norm_table,
)

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "data" / "catalogue"
ON = "2026-06-30"


@pytest.fixture(scope="module")
def national():
    return read_policy(FOLDER)


def _local(name):
    return read_standards(FOLDER / "local" / name / "standards.csv")


# The catalogue itself -------------------------------------------------------------------------


def test_every_norm_has_mark_source_basis_unit_and_group(national):
    assert check_catalogue(national) == ()
    assert len(national.standards) > 250
    for s in national.standards:
        assert (
            s.mark in MARKS and s.source.strip() and s.basis.strip() and s.title.zh and s.title.en
        )


def test_every_section_of_norms_is_carried_or_left_out_for_a_stated_reason(national):
    carried = {s.section for s in national.standards}
    sections = {"2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "3", "4.1", "4.2", "4.3", "4.4", "5"}  # fmt: skip
    assert sections == carried
    with (FOLDER / "left_out.csv").open(encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert rows and all(r["reason_zh"] and r["reason_en"] for r in rows)


def test_norms_known_by_heart_stand_in_the_catalogue_with_their_marks(national):
    expected = {
        "day-care.area.class-1": (1600, "m2", "unconfirmed"),
        "day-care.area.class-2": (1085, "m2", "unconfirmed"),
        "nursing-home.area-per-bed.200": (46.5, "m2-per-bed", "unconfirmed"),
        "nursing-home.area-per-bed.500": (42.5, "m2-per-bed", "verified"),
        "elderly-facilities.beds-per-1000": (40, "bed-per-1000", "verified"),
        "circle.15-minute.people-max": (100000, "person", "verified"),
        "embedded.area-min": (600, "m2", "verified"),
        "township.centre-coverage": (0.6, "share", "unconfirmed"),
        "fuzhou.home.beds-max": (150, "bed", "verified"),
        "nursing-share.national-2025": (0.55, "share", "unconfirmed"),
        "disability.census-2020": (0.0234, "share", "verified"),
        "care-ratio.dependent": (3, "person-per-worker", "unconfirmed"),
        "cost.dingnan.per-bed": (90000, "yuan-per-bed", "verified"),
        "lottery.elderly-share": (0.55, "share", "unconfirmed"),
        "childcare.places-per-1000": (4.5, "place-per-1000", "verified"),
        "primary.journey": (30, "minute", "unconfirmed"),
        "policy.items-2023": (81, "item", "unconfirmed"),
        "purchase.contract-years": (3, "year", "unconfirmed"),
        "mobile.yanchuan.villages": (163, "village", "verified"),
    }
    have = {s.id: (s.value, s.unit, s.mark) for s in national.standards}
    assert {k: have[k] for k in expected} == expected


def test_nine_domains_sixteen_entries_and_what_is_out_of_scope_are_listed(national):
    assert {i.domain for i in national.items.values()} == set(range(1, 10))
    assert {i.kind for i in national.items.values()} == {"place", "cash", "administrative"}
    assert [e.number for e in national.basic_list] == list(range(1, 17))
    assert {e.kind for e in national.basic_list} == {"material", "care", "concern"}
    assert [e.number for e in national.basic_list if e.hard] == [11]
    nine = national.basic_list[8]
    assert nine.mark == "unconfirmed" and "待核" in nine.note.zh
    assert len(national.out_of_scope) == 3
    groups = {i.group for i in national.items.values()} | {e.group for e in national.basic_list}
    assert groups <= set(national.groups)
    payers = {p for i in national.items.values() for p in i.payer.split("|")}
    assert payers <= set(national.funders)
    assert {q.id for q in national.quality} >= {m.quality_floor for m in national.modes.values()}
    assert set(national.unit_costs) - {s.id for s in national.standards} == {
        "county-a.allowance-80"
    }


def test_norm_numbers_do_not_stand_in_code(national):
    """A distinctive norm value (from 1,000 with two digits that matter, or a fraction) is only data.

    ``report`` is left out: it computes nothing, and its numbers are sizes on paper.
    """
    distinctive = {s.value for s in national.standards if _is_distinctive(s.value)}
    assert {1085.0, 46.5, 4.5, 0.0234, 1600.0} <= distinctive
    found = []
    for path in sorted((ROOT / "allocator").rglob("*.py")):
        if path.parent.name == "report":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
                where = path.relative_to(ROOT).as_posix()
                value = float(node.value)
                if value in distinctive and (where, value) not in ALLOWED:
                    found.append((where, node.lineno, value))
    assert not found


# Literals that equal a norm's value by accident, with what they are instead.
ALLOWED: dict[tuple[str, float], str] = {
    ("allocator/population/lifetable.py", 4.5): "the largest a(x) of a five-year age group",
    ("allocator/model/prices.py", 1600.0): "rounds of the price search over several periods",
}


def _is_distinctive(value):
    digits = f"{abs(value):.12g}".replace(".", "").strip("0")
    if value % 1:
        return value > 4 or len(digits) >= 3
    return value >= 1000 and len(digits) >= 2


def test_the_norm_table_cites_number_year_and_mark_in_both_languages(national):
    zh, en = norm_table(national, ON, "zh"), norm_table(national, ON, "en")
    assert len(zh) == len(en)
    row = zh.set_index("编号").loc["elderly-facilities.beds-per-1000"]
    assert row["依据"].startswith("GB 50437-2007") and row["核实情况"] == "已核"
    assert en.set_index("id").loc["day-care.area.class-1", "mark"] == "unconfirmed"
    assert "childcare.places-per-1000" not in set(zh["编号"])  # ended with 2025


# Local against national -----------------------------------------------------------------------


def test_the_good_local_catalogue_raises_no_alarm(national):
    found = check_local(national, _local("county-a"), ON)
    assert [(f.rank, f.code, f.where.id) for f in found] == [
        (Rank.INFORMATION, "standard-local-addition", "county-a.allowance-80")
    ]
    assert below_national(found) == ()


def test_the_bad_local_catalogue_gets_each_fault_once(national):
    found = check_local(national, _local("county-b"), ON)
    assert {(f.code, f.where.id) for f in found} == {
        ("below-national", "elderly-facilities.beds-per-1000"),
        ("below-national", "day-care.circle.radius"),
        ("standard-group-narrower", "elderly-facilities.area-per-bed"),
        ("standard-unit-differs", "township-health.reach"),
        ("standard-direction-differs", "village-doctor.per-1000"),
        ("standard-expired", "medical-circle"),
        ("standard-overlap", "mobile.elder-visiting"),
        ("standard-gap", "county-hospital.reach"),
    }
    assert len(found) == 8 and len(below_national(found)) == 3
    assert all(f.what.zh and f.what.en and f.remedy.zh and f.remedy.en for f in found)


def test_row_17_a_local_norm_below_or_narrower_is_a_finding_that_does_not_stop(national):
    found = below_national(check_local(national, _local("county-b"), ON))
    assert all(f.rank is Rank.WARNING for f in found)
    assert any("40 bed-per-1000" in f.what.en and "35 bed-per-1000" in f.what.en for f in found)


def test_row_18_a_norm_not_in_force_in_a_scenario_year_is_refused_with_its_dates(national):
    found = check_years(national.standards, ["childcare.places-per-1000"], [2025, 2026])
    assert [(f.rank, f.code) for f in found] == [(Rank.ERROR, "standard-not-valid")]
    assert "2026" in found[0].what.en and "2021-03-13 – 2025-12-31" in found[0].what.en
    assert check_years(national.standards, ["elderly-facilities.beds-per-1000"], [2026, 2035]) == ()
    near = check_years(national.standards, ["elderly-facilities.beds-per-100"], [2026])
    assert near[0].code == "standard-unknown" and "beds-per-1000" in near[0].remedy.en


def test_row_18_two_versions_that_overlap_are_refused_with_both_dates(tmp_path, national):
    for name in policy_digests(FOLDER):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    assert read_policy(tmp_path) == national
    lines = (FOLDER / "standards.csv").read_text(encoding="utf-8").splitlines()
    row = next(x for x in lines if x.startswith("medical-circle,"))
    (tmp_path / "standards.csv").write_text(
        "\n".join([*lines, row.replace("2021-12-31", "2024-01-01")]), encoding="utf-8"
    )
    with pytest.raises(InputRefused) as refused:
        read_policy(tmp_path)
    (finding,) = refused.value.findings
    assert finding.code == "standard-overlap"
    assert "2021-12-31" in finding.what.en and "2024-01-01" in finding.what.en


def _faults():
    """Thirty faults sown one at a time into the good local catalogue, with the code to be found."""
    good = {(s.id, s.valid_from): s for s in _local("county-a")}
    beds = good["elderly-facilities.beds-per-1000", "2026-01-01"]
    area = good["elderly-facilities.area-per-bed", "2018-01-01"]
    radius = good["day-care.circle.radius", "2018-12-01"]
    reach = good["township-health.reach", "2018-01-01"]
    doctor = good["village-doctor.per-1000", "2026-01-01"]
    visit = good["mobile.elder-visiting", "2022-01-01"]
    health = good["township-health.beds-min", "2018-01-01"]
    child = good["childcare.places-per-1000", "2021-06-01"]
    centre = good["township.centre-coverage", "2024-01-01"]
    below = [(beds, 39.9), (area, 34.0), (radius, 301.0), (reach, 31.0), (doctor, 0.5), (visit, 0.5),
             (health, 1.1), (child, 4.4), (centre, 0.59)]  # fmt: skip
    for s, value in below:
        yield f"below {s.id}", s, replace(s, value=value), "below-national"
    for s in (beds, area, radius, reach, doctor):
        other = "lower" if s.direction == "higher" else "higher"
        yield f"direction {s.id}", s, replace(s, direction=other), "standard-direction-differs"
    for s, unit in ((beds, "worker-per-1000"), (area, "m2-per-person"), (radius, "km"), (reach, "m"), (visit, "visit-per-day")):  # fmt: skip
        yield f"unit {s.id}", s, replace(s, unit=unit), "standard-unit-differs"
    for s, group in ((beds, "elderly-60-registered"), (area, "elderly-80"), (doctor, "registered"), (visit, "destitute-elders"), (child, "registered")):  # fmt: skip
        yield f"group {s.id}", s, replace(s, group=group), "standard-group-narrower"
    yield (
        "group differs",
        reach,
        replace(reach, group="veterans-and-others"),
        "standard-group-differs",
    )
    for s in (area, radius):
        yield f"expired {s.id}", s, replace(s, valid_until="2024-12-31"), "standard-expired"
    for s in (beds, doctor):
        yield f"overlap {s.id}", s, replace(s, valid_from="2025-07-01"), "standard-overlap"
    yield "gap", beds, replace(beds, valid_from="2026-02-01"), "standard-gap"


FAULTS = list(_faults())


def test_there_are_thirty_seeded_faults():
    assert len(FAULTS) == 30 and len({f[0] for f in FAULTS}) == 30


@pytest.mark.parametrize(("name", "old", "new", "code"), FAULTS, ids=[f[0] for f in FAULTS])
def test_a_seeded_fault_is_found_and_nothing_else(national, name, old, new, code):
    local = [new if s is old or s == old else s for s in _local("county-a")]
    assert new in local
    found = [f for f in check_local(national, local, ON) if f.rank is not Rank.INFORMATION]
    assert [(f.code, f.where.id) for f in found] == [(code, old.id)]


def test_dates_that_are_no_dates_or_run_backwards_are_refused(national):
    s = national.standards[0]
    for change in (
        {"valid_from": "2026-13-01"},
        {"valid_from": "2026"},
        {"valid_until": "1990-01-01"},
    ):
        (found,) = check_dates([replace(s, **change)])
        assert found.code == "standard-dates" and found.rank is Rank.ERROR


def test_groups_contain_one_another_through_every_step(national):
    assert is_within(national.groups, "elderly-80-registered", "residents")
    assert is_within(national.groups, "destitute-elders", "difficulty-elders")
    assert not is_within(national.groups, "elderly-60", "elderly-60-registered")


# Dynamic adjustment ---------------------------------------------------------------------------

PEOPLE = pd.DataFrame(
    [(g, y, n) for y in (2026, 2027)
     for g, n in (("elderly-60", 30_000.0), ("elderly-80", 4_000.0), ("residents", 180_000.0), ("difficulty-elders", 2_500.0))],
    columns=["group", "year", "persons"],
)  # fmt: skip
SHARES = {"region": 1 / 3, "city": 1 / 3, "county": 1 / 3}


@pytest.fixture(scope="module")
def changes(national):
    local = _local("county-a")
    return diff(local, local, national.groups, on_old="2025-06-30", on_new=ON)


def test_two_dates_of_one_catalogue_differ_by_what_was_raised_added_widened_or_ended(changes):
    assert {c.id: c.kinds for c in changes} == {
        "elderly-facilities.beds-per-1000": ("raised",),
        "township-health.beds-min": ("raised",),
        "village-doctor.per-1000": ("raised",),
        "mobile.elder-visiting": ("widened",),
        "county-a.allowance-80": ("added",),
        "childcare.places-per-1000": ("withdrawn",),
        "township.centre-coverage": ("withdrawn",),
    }


def test_a_catalogue_does_not_differ_from_itself(national):
    assert diff(national.standards, national.standards, national.groups, on_old=ON, on_new=ON) == ()


def test_lowering_a_maximum_counts_as_raising_the_standard(national):
    old = next(s for s in national.standards if s.id == "township-health.reach")
    (change,) = diff([old], [replace(old, value=20.0)], national.groups, on_old=ON, on_new=ON)
    assert change.kind == "raised"


def test_a_raised_standard_costs_the_extra_places_by_hand_and_by_payer_to_the_yuan(
    national, changes
):
    table, findings = cost_of_changes(changes, national, PEOPLE, SHARES)
    beds = table[table["id"] == "elderly-facilities.beds-per-1000"].set_index("year")
    unit = national.unit_costs["elderly-facilities.beds-per-1000"]
    assert beds.loc[2026, "units"] == pytest.approx((42 - 40) * 30_000 / 1000)
    assert beds.loc[2026, "capital_yuan"] == 60 * unit.capital_yuan
    assert beds.loc[2027, "capital_yuan"] == 0  # nothing more to build
    assert beds.loc[2027, "running_yuan"] == 60 * unit.running_yuan_year
    assert beds.loc[2026, "workers"] == pytest.approx(60 * unit.workers)
    paid = table[[c for c in table if c.startswith("yuan.")]].sum(axis=1)
    assert (paid == table["total_yuan"]).all() and len(paid) == 12
    assert [f.where.id for f in findings] == ["township.centre-coverage"]


def test_the_cost_of_two_changes_is_the_difference_of_the_two_catalogues(national):
    """Going from A to B and on to C costs what going from A to C does, in units and running yuan."""
    a = next(s for s in national.standards if s.id == "elderly-facilities.beds-per-1000")
    b, c = replace(a, value=43.0), replace(a, value=47.5)

    def cost(old, new):
        step = diff([old], [new], national.groups, on_old=ON, on_new=ON)
        table, _ = cost_of_changes(step, national, PEOPLE, SHARES)
        return table[["units", "running_yuan"]].sum()

    assert (cost(a, b) + cost(b, c)).tolist() == pytest.approx(cost(a, c).tolist())


def test_widening_a_group_helps_the_newcomers(national, changes):
    table, _ = cost_of_changes(changes, national, PEOPLE, SHARES)
    row = table[(table["id"] == "mobile.elder-visiting") & (table["year"] == 2026)].iloc[0]
    assert row["persons_helped"] == 30_000 - 2_500


def test_changes_rank_by_people_helped_per_yuan_and_stop_at_the_budget(national, changes):
    table, _ = cost_of_changes(changes, national, PEOPLE, SHARES)
    ranked = rank_changes(table, budget_yuan_year=5e6, life_years=30)
    assert ranked["persons_per_10k_yuan"].is_monotonic_decreasing
    assert ranked["id"].iloc[0] == "village-doctor.per-1000"
    assert "childcare.places-per-1000" not in set(ranked["id"])  # nobody is helped by an ending
    carried = ranked[ranked["is_carried"]]
    assert carried["yuan_year"].sum() <= 5e6 and len(carried) < len(ranked)


def test_a_change_without_people_or_unit_cost_is_named_not_counted_as_free(national, changes):
    few = PEOPLE[PEOPLE["group"] != "residents"]
    table, findings = cost_of_changes(changes, national, few, SHARES)
    assert "village-doctor.per-1000" not in set(table["id"])
    assert {f.code for f in findings} == {"change-not-costed"} and len(findings) == 4
    with pytest.raises(ValueError, match="not 1"):
        cost_of_changes(changes, national, PEOPLE, {"county": 0.9})


# Provision ------------------------------------------------------------------------------------


def test_new_items_go_to_purchase_and_own_building_asks_for_a_reason(national):
    new = [i for i in national.items.values() if i.is_new]
    assert new and all(default_mode(i) == "purchase" for i in new)
    silent = check_provision(
        national, {"01-childcare": ("build", " "), "05-day-care": ("purchase", "")}
    )
    assert [(f.code, f.where.id) for f in silent] == [
        ("own-provision-without-reason", "01-childcare")
    ]
    assert check_provision(national, {"01-childcare": ("build", "无市场主体")}) == ()
    assert check_provision(national, {"04-public-health": ("build", "")}) == ()  # not new
    assert (
        check_provision(national, {"01-childcare": ("purchas", "")})[0].code == "provision-unknown"
    )


# Reading --------------------------------------------------------------------------------------


def test_every_fault_of_every_file_is_told_at_once_with_row_and_column(tmp_path):
    for name in policy_digests(FOLDER):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    (tmp_path / "payers.csv").unlink()
    units = (FOLDER / "units.csv").read_text(encoding="utf-8")
    (tmp_path / "units.csv").write_text(
        units.replace("per_persons", "per_person"), encoding="utf-8"
    )
    steps = (FOLDER / "subsidy_steps.csv").read_text(encoding="utf-8")
    (tmp_path / "subsidy_steps.csv").write_text(
        steps.replace(",5000,", ",５000,"), encoding="utf-8"
    )
    (tmp_path / "items.csv").write_bytes("编号".encode("gbk"))
    with pytest.raises(InputRefused) as refused:
        read_policy(tmp_path)
    codes = {(f.where.file, f.code) for f in refused.value.findings}
    assert codes == {
        ("payers.csv", "file-missing"), ("units.csv", "column-missing"), ("units.csv", "column-unknown"),
        ("subsidy_steps.csv", "cell-unreadable"), ("items.csv", "file-encoding"),
    }  # fmt: skip
    cell = next(f for f in refused.value.findings if f.code == "cell-unreadable")
    assert cell.where.row == 2 and cell.where.column == "yuan"
    near = next(f for f in refused.value.findings if f.code == "column-missing")
    assert "per_person" in near.remedy.en


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [("unit", "bed-per-100", "standard-unit-unknown"), ("group", "elderly-61", "standard-group-unknown"),
     ("direction", "up", "standard-direction-unknown"), ("mark", "certain", "standard-mark-unknown"),
     ("source", " ", "standard-source"), ("value", -1.0, "standard-value")],
)  # fmt: skip
def test_a_norm_that_says_nothing_readable_is_refused(national, column, value, code):
    bad = replace(national.standards[0], **{column: value})
    found = check_catalogue(replace(national, standards=(bad,)))
    assert [f.code for f in found] == [code]


def test_every_policy_file_is_shipped_and_declared():
    assert set(policy_digests(FOLDER)) == {f"{stem}.csv" for stem in TABLES}
