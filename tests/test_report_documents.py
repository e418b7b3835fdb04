"""Word, PDF and the others from one document: equal numbers, names as text, templates, the spread."""

import dataclasses
import io
import re
import shutil
import subprocess
from functools import cache
from html.parser import HTMLParser
from itertools import combinations

import docx
import geopandas as gpd
import openpyxl
import pandas as pd
import pytest
from report_runs import DISCLAIMER, FOOTER, frame, made_run, scenario, sheet_title

from allocator.errors import Finding, InputRefused, Rank, Text, Where
from allocator.journeys import NEAREST
from allocator.report import documents
from allocator.report.cells import Quantity, written
from allocator.report.chapters import compose
from allocator.report.document import Column, Table
from allocator.report.fonts import find_font
from allocator.report.spread import alternatives_of, repeats
from allocator.report.typesetting import full_width
from allocator.report.widths import broken, laid_out

pypdf = pytest.importorskip("pypdf")
pytest.importorskip("docxtpl")
pytest.importorskip("typst")

NAMES = [
    '=HYPERLINK("http://x")', "+1", "-1", "@x", "<script>alert(1)</script>", '"><img src=x onerror=y>',
    "{{7*7}}", "</script>", "#eval(1)", "\\u{41}", "$x$", "很长的设施名称" * 43, "养老😀院", "x" * 120,
]  # fmt: skip
TITLE = ("{{7*7}}<b>&方案", "{{7*7}}<b>& plan")
OTHER_TITLE = ("\u202eabc示例😀", "\u202eabc 😀")
REGION = frame(towns=3, sites=len(NAMES))


def _named(run):
    """The run with every site named by a text that some format could take for code."""
    sites, projects = run.tables["sites"].copy(), run.tables["projects"].copy()
    names = dict(zip(sorted(sites["site_id"].unique()), NAMES, strict=True))
    for table in (sites, projects):
        table["name_zh"] = table["name_en"] = table["site_id"].map(names)
    return dataclasses.replace(run, tables={**run.tables, "sites": sites, "projects": projects})


RUN = _named(made_run(REGION, scenario("best-mix", TITLE)))
OTHER = made_run(REGION, scenario("remote-home", OTHER_TITLE), seed=8)


@pytest.fixture(scope="module")
def font():
    try:
        return find_font().body
    except InputRefused:
        pytest.skip("no open Chinese font is installed (Debian: fonts-noto-cjk)")


@pytest.fixture(scope="module")
def made(font):
    return documents([RUN, OTHER], region=REGION, languages=("zh",))


class _Cells(HTMLParser):
    """Numbers of each table of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[float]] = {}
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "table":
            self.now = self.tables.setdefault(values["data-table"], [])
        elif "data-value" in values:
            self.now.append(float(values["data-value"]))


def _word_tables(data):
    """Rows of text of every table under its caption (the paragraph before it)."""
    word = docx.Document(io.BytesIO(data))
    found = {}
    for table in word.tables:
        before = table._tbl.getprevious()
        title = "".join(t.text or "" for t in before.iter(docx.oxml.ns.qn("w:t")))
        found.setdefault(title, [[c.text for c in row.cells] for row in table.rows])
    return found


def _word_text(data):
    word = docx.Document(io.BytesIO(data))
    return "".join(t.text or "" for t in word.element.body.iter(docx.oxml.ns.qn("w:t")))


@cache
def _pdf_pages(data):
    """Text of each page without white space and places to break; read once, since it takes long."""
    pages = pypdf.PdfReader(io.BytesIO(data)).pages
    return [re.sub(r"[\s\u200b]", "", p.extract_text()) for p in pages]


def _pdf_text(data):
    return "".join(_pdf_pages(data))


@cache
def _both():
    return compose([RUN, OTHER], region=REGION)


@cache
def _alone():
    return compose([RUN], region=REGION)


def _text(cell):
    return "" if cell is None else written(cell).zh


@pytest.mark.slow
def test_every_number_is_the_same_in_page_sheet_word_and_pdf(made):
    document = _both()
    page = _Cells(made["report.html"].decode()).tables
    sheets = {
        s["A1"].value: s for s in openpyxl.load_workbook(io.BytesIO(made["plan.xlsx"])).worksheets
    }
    word, pdf = _word_tables(made["report-zh.docx"]), _pdf_text(made["report-zh.pdf"])
    totals = 0
    for table in document.tables.values():
        rows = [*table.rows, *([table.total] if table.total else [])]
        numbers = [c.value for row in rows for c in row if isinstance(c, Quantity)]
        assert page[table.id] == pytest.approx(numbers, nan_ok=True)
        assert word[table.title.zh][1:] == [[_text(c) for c in row] for row in rows] or not rows
        sheet = sheets[sheet_title(table)]
        for r, row in enumerate(table.rows):
            assert re.sub(r"\s", "", "".join(_text(c) for c in row)) in pdf, (table.id, r)
            for n, cell in enumerate(row):
                if isinstance(cell, Quantity) and cell.value == cell.value:
                    scale = 1e4 if cell.kind == "money" else 1
                    shown = sheet.cell(r + 6, n + 1).value
                    assert shown * scale == pytest.approx(cell.value)
        if table.total:
            totals += 1
            assert re.sub(r"\s", "", "".join(_text(c) for c in table.total)) in pdf, table.id
            _sheet_sums_to(sheet, table)
    assert totals >= 6


def _sheet_sums_to(sheet, table):
    """The live total of a column is the sum that the other formats print."""
    row = 6 + len(table.rows)
    for n, (cell, column) in enumerate(zip(table.total, table.columns, strict=True)):
        if not (isinstance(cell, Quantity) and column.summed):
            continue
        formula = sheet.cell(row, n + 1).value
        assert formula.startswith("=SUM(")
        parts = [sheet.cell(r, n + 1).value for r in range(6, row)]
        if all(isinstance(p, int | float) for p in parts):
            scale = 1e4 if cell.kind == "money" else 1
            assert sum(parts) * scale == pytest.approx(cell.value, abs=1e-6 * scale)


@pytest.mark.slow
def test_every_total_is_the_same_in_all_five_formats_and_both_languages(font, tmp_path):
    """Each total is worked out anew from the layers, the sheet's cells and the page's rows."""
    region = frame(towns=2, sites=3)
    run = made_run(region)
    made = documents([run], region=region, languages=("zh", "en"))
    tables = {k: t for k, t in compose([run], region=region).tables.items() if t.total}
    path = tmp_path / "plan.gpkg"
    path.write_bytes(made["plan.gpkg"])
    sites, towns = (gpd.read_file(path, layer=n) for n in ("sites", "townships"))
    sheets = {
        s["A1"].value: s for s in openpyxl.load_workbook(io.BytesIO(made["plan.xlsx"])).worksheets
    }
    page = _Cells(made["report.html"].decode()).tables
    word = {n: _word_tables(made[f"report-{n}.docx"]) for n in ("zh", "en")}
    pdf = {n: _pdf_text(made[f"report-{n}.pdf"]) for n in ("zh", "en")}
    for table in tables.values():
        numbers = [c.value for c in table.total if isinstance(c, Quantity)]
        assert page[table.id][-len(numbers) :] == pytest.approx(numbers, nan_ok=True)
        _sheet_sums_to(sheets[sheet_title(table)], table)
        for language in ("zh", "en"):
            said = [getattr(written(c), language) if c is not None else "" for c in table.total]
            assert word[language][getattr(table.title, language)][-1] == said
            assert re.sub(r"\s", "", "".join(said)) in pdf[language]

    def total(table, column):
        ids = [c.id for c in tables[table].columns]
        return tables[table].total[ids.index(column)].value

    end = run.scenario.years[-1]
    capital = sum(sites[f"capital_{y}"].sum() for y in run.scenario.years[1:])
    assert capital == pytest.approx(total("projects", "capital"))
    assert total("payers", "2030") + total("payers", "2035") == pytest.approx(capital, abs=2)
    for service in ("resident", "day", "home"):
        for column in ("need", "served", "unmet"):
            assert towns[f"{service}_{column}"].sum() == pytest.approx(
                total(f"townships-{service}", column)
            )
        unit = "visits" if service == "home" else "places"
        changed = sites[sites["project"].notna()]
        assert changed[f"{service}_{end}"].sum() == pytest.approx(
            total("projects", f"{unit}_{service}")
        )
    assert towns["people_60"].sum() == pytest.approx(total("population", f"elders-{end}"))


def test_project_list_indicators_and_money_are_one_set_of_numbers(made, tmp_path):
    tables = _both().tables
    capital = tables["projects"].total[9].value
    invested = [c for c in next(r for r in tables["indicators"].rows if r[0].zh == "投资") if isinstance(c, Quantity)]  # fmt: skip
    assert sum(c.value for c in invested) == pytest.approx(capital)
    paid = tables["payers"].total
    assert sum(c.value for c in paid if isinstance(c, Quantity)) == pytest.approx(capital, abs=2)
    path = tmp_path / "plan.gpkg"
    path.write_bytes(made["plan.gpkg"])
    sites = gpd.read_file(path, layer="sites")
    assert sites[["capital_2030", "capital_2035"]].to_numpy().sum() == pytest.approx(capital)
    towns = gpd.read_file(path, layer="townships")
    assert towns["people_60"].sum() == pytest.approx(tables["population"].total[6].value)
    places = tables["projects"].total[6].value
    changed = sites[sites["project"].notna()]
    assert changed["resident_2035"].sum() == pytest.approx(places)


def test_each_township_column_of_the_forecast_sums_to_its_total():
    table = _alone().tables["population"]
    for n in range(1, 7):
        assert sum(row[n].value for row in table.rows) == pytest.approx(table.total[n].value)


@pytest.mark.slow
def test_hostile_and_very_long_names_are_text_in_every_format(made, tmp_path):
    html = made["report.html"].decode()
    assert "<script" not in html and "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html and "{{7*7}}" in html
    text, pdf = _word_text(made["report-zh.docx"]), _pdf_text(made["report-zh.pdf"])
    projects = RUN.tables["projects"]
    book = openpyxl.load_workbook(io.BytesIO(made["plan.xlsx"]))
    cells = [book["项目库"].cell(6 + n, 2) for n in range(len(projects))]
    assert {c.data_type for c in cells} == {"s"}
    assert [c.value for c in cells] == list(projects["name_zh"])
    path = tmp_path / "plan.gpkg"
    path.write_bytes(made["plan.gpkg"])
    kept = gpd.read_file(path, layer="sites")["name_zh"]
    assert set(kept) == set(NAMES)
    for name in [*NAMES, TITLE[0]]:
        assert name in text
        assert re.sub(r"\s", "", name) in pdf
    assert OTHER_TITLE[0] in text and OTHER_TITLE[0] in html


def _boxes(page):
    """Left, top, right, bottom and text of each word of a page of ``pdftotext -bbox``."""
    edges = "".join(rf'{name}="([\d.-]+)" ?' for name in ("xMin", "yMin", "xMax", "yMax"))
    return [(*map(float, m[:4]), m[4]) for m in re.findall(rf"<word {edges}>(.*?)</word>", page)]


@pytest.mark.slow
def test_no_words_of_a_pdf_lie_upon_one_another(made, tmp_path):
    """Names of 300 characters, 120 letters without a blank, emoji and marks among them."""
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed")
    file = tmp_path / "report.pdf"
    file.write_bytes(made["report-zh.pdf"])
    done = subprocess.run(["pdftotext", "-bbox", str(file), "-"], capture_output=True, text=True, timeout=60, check=True)  # fmt: skip
    pages = done.stdout.split("<page ")[1:]
    words = 0
    for n, page in enumerate(pages, 1):
        boxes = [b for b in _boxes(page) if b[4].isprintable()]
        words += len(boxes)
        for (x0, y0, x1, y1, a), (u0, v0, u1, v1, b) in combinations(boxes, 2):
            wide, tall = min(x1, u1) - max(x0, u0), min(y1, v1) - max(y0, v0)
            small = min(y1 - y0, v1 - v0)
            assert not (wide > 1.5 and tall > 0.6 * small), (n, a, b)
    assert words > 2000


@pytest.mark.slow
def test_no_page_of_a_pdf_is_empty_and_each_map_stands_under_its_title(made):
    pages = _pdf_pages(made["report-zh.pdf"])
    said, foot = (full_width(t["zh"]) for t in (DISCLAIMER, FOOTER))
    for n, text in enumerate(pages, 1):
        own = text.replace(said, "").replace(foot, "").replace(f"第{n}页，共{len(pages)}页", "")
        assert len(own) > 20, f"page {n} is empty"
    maps = sum(f.is_map for f in _both().figures.values())
    atlas = [p for p in pages if re.search(r"图\d+", p) and "公里" in p and "见图集" not in p]
    assert len(atlas) == maps


def test_text_of_a_pdf_stays_on_its_page(made):
    for page in pypdf.PdfReader(io.BytesIO(made["report-zh.pdf"])).pages[:16]:
        wide, tall = float(page.mediabox.width), float(page.mediabox.height)
        seen = []
        page.extract_text(visitor_text=lambda text, cm, tm, font, size, seen=seen: seen.append((text.strip(), tm)))  # fmt: skip
        assert all(0 <= tm[4] <= wide and 0 <= tm[5] <= tall for text, tm in seen if text)


@pytest.mark.parametrize("format", ["html", "docx", "xlsx", "pdf", "gpkg"])
@pytest.mark.parametrize("bad", ["坏\x00名", "坏\n名", "坏\r名", "坏\t名"])
def test_control_characters_are_refused_in_every_format(format, bad):
    run = made_run(REGION, sites=RUN.tables["sites"].assign(name_zh=bad))
    with pytest.raises(InputRefused, match="control-character"):
        documents([run], region=REGION, to=(format,), languages=("zh",))


@pytest.mark.slow
def test_equal_runs_give_equal_word_and_pdf_bytes(made):
    same = [dataclasses.replace(RUN), dataclasses.replace(OTHER)]
    again = documents(same, region=REGION, to=("docx", "pdf"), languages=("zh",))
    assert again == {name: made[name] for name in again}


def test_each_document_carries_disclaimer_and_map_footer(made):
    said, foot = full_width(DISCLAIMER["zh"]), full_width(FOOTER["zh"])
    for text in _pdf_pages(made["report-zh.pdf"]):
        assert said in text and foot in text
    word = docx.Document(io.BytesIO(made["report-zh.docx"]))
    for section in word.sections:
        assert said in section.header.paragraphs[0].text
        assert foot in section.footer.paragraphs[0].text


def test_contents_of_a_word_document_are_a_field_with_its_entries_written_in():
    made = documents([RUN, OTHER], region=REGION, to=("docx",))
    for language in ("zh", "en"):
        document = _both()
        word = docx.Document(io.BytesIO(made[f"report-{language}.docx"]))
        q = docx.oxml.ns.qn
        codes = "".join(t.text for t in word.element.iter(q("w:instrText")))
        assert codes.count("TOC ") == 1
        links = list(word.element.iter(q("w:hyperlink")))
        entries = ["".join(t.text or "" for t in a.iter(q("w:t"))) for a in links]
        titles = [getattr(c.title, language) for c in document.chapters]
        assert [e.split("  ", 1)[-1] for e in entries] == [*titles, {"zh": "图集", "en": "Atlas"}[language]]  # fmt: skip
        heads = [p for p in word.paragraphs if p.style.name == "Heading 1"]
        assert [p.text for p in heads] == entries
        marks = [b.get(q("w:name")) for p in heads for b in p._p.iter(q("w:bookmarkStart"))]
        assert marks == [a.get(q("w:anchor")) for a in links]
        assert all(f"PAGEREF {m} " in codes for m in marks)
        assert word.settings.element.find(q("w:updateFields")).get(q("w:val")) == "true"
        begun, ended = (
            sum(f.get(q("w:fldCharType")) == kind for f in word.element.iter(q("w:fldChar")))
            for kind in ("begin", "end")
        )
        assert begun == ended == len(entries) + 1


def test_the_foot_of_a_word_page_says_which_page_of_how_many(made):
    word = docx.Document(io.BytesIO(made["report-zh.docx"]))
    foot = word.sections[0].footer.paragraphs[0]
    codes = [f.get(docx.oxml.ns.qn("w:instr")) for f in foot._p.iter(docx.oxml.ns.qn("w:fldSimple"))]  # fmt: skip
    assert codes == ["PAGE", "NUMPAGES"] and "页，共" in foot.text


def test_an_offices_own_template_is_filled_in_its_own_order():
    page = docx.Document()
    page.add_paragraph("某某县民政局  {{ title }}")
    page.add_paragraph("资金")
    page.add_paragraph("{{ chapter.money }}")
    page.add_paragraph("局限")
    page.add_paragraph("{{ chapter.limits }}")
    page.add_paragraph("完")
    out = io.BytesIO()
    page.save(out)
    made = documents([RUN], region=REGION, to=("docx",), languages=("zh",), template=out.getvalue())
    text = [p.text for p in docx.Document(io.BytesIO(made["report-zh.docx"])).paragraphs]
    at = [next(n for n, t in enumerate(text) if t == w) for w in ("资金", "资金筹措", "局限", "风险、局限与数据缺口", "完")]  # fmt: skip
    assert at == sorted(at)
    assert text[0].startswith("某某县民政局  示例县基本养老服务设施布局方案")


@pytest.mark.parametrize(
    "tag",
    ["没有正文", "{{ budget }}{{ body }}", "{{ ''.__class__.__mro__ }}{{ body }}", "{{ body "],
)
def test_a_template_that_cannot_be_filled_is_refused(tag):
    page = docx.Document()
    page.add_paragraph(tag)
    out = io.BytesIO()
    page.save(out)
    with pytest.raises(InputRefused, match="template-refused"):
        documents([RUN], region=REGION, to=("docx",), languages=("zh",), template=out.getvalue())


def test_a_file_that_is_no_word_document_is_refused():
    with pytest.raises(InputRefused, match="template-refused"):
        documents([RUN], region=REGION, to=("docx",), languages=("zh",), template=b"no zip")


def test_a_font_that_is_not_there_is_asked_for_by_name():
    with pytest.raises(InputRefused, match="No Such Font"):
        documents([RUN], region=REGION, to=("pdf",), languages=("zh",), font="No Such Font")


def test_an_unknown_format_or_language_is_refused():
    for wrong in ({"to": ("odt",)}, {"languages": ("fr",)}, {"languages": ()}):
        with pytest.raises(ValueError, match="unknown format or language"):
            documents([RUN], region=REGION, **wrong)


def _placed(seed):
    spec = scenario().model_copy(update={"name": f"best-mix-{seed:02d}", "placement": seed})
    return made_run(REGION, spec, seed=seed)


def test_runs_over_placements_show_their_spread_and_are_no_alternatives():
    runs = [_placed(seed) for seed in range(1, 6)]
    document = compose([*runs, OTHER], region=REGION)
    assert [len(g) for g in repeats([*runs, OTHER])] == [5, 1]
    assert [r.scenario.name for r in alternatives_of([*runs, OTHER])] == ["best-mix-01", "remote-home"]  # fmt: skip
    scoreboard = document.tables["scoreboard"]
    assert [c.id for c in scoreboard.columns[3:]] == ["best-mix-01", "remote-home"]
    row = next(r for r in document.tables["spread"].rows if r[0].zh == "日间照料需求满足率")
    values = [
        float(t["value"].iloc[0])
        for r in runs
        for t in [r.tables["indicators"].query("indicator == 'day_met' and year == 2035")]
    ]
    assert [c.value for c in row[3:]] == pytest.approx(
        [5, min(values), pd.Series(values).median(), max(values)]
    )
    assert "spread" in document.figures


def test_a_single_placement_claims_no_spread():
    document = _both()
    assert "spread" not in document.tables and "spread" not in document.figures


def test_measures_that_most_plans_share_are_listed_and_those_of_all_are_marked():
    other = dataclasses.replace(OTHER, tables={**OTHER.tables, "projects": RUN.tables["projects"].iloc[:1]})  # fmt: skip
    table = compose([RUN, other], region=REGION).tables["no-regret"]
    assert [row[2].value for row in table.rows].count(2) == 1
    assert table.flagged == {0}
    assert table.rows[0][3].value == 1.0
    assert "no-regret" not in _alone().tables


def test_every_site_of_the_case_says_why_it_was_chosen_or_not():
    table = _both().tables["siting"]
    assert len(table.rows) == len(REGION.sites)
    assert all(len(row[-1].zh) > 4 and len(row[-1].en) > 8 for row in table.rows)


def test_screening_that_says_no_rules_a_site_out_in_words():
    sites = REGION.sites.assign(zoning="否")
    region = dataclasses.replace(REGION, sites=sites)
    table = compose([RUN], region=region).tables["siting"]
    idle = [r for r in table.rows if "不得选用" in r[-1].zh]
    assert idle and all(r[4].zh == "核查为否：三区三线" for r in table.rows)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_column_on_paper_is_as_wide_as_its_longest_word(language):
    """At a text size that is legible; only hostile words longer than a column are broken."""
    for table in _both().tables.values():
        made = laid_out(table, language, room=470, wide_room=717, sizes=(8.4, 7.8, 7.2))
        assert 7 <= made.size <= 8.4
        assert made.size * sum(made.widths) <= (717 if made.is_wide else 470) * (1 + 1e-9)
        for n, width in enumerate(made.widths):
            texts = [table.columns[n].heading, *(written(r[n]) for r in table.rows)]
            words = [
                w
                for t in texts
                for w in re.split(r"[\s-]|(?<=[\u2e80-\uffff])", t.in_language(language))
            ]
            for word in words:
                if len(word) <= 14:
                    assert 0.5 * len(word) <= width, (table.id, n, word)


def test_the_name_of_a_service_is_not_broken_in_a_narrow_column():
    columns = tuple(
        Column(str(n), Text("可及水平（两步移动搜索），现状", "Access")) for n in range(12)
    )
    row = (Text("居家上门服务", "Home visits"), *(Quantity(1234.5, "decimal") for _ in range(11)))
    table = Table("t", Text("表", "Table"), columns, (row,) * 3)
    made = laid_out(table, "zh", room=470, wide_room=717, sizes=(8.4, 7.8, 7.2))
    assert made.widths[0] >= 6.9


def test_a_long_word_may_be_broken_and_a_date_or_name_is_left_whole():
    assert broken("x" * 40).replace("\u200b", "") == "x" * 40 and "\u200b" in broken("x" * 40)
    for text in (
        "2021-12-30",
        "GB 50180-2018",
        "示例设施01 unconfirmed",
        "public-built, private-run",
    ):
        assert broken(text) == text


def test_codes_of_single_villages_are_left_out_of_a_report():
    found = Finding(
        Rank.WARNING, "places-out-of-reach", Where(id="elderly.day"),
        Text(f"日间照料:3 个村无任何地点可达。{NEAREST.zh}450225103201 → S01 (324 min)。", f"Day care: 3 places reach no site. {NEAREST.en} 450225103201 → S01 (324 min)."),
        Text("可增设备选地点。", "Add candidate sites."),
    )  # fmt: skip
    run = dataclasses.replace(OTHER, findings=(*OTHER.findings, found))
    page = documents([run], region=REGION, to=("html",))["report.html"].decode()
    assert "450225103201" not in page
    assert (
        "无任何地点可达。可增设备选地点。" in page and "reach no site. Add candidate sites." in page
    )


def test_capital_and_running_money_are_summed_apart():
    rows = RUN.tables["payers"]
    running = rows.assign(pool="running", yuan=rows["yuan"] * 2)
    run = dataclasses.replace(OTHER, tables={**OTHER.tables, "payers": pd.concat([rows, running])})
    tables = compose([run], region=REGION).tables
    for pool, id in (("capital", "payers"), ("running", "payers-running")):
        sums = (rows if pool == "capital" else running).groupby("year")["yuan"].sum()
        assert [c.value for c in tables[id].total[1:]] == pytest.approx(list(sums))
        assert len(tables[id].rows) == rows["payer"].nunique()


def test_a_report_of_one_plan_counts_no_plans():
    single, both = _alone().tables["siting"], _both().tables["siting"]
    assert "chosen" in [c.id for c in both.columns]
    assert "chosen" not in [c.id for c in single.columns] and not single.note.zh


def test_the_gap_of_today_is_need_less_what_is_served():
    table = _alone().tables["gap-today"]
    needs = RUN.tables["needs"]
    needs = needs[needs["year"] == 2025]
    for row, service in zip(table.rows, OTHER.scenario.services, strict=False):
        mine = needs[needs["service"] == service]
        numbers = [c.value if isinstance(c, Quantity) else None for c in row[1:4]]
        if None not in numbers:
            assert numbers == pytest.approx([mine[c].sum() for c in ("need", "served", "unmet")])
            assert row[5].value == pytest.approx(numbers[1] / numbers[0])
    assert len(table.rows) == needs["service"].nunique()


def test_of_many_plans_eight_stand_side_by_side_told_apart_by_name():
    runs = [made_run(REGION, scenario(f"mix-{n:02d}", ("组合", "Mix")), seed=n) for n in range(20)]
    for n, run in enumerate(runs):
        spec = run.scenario.model_copy(update={"discount_rate": 0.01 * n})
        runs[n] = dataclasses.replace(run, scenario=spec)
    columns = compose(runs, region=REGION).tables["scoreboard"].columns[3:]
    assert next(c.id for c in columns) == "mix-00" and [c.id for c in columns][-1] == "mix-19"
    assert len(columns) == 8 and len({c.title for c in columns}) == 8
    seven = compose(runs[:7], region=REGION).tables["scoreboard"].columns[3:]
    assert [c.id for c in seven] == [f"mix-{n:02d}" for n in range(7)]
    assert columns[0].title == Text("组合（mix-00）", "Mix (mix-00)")
