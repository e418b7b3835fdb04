"""Catalogue folders: figures by grade, lists, dated norms, and every fault of all tables."""

import pytest
from io_cases import CATALOGUE

from allocator.errors import InputRefused
from allocator.io.catalogue_files import read_catalogue
from allocator.io.paths import shipped
from allocator.io.policy_files import read_policy


def write(folder, **changes):
    for name, text in {**CATALOGUE, **{f"{k}.csv": v for k, v in changes.items()}}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def refused(folder):
    with pytest.raises(InputRefused) as caught:
        read_catalogue(folder)
    return [f for f in caught.value.findings if f.rank == "error"]


def test_offers_carry_grades_and_lists(tmp_path):
    kind = read_catalogue(write(tmp_path)).types["township-home"]
    (offer,) = kind.offers
    assert offer.staff == {"mild": 0.1, "moderate": 0.0, "severe": 0.3, "destitute": 0.0}
    assert offer.groups == ("severe", "destitute") and kind.area_classes == (
        "village",
        "township-seat",
    )
    assert kind.provisions[0].from_states == ("absent",)


def with_norms(folder, **changes):
    folder = write(folder, **changes)
    return read_policy(folder, read_catalogue(folder), shipped("data/catalogue"))


def test_the_norm_valid_on_a_date_is_found(tmp_path):
    catalogue = with_norms(tmp_path)
    assert catalogue.standard("beds", "2024-12-31").value == 30
    assert catalogue.standard("beds", "2026-01-01").value == 40


def test_versions_that_overlap_are_refused_with_their_dates(tmp_path):
    text = CATALOGUE["standards.csv"].replace("2024-12-31", "2025-12-31")
    with pytest.raises(InputRefused) as caught:
        with_norms(tmp_path, standards=text)
    (fault,) = caught.value.findings
    assert fault.code == "standard-overlap" and "2020-01-01" in fault.what.en


def test_unknown_services_and_reversed_bounds_are_all_told(tmp_path):
    offers = CATALOGUE["offers.csv"].replace("elderly.resident,10,60", "elderly.residnt,70,60")
    found = refused(write(tmp_path, offers=offers))
    assert {f.code for f in found} == {"id-unknown", "bounds-reversed"}
    assert "'elderly.resident'" in next(f for f in found if f.code == "id-unknown").remedy.en


def test_the_version_follows_the_contents(tmp_path):
    before = read_catalogue(write(tmp_path)).version
    assert read_catalogue(tmp_path).version == before
    norms = with_norms(tmp_path).version
    provisions = CATALOGUE["provisions.csv"].replace("90000", "90001")
    assert read_catalogue(write(tmp_path, provisions=provisions)).version != before
    standards = CATALOGUE["standards.csv"].replace("Beds,40", "Beds,41")
    assert with_norms(tmp_path, standards=standards).version != norms


def test_the_shipped_catalogue_is_read_without_a_fault():
    folder = shipped("data/catalogue")
    catalogue = read_policy(folder, read_catalogue(folder))
    assert catalogue.types and catalogue.services and catalogue.standards
    assert all(o.service in catalogue.services for t in catalogue.types.values() for o in t.offers)
