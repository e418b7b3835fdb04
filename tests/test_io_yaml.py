"""YAML: text stays text, every key once, nothing executed, and all faults with their lines."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocator.errors import InputRefused
from allocator.io.yaml_file import parse_yaml, read_yaml, validated
from allocator.scenario import Scenario

GOOD = """\
name: base
title: {zh: 2025, en: no}
periods: [{from: 2026, to: 2030}]
resources:
  capital: {unit: yuan, supply: {2026: 60e6}}
"""


def refused(text):
    with pytest.raises(InputRefused) as caught:
        parse_yaml(text, "f.yaml")
    return caught.value.findings


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("010", "010"), ("no", "no"), ("yes", "yes"), ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"), ("1_000", "1_000"), ("0x10", "0x10"), (".inf", ".inf"),
        ("true", True), ("null", None), ("60e6", 60e6), ("-3", -3), ("1.5", 1.5), ("'1'", "1"),
    ],
)  # fmt: skip
def test_plain_words_mean_what_yaml_1_2_says_and_nothing_else(written, value):
    assert parse_yaml(f"a: {written}", "f").data == {"a": value}


def test_a_number_where_text_is_wanted_is_taken_as_written():
    made = validated(Scenario, parse_yaml(GOOD, "f.yaml"))
    assert (made.title.zh, made.title.en) == ("2025", "no")


def test_an_unknown_key_is_refused_with_the_nearest_key_and_its_line():
    with pytest.raises(InputRefused) as caught:
        validated(Scenario, parse_yaml(GOOD + "  budjet: 1\nobjectve: [travel]\n", "f.yaml"))
    found = {f.where.column: f for f in caught.value.findings}
    assert found["objectve"].code == "key-unknown" and found["objectve"].where.row == 7
    assert (
        "'objective'" in found["objectve"].remedy.en and "objective" in found["objectve"].remedy.zh
    )
    assert found["resources.budjet"].code == "key-unknown"
    assert found["resources.budjet"].where.row == 6


def test_every_duplicate_key_is_refused_with_both_lines():
    found = refused("a: 1\nb: {c: 1, c: 2}\na: 2\n")
    assert [(f.code, f.where.row) for f in found] == [
        ("yaml-duplicate-key", 2),
        ("yaml-duplicate-key", 3),
    ]
    assert "line 1" in found[1].what.en


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: !!python/object/apply:os.system ['touch x']", "yaml-tag"),
        ("a: &x [1]\nb: [*x, *x]", "yaml-alias"),
        ("[" * 10_000, "yaml-too-large"),
        ("- " * 10_000, "yaml-too-large"),
        ("a: [" + "1," * 25_000 + "]", "yaml-too-large"),
        ("a: 'x", "yaml-syntax"),
        ("a: \x00", "yaml-syntax"),
        ("{[1]: 2}", "yaml-key"),
        ("a: 1\n---\nb: 2", "yaml-many-documents"),
    ],
)
def test_what_could_run_or_swell_is_refused_at_once(text, code):
    start = time.monotonic()
    assert refused(text)[0].code == code
    assert time.monotonic() - start < 10


def test_a_file_in_another_encoding_is_refused_by_line(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes("a: 1\nb: 中文\n".encode("gbk"))
    with pytest.raises(InputRefused) as caught:
        read_yaml(path)
    assert (
        caught.value.findings[0].code == "yaml-not-utf8" and caught.value.findings[0].where.row == 2
    )


def outcome(text):
    try:
        document = parse_yaml(text, "f")
    except InputRefused as problem:
        assert problem.findings
        return
    try:
        validated(Scenario, document)
    except InputRefused as problem:
        assert all(f.what.zh and f.remedy.en for f in problem.findings)


PIECES = st.sampled_from(
    ["a: ", "- ", "\n", "  ", "{", "}", "[", "]", ",", ":", "?", "&x ", "*x", "!t ", "'", '"', "|", ">", "%YAML 9.9",
     "---\n", "...\n", "#", "\t", "\\x", "name: b", "periods", "resources:\n  capital:", "1e999", "～", "\ufeff"]
)  # fmt: skip


@settings(max_examples=60, deadline=10_000)
@given(st.lists(PIECES | st.text(max_size=5), max_size=25).map("".join))
def test_any_text_gives_a_value_or_findings(text):
    outcome(text)


@pytest.mark.long
@settings(max_examples=10_000, deadline=10_000)
@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_any_text_gives_a_value_or_findings_ten_thousand_times(text):
    outcome(text)
