"""Scenario files: extends merges key by key, and every error has its file and line."""

import pytest

from allocator.errors import InputRefused
from allocator.io.scenarios import read_scenarios

BASE = """\
name: base
abstract: true
title: {zh: 基, en: Base}
periods: [{from: 2026, to: 2030}]
resources:
  capital: {unit: yuan, supply: {2026: 60e6}}
"""


def folder(tmp_path, **files):
    for name, text in {"base": BASE, **files}.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def refused(path, names=None):
    with pytest.raises(InputRefused) as caught:
        read_scenarios(path, names)
    return caught.value.findings


def child(name, more="", base="base"):
    return f"name: {name}\ntitle: {{zh: 子, en: Child}}\nextends: {base}\n{more}"


def test_a_child_writes_only_what_differs_and_abstract_files_are_not_run(tmp_path):
    path = folder(tmp_path, child=child("child", "resources: {capital: {supply: {2026: 5}}}\n"))
    (only,) = read_scenarios(path)
    assert only.name == "child" and only.resources["capital"].supply == {2026: 5}
    assert only.resources["capital"].unit == "yuan" and not only.abstract


def test_names_choose_and_order(tmp_path):
    path = folder(tmp_path, a=child("a"), b=child("b", base="a"))
    assert [s.name for s in read_scenarios(path, ["b", "a"])] == ["b", "a"]


def test_all_errors_of_all_files_come_at_once_with_the_line_where_each_stands(tmp_path):
    bad = BASE + "discount_rate: 7\n"
    path = folder(
        tmp_path, base=bad, one=child("one", "budjet: 1\n"), two=child("two", "solve:\n  gap: x\n")
    )
    found = {(f.where.file, f.where.row, f.where.column) for f in refused(path)}
    assert ("base.yaml", 7, "discount_rate") in found
    assert ("one.yaml", 4, "budjet") in found
    assert ("two.yaml", 5, "solve.gap") in found


def test_circles_of_extends_are_refused(tmp_path):
    found = refused(folder(tmp_path, a=child("a", base="b"), b=child("b", base="a")))
    assert "extends-cycle" in {f.code for f in found} and "a → b → a" in found[0].what.en


def test_an_unknown_name_gets_the_nearest(tmp_path):
    path = folder(tmp_path, child=child("child"))
    assert "'child'" in refused(path, ["chld"])[0].remedy.en
    assert refused(folder(tmp_path, child=child("child", base="bas")))[0].where.row == 3


@pytest.mark.parametrize("name", ["../x", "CON", "a b", "x" * 200, "nul", ""])
def test_names_that_are_no_file_names_are_refused(tmp_path, name):
    assert refused(folder(tmp_path, child=child("child")), [name])[0].code == "name-not-allowed"


def test_a_supply_missing_for_a_period_is_refused(tmp_path):
    more = "periods: [{from: 2026, to: 2030}, {from: 2031, to: 2035}]\n"
    (fault,) = refused(folder(tmp_path, child=child("child", more)))
    assert "2031" in fault.what.en and "unlimited" in fault.what.en


def test_name_and_file_must_agree_and_abstract_ones_cannot_be_asked_for(tmp_path):
    assert refused(folder(tmp_path, child=child("other")), ["child"])[0].code == "scenario-name"
    assert refused(folder(tmp_path, child=child("child")), ["base"])[0].code == "scenario-abstract"


def test_an_empty_folder_is_refused(tmp_path):
    assert refused(tmp_path)[0].code == "scenarios-missing"
