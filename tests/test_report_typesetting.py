"""Chinese punctuation: full width beside Chinese, untouched elsewhere."""

import re
from pathlib import Path

import pandas as pd
import pytest
from report_runs import frame, made_run

from allocator.errors import Text
from allocator.report import policy
from allocator.report.typesetting import full_width
from allocator.report.words import Names, norm_source

ROOT = Path(__file__).resolve().parents[1]
RUN = made_run(frame(towns=3, sites=6))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("演示数据:不作依据,不得公开;完", "演示数据：不作依据，不得公开；完"),
        ("床位使用率(规划安排)", "床位使用率（规划安排）"),
        ("日间照料可达人口占比(60+)", "日间照料可达人口占比（60+）"),
        ("共 1,234 人,比例尺 1:2000", "共 1,234 人，比例尺 1:2000"),
        ('=HYPERLINK("http://x",1)', '=HYPERLINK("http://x",1)'),
        ("a, b; c (d)", "a, b; c (d)"),
        ("{{7*7}}", "{{7*7}}"),
    ],
)
def test_punctuation_is_full_width_only_beside_chinese(given, wanted):
    assert full_width(given) == wanted
    assert full_width(wanted) == wanted


def test_ids_of_the_calculation_are_said_in_words():
    names = Names([RUN], None)
    said = names.said(Text("80%人口15分钟内可达elderly.day(county-town)", "80% within 15 minutes of elderly.day"))  # fmt: skip
    assert said == Text("80%人口15分钟内可达日间照料(县城)", "80% within 15 minutes of day care")
    assert names.said(Text("仍够不着 elderly.day。", "")).zh == "仍够不着日间照料。"
    assert names.said(Text("S01关停前先安置在住老人", "")).zh == "示例设施01关停前先安置在住老人"


def test_the_basis_of_every_shipped_norm_reads_in_chinese():
    """Numbers of standards and titles of foreign books stay as they are printed."""
    known = {"Health", "Glance", "Who", "Cares"}
    for name in ("standards", "quality_standards", "provision_modes", "subsidy_steps"):
        table = pd.read_csv(ROOT / "data" / "catalogue" / f"{name}.csv", dtype=str)
        for basis in table["basis"].dropna().unique():
            words = set(re.findall(r"[A-Za-z]{3,}", norm_source(basis).zh))
            assert not {w for w in words - known if not w.isupper()}, basis


def test_recurring_english_of_norm_sources_reads_in_chinese():
    assert norm_source("standard's text not re-read; general knowledge of it").zh == "未核对原文，据一般了解"  # fmt: skip
    assert norm_source("GB 50180-2018 App. C").zh == "GB 50180-2018 附录 C"
    assert norm_source("clause 1.0.2 of the standard").zh == "第 1.0.2 条"


def test_the_basis_of_every_shipped_norm_reads_in_english():
    for name in ("standards", "quality_standards", "provision_modes", "subsidy_steps"):
        table = pd.read_csv(ROOT / "data" / "catalogue" / f"{name}.csv", dtype=str)
        for basis in table["basis"].dropna().unique():
            assert not re.search(r"[\u2e80-\uffff]", norm_source(basis).en), basis
    assert norm_source("GB 50437-2007 (2018局部修订)").en == "GB 50437-2007 (partly revised 2018)"
    assert (
        norm_source("国办发〔2019〕5号").en == "State Council General Office, Guobanfa [2019] No. 5"
    )
    assert norm_source("某县〔2024〕3号").en == "某县〔2024〕3号"


def test_values_of_norms_are_written_with_their_unit_as_readers_do():
    shown = [
        (0.55, "比例", "share", "55%", "55%"),
        (500, "张床位", "bed", "500 张床位", "500 beds"),
        (1, "处/县", "facility a county", "1 处/县", "1 facility a county"),
        (35, "平方米/床", "m2 a bed", "35 平方米/床", "35 m² a bed"),
        (1.4, "倍", "factor", "1.4 倍", "1.4 times"),
    ]
    for value, unit_zh, unit_en, zh, en in shown:
        assert policy._amount(value, unit_zh, unit_en) == Text(zh, en)
    assert policy._span("2018-12-01", "") == Text("2018-12-01 起", "from 2018-12-01")
