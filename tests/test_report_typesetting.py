"""Chinese punctuation: full width beside Chinese, untouched elsewhere."""

import re
from pathlib import Path

import pandas as pd
import pytest
from report_runs import frame, made_run

from allocator.errors import Text
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
