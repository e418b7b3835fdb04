"""Documents from stored runs: same numbers everywhere, nothing remote, names shown as text."""

import dataclasses
import io
import math
import re
import shutil
import sqlite3
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import pytest
from report_runs import DISCLAIMER, FOOTER, frame, made_run, scenario, sheet_title
from shapely.geometry import Point

from allocator.errors import InputRefused, Text
from allocator.journeys import catchments_of
from allocator.report import Note, html_report, layers, workbook
from allocator.report.cells import FEW, WITHHELD, Quantity, withhold, written
from allocator.report.chapters import compose
from allocator.report.document import Page, Table
from allocator.report.siting import _served_words
from allocator.report.typesetting import full_width
from allocator.report.words import Names
from allocator.run import Run

REGION = frame()
SAID, FOOT = full_width(DISCLAIMER["zh"]), full_width(FOOTER["zh"])
RUN = made_run(REGION)
OTHER = made_run(REGION, scenario("remote-home", ("远郊集中建设", "Remote home")), seed=8)
NOTE = Note(
    "willingness", Text("意愿曲线", "Willingness"), Text("放平后结果改变。", "A flatter curve changes it."),
    pd.DataFrame({"minutes": [0.0, 60.0], "share": [0.6, 0.2], "curve": ["原曲线", "原曲线"]}),
    {"curve": (Text("曲线", "Curve"), "text"), "minutes": (Text("分钟", "Minutes"), "minutes"), "share": (Text("比例", "Share"), "share")},
    ("minutes", "share", "curve"),
)  # fmt: skip


class _Page(HTMLParser):
    """Numbers by table, tags, and what the page would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[float]] = {}
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.now = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        if tag == "table":
            self.now = values["data-table"]
            self.tables[self.now] = []
        if "data-value" in values:
            self.tables[self.now].append(float(values["data-value"]))
        self.fetched += [
            v for k, v in attrs if k in ("src", "srcset") or (k == "href" and not v.startswith("#"))
        ]
        assert not any(k.startswith("on") for k, _ in attrs)


@pytest.fixture(scope="module")
def page():
    return html_report([RUN, OTHER], region=REGION, notes=[NOTE]).decode()


@pytest.fixture(scope="module")
def book():
    data = workbook([RUN, OTHER], region=REGION, notes=[NOTE])
    return openpyxl.load_workbook(io.BytesIO(data))


def test_the_page_fetches_nothing_and_runs_no_script(page):
    parsed = _Page(page)
    assert "script" not in parsed.tags
    assert parsed.fetched == []
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", page)


def test_page_and_workbook_carry_the_same_numbers(page, book):
    document = compose([RUN, OTHER], region=REGION, notes=[NOTE])
    numbers = {k: v for k, v in _Page(page).tables.items() if not k.startswith("page-")}
    assert set(numbers) == set(document.tables)
    sheets = {s["A1"].value: s for s in book.worksheets}
    for table in document.tables.values():
        cells = [c for row in (*table.rows, table.total) for c in row if isinstance(c, Quantity)]
        assert numbers[table.id] == pytest.approx([c.value for c in cells], nan_ok=True)
        sheet = sheets[sheet_title(table)]
        for r, row in enumerate(table.rows):
            for n, cell in enumerate(row):
                if isinstance(cell, Quantity) and cell.value == cell.value:
                    scale = 1e4 if cell.kind == "money" else 1
                    assert sheet.cell(r + 6, n + 1).value * scale == pytest.approx(cell.value)


def test_the_summary_names_the_targets_that_are_missed(page):
    for words in ("未达到的目标：日间照料覆盖不低于80%。", "Targets missed: Day care reaches 80%."):
        assert page.index(words) < page.index('data-table="objectives"')


def test_text_tables_and_layers_say_what_the_run_says(page, tmp_path):
    document = compose([RUN], region=REGION)
    indicators = RUN.tables["indicators"]
    capital = indicators[indicators["indicator"] == "investment"]["value"].sum()
    assert document.tables["projects"].total[9].value == pytest.approx(capital)
    paid = document.tables["payers"].total
    assert sum(c.value for c in paid[1:]) == pytest.approx(capital, abs=2)
    assert f">{written(Quantity(capital, 'money')).zh}<" in page
    path = tmp_path / "plan.gpkg"
    path.write_bytes(layers(RUN, region=REGION))
    sites = gpd.read_file(path, layer="sites")
    assert sites[["capital_2030", "capital_2035"]].to_numpy().sum() == pytest.approx(capital)
    beds = RUN.tables["use"].query("year == 2035 and service == 'elderly.resident'")["places"].sum()
    assert sites["resident_2035"].sum() == pytest.approx(beds)
    towns = gpd.read_file(path, layer="townships").set_index("name_zh")
    for row in document.tables["townships-resident"].rows:
        shown = towns.loc[row[0].zh, "resident_need"]
        assert (
            shown == pytest.approx(row[2].value) if isinstance(row[2], Quantity) else shown != shown
        )


def test_totals_of_the_project_list_are_live(book):
    sheet = book["项目库"]
    formulas = [
        c.value
        for row in sheet
        for c in row
        if isinstance(c.value, str) and c.value.startswith("=")
    ]
    assert len(formulas) == 4  # running money and workers are of their own period and do not add up
    assert all(re.fullmatch(r"=SUM\([A-Z]+6:[A-Z]+\d+\)", f) for f in formulas)


def test_every_sheet_layer_and_map_carries_disclaimer_or_footer(page, book, tmp_path):
    for sheet in book.worksheets:
        assert sheet["A2"].value == SAID
        assert sheet["A3"].value == DISCLAIMER["en"]
    maps = re.findall(r'<figure class="map".*?</figure>', page, re.S)
    assert len(maps) == 7
    for drawn in maps:
        text = "".join(re.findall(r'<text[^>]*class="zh"[^>]*>([^<]*)', drawn))
        assert FOOT in text and SAID in text
    pages = re.findall(r'<details class="sitepage".*?</details>', page, re.S)
    assert len(pages) == RUN.tables["projects"]["site_id"].nunique()
    assert all(FOOT in text and SAID in text for text in pages)
    path = tmp_path / "plan.gpkg"
    path.write_bytes(layers(RUN, region=REGION))
    base = sqlite3.connect(path)
    rows = base.execute("SELECT table_name, description FROM gpkg_contents").fetchall()
    styled = {r[0] for r in base.execute("SELECT f_table_name FROM layer_styles")}
    base.close()
    assert {"sites", "areas", "townships", "county"} <= {name for name, _ in rows}
    assert styled == {"sites", "areas", "townships", "county"}
    assert all(SAID in words for _, words in rows)


def test_catchments_of_today_are_areas_that_part_the_county_by_nearest_facility(tmp_path):
    points = RUN.tables["areas"].drop_duplicates("point")
    homes = REGION.sites["site_id"].iloc[:3].to_numpy()
    near = pd.DataFrame(
        {
            "service": "elderly.resident", "point": points["point"], "township_id": points["township_id"],
            "area_class": points["area_class"], "people_60": 2.0, "minutes": 10.0, "in_limit": True,
            "site_id": [*homes[np.arange(len(points) - 1) % 3], ""],
        }
    )  # fmt: skip
    run = made_run(REGION, nearest=near, catchments=catchments_of(near))
    path = tmp_path / "plan.gpkg"
    path.write_bytes(layers(run, region=REGION))
    areas = gpd.read_file(path, layer="catchments")
    assert set(areas["site_id"]) == {*homes, ""} and areas["places"].sum() == len(points)
    whole = REGION.outline.union_all()
    assert sum(g.area for g in areas.geometry) == pytest.approx(whole.area)
    assert areas.union_all().area == pytest.approx(whole.area)
    blank = areas[areas["site_id"] == ""]
    assert list(blank["site_en"]) == ["no facility in reach"] and blank["people_60"].isna().all()
    assert areas["people_60"].notna().sum() == 3 and (areas["disclaimer"] == SAID).all()
    assert set(areas["site_zh"]) > set(REGION.sites["name_zh"].iloc[:3])
    shapes = areas.set_index("site_id").geometry
    for site, lon, lat in zip(near["site_id"], points["lon"], points["lat"], strict=True):
        assert shapes[site].distance(Point(lon, lat)) < 1e-9
    base = sqlite3.connect(path)
    styled = {r[0] for r in base.execute("SELECT f_table_name FROM layer_styles")}
    base.close()
    assert "catchments" in styled


def _with_nearest(**tables) -> Run:
    points = RUN.tables["areas"].drop_duplicates("point")
    homes = REGION.sites["site_id"].iloc[:2].to_numpy()
    near = pd.DataFrame(
        {
            "service": "elderly.resident", "point": points["point"], "township_id": points["township_id"],
            "area_class": points["area_class"], "people_60": 9.0, "in_limit": True,
            "minutes": np.linspace(1, 90, len(points)), "site_id": homes[np.arange(len(points)) % 2],
        }
    )  # fmt: skip
    planned = near.assign(minutes=near["minutes"] / 3)
    return made_run(
        REGION, nearest=near, catchments=catchments_of(near), nearest_planned=planned,
        catchments_planned=catchments_of(planned), **tables,
    )  # fmt: skip


def test_isochrones_of_today_lie_in_one_another_and_hold_just_the_places_within_the_minutes(
    tmp_path,
):
    path = tmp_path / "plan.gpkg"
    run = _with_nearest()
    points, near = RUN.tables["areas"].drop_duplicates("point"), run.tables["nearest"]
    homes = sorted(set(near["site_id"]))
    path.write_bytes(layers(run, region=REGION))
    areas = (
        gpd.read_file(path, layer="isochrones").set_index(["site_id", "within_minutes"]).geometry
    )
    assert set(areas.index.get_level_values(1)) == {15, 30, 60}
    for site in homes:
        steps = [areas[site, m] for m in (15, 30, 60) if (site, m) in areas.index]
        assert all(b.buffer(1e-9).contains(a) for a, b in pairwise(steps))
    for minutes, site, lon, lat in zip(
        near["minutes"], near["site_id"], points["lon"], points["lat"], strict=True
    ):
        for limit in (15, 30, 60):
            held = (site, limit) in areas.index and areas[site, limit].distance(
                Point(lon, lat)
            ) < 1e-9
            assert held == (minutes <= limit)


def test_planned_sites_have_their_own_catchments_and_isochrones_in_the_steps_asked_for(tmp_path):
    path = tmp_path / "plan.gpkg"
    run = _with_nearest()
    path.write_bytes(layers(run, region=REGION, steps=(20, 10)))
    today, planned = (gpd.read_file(path, layer=f"isochrones{w}") for w in ("", "_planned"))
    assert set(planned["within_minutes"]) == {10, 20} == set(today["within_minutes"])
    points = RUN.tables["areas"].drop_duplicates("point")
    for areas, table in ((today, "nearest"), (planned, "nearest_planned")):
        whole = areas[areas["within_minutes"] == 20].union_all()
        for minutes, lon, lat in zip(
            run.tables[table]["minutes"], points["lon"], points["lat"], strict=True
        ):
            assert (whole.distance(Point(lon, lat)) < 1e-9) == (minutes <= 20)
    whole = REGION.outline.union_all().area
    parts = gpd.read_file(path, layer="catchments_planned").geometry
    assert sum(g.area for g in parts) == pytest.approx(whole)
    base = sqlite3.connect(path)
    styled = {r[0] for r in base.execute("SELECT f_table_name FROM layer_styles")}
    base.close()
    assert {"isochrones_planned", "catchments_planned"} <= styled


@pytest.mark.parametrize("steps", [(), (0,), (15, 15), (-1, 5), (2000,), range(1, 9), (math.nan,)])
def test_steps_that_cannot_be_are_refused(steps):
    with pytest.raises(ValueError, match="step"):
        layers(_with_nearest(), region=REGION, steps=steps)


def test_the_map_of_minutes_is_switched_without_a_script_and_told_apart_without_colour():
    html = html_report([_with_nearest()], region=REGION).decode()
    figure = html[html.index('id="f-bands"') :]
    figure = figure[: figure.index("</figure>")]
    parsed = _Page(html)
    assert "script" not in parsed.tags and 'href="http' not in figure
    assert figure.count('type="radio"') == 3 and figure.count(" checked>") == 1
    for words in (
        "规划期末",
        "现状",
        "不显示",
        "End of plan (2035)",
        "Today",
        "Minutes to the nearest",
    ):
        assert words in figure or words in html[html.index('id="f-bands"') - 300 :]
    groups = re.findall(r'<g class="l(\d)">(.*?)</g>', figure)
    assert [n for n, _ in groups] == ["1", "2"]
    for n, _ in groups:
        assert f"figure.layers>.l{n}:checked~svg .l{n}" in html
    for _, shapes in groups:
        bands = re.findall(r'<path d="[^"]*" fill="(#\w+)"[^>]*stroke-dasharray="([^"]+)"', shapes)
        light = [sum(int(fill[i : i + 2], 16) for i in (1, 3, 5)) for fill, _ in bands]
        dashes = [dash for _, dash in bands]
        assert light == sorted(light, reverse=True) and len(set(light)) == len(light) >= 2
        assert len(set(dashes)) == len(dashes)
    assert groups[0][1] != groups[1][1]


def test_where_no_place_has_a_point_there_is_no_map_of_minutes():
    assert 'id="f-bands"' not in html_report([RUN], region=REGION).decode()


def test_a_document_without_a_switch_shows_the_first_layer_and_says_which():
    drawing = compose([_with_nearest()], region=REGION).figures["bands"].drawing
    still = drawing.render(("en",))
    assert len(drawing.layers) == 2 and "<g " not in still
    assert "End of plan (2035)" in still and "Today" not in still
    assert "".join(drawing.layers[0].shapes) in still


def test_areas_of_the_map_have_no_name(tmp_path):
    path = tmp_path / "plan.gpkg"
    path.write_bytes(layers(RUN, region=REGION))
    areas = gpd.read_file(path, layer="areas")
    assert not {c for c in areas.columns if "name" in c or c == "area_id"}
    few = RUN.tables["areas"].query("year == 2035 and people_60 < 5")
    assert areas["people_60"].isna().sum() == len(few) > 0


def test_hostile_names_are_shown_as_text_and_never_as_formulas():
    names = ["=HYPERLINK(\"http://x\")", "+1", "<script>alert(1)</script>", '"><img src=x onerror=y>', "{{7*7}}", "\u202eabc"]  # fmt: skip
    sites, projects = RUN.tables["sites"].copy(), RUN.tables["projects"].copy()
    projects["name_zh"] = [names[n % len(names)] for n in range(len(projects))]
    run = made_run(REGION, sites=sites, projects=projects)
    html = html_report([run], region=REGION).decode()
    parsed = _Page(html)
    assert "script" not in parsed.tags and "img" not in parsed.tags
    assert "{{7*7}}" in html and "&lt;script&gt;" in html
    sheet = openpyxl.load_workbook(io.BytesIO(workbook([run], region=REGION)))["项目库"]
    cells = [sheet.cell(6 + n, 2) for n in range(len(projects))]
    assert {c.data_type for c in cells} == {"s"}
    assert [c.value.split("\n")[0] for c in cells] == list(projects["name_zh"])


def test_control_characters_are_refused_everywhere():
    projects = RUN.tables["projects"].copy()
    projects["name_zh"] = "坏\x00名"
    run = made_run(REGION, projects=projects)
    for make in (html_report, workbook):
        with pytest.raises(InputRefused, match="control-character"):
            make([run], region=REGION)
    sites = RUN.tables["sites"].assign(name_zh="坏\x07名")
    with pytest.raises(InputRefused, match="control-character"):
        layers(made_run(REGION, sites=sites), region=REGION)


def test_very_long_names_are_cut_on_maps_and_whole_in_tables():
    towns = RUN.tables["townships"].assign(name_zh="很长的乡镇名称" * 43)
    html = html_report([made_run(REGION, townships=towns)], region=REGION, language="zh").decode()
    assert "很长的乡镇名称" * 43 in html
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", html)
    assert max(len(t) for t in drawn) < 90


def test_one_language_leaves_the_other_out():
    zh = html_report([RUN], region=REGION, language="zh").decode()
    en = html_report([RUN], region=REGION, language="en").decode()
    assert "规划指标表" in zh and "Indicator table" not in zh
    assert "Indicator table" in en and "规划指标表" not in en


def test_the_word_optimal_never_stands_in_a_report(page):
    assert not re.search("optimal|最优", page, re.I)
    assert "求解精度" in page


def test_counts_under_five_are_withheld_and_cannot_be_summed_back():
    def people(*values):
        return [Quantity(v, "people") for v in values]

    rows = withhold([people(40, 38, 2), people(50, 20, 30), people(9, 5, 4.6)], [(0, 1, 2)])
    assert rows[0][2] == FEW and rows[0][1] == WITHHELD
    assert rows[2][2] == FEW and rows[2][1] == WITHHELD
    for n in (1, 2):
        assert sum(isinstance(r[n], str) for r in rows) != 1


def test_a_lone_withheld_cell_of_a_column_with_a_total_gets_a_second():
    rows = withhold([[Quantity(v, "people")] for v in (3, 8, 20)], [])
    assert [r[0] for r in rows[:2]] == [FEW, WITHHELD]
    assert rows[2][0].value == 20


def test_no_cell_under_five_reaches_page_sheet_or_chart():
    document = compose([RUN], region=REGION)
    pages = [b for c in document.chapters for b in c.blocks if isinstance(b, Page)]
    inner = [b for page in pages for b in page.blocks if isinstance(b, Table)]
    assert len(pages) == RUN.tables["projects"]["site_id"].nunique() and inner
    for table in (*document.tables.values(), *inner):
        for row in table.rows:
            for cell in row:
                if isinstance(cell, Quantity) and cell.kind == "people":
                    assert not 0 < cell.value < 5


def test_what_a_site_does_is_said_by_service_and_persons_and_visits_are_not_added_up():
    names = Names([RUN], None)
    names.units = {"elderly.home": Text("人次/月", "visits a month")}
    look = SimpleNamespace(run=RUN, names=names)

    def said(**users):
        rows = [(f"elderly.{s}", n) for s, n in users.items()]
        return _served_words(look, pd.DataFrame(rows, columns=["service", "assigned"]))

    both = said(resident=22.0, home=150.0)
    assert both.zh.endswith("机构照护 22 人、上门服务 150 人次/月") and "172" not in both.zh
    assert "home visits 150 visits a month" in both.en
    few = said(resident=22.0, day=3.0)
    assert "日间照料不足5人" in few.zh and "fewer than 5 persons" in few.en and "25" not in few.zh
    assert "没有服务对象" in said(day=0.0).zh


def test_tables_of_use_and_catchments_say_the_unit_of_each_row():
    document = compose([RUN], region=REGION)
    for id in ("use", "catchments"):
        table = document.tables[id]
        unit = [c.id for c in table.columns].index("unit")
        assert table.rows and all(row[unit].zh for row in table.rows)


def test_the_page_of_a_home_says_how_many_live_there_today():
    use = RUN.tables["use"].query(
        f"year == {RUN.scenario.base_year} and service == 'elderly.resident'"
    )
    pages = {p.id: p for c in compose([RUN], region=REGION).chapters for p in c.blocks if isinstance(p, Page)}  # fmt: skip
    homes = [h for h in use.itertuples() if f"site-{h.site_id}" in pages]
    assert homes
    for home in homes:
        (facts,) = [b for b in pages[f"site-{home.site_id}"].blocks if isinstance(b, Table) and b.id.endswith("facts")]  # fmt: skip
        rows = {r[0].zh: r[1].zh for r in facts.rows}
        assert rows["现状床位"] == f"{home.places:,.0f} 张"
        shown = "<5" if 0 < home.assigned < 5 else f"{home.assigned:,.0f}"
        assert rows["现状在住老人"] == f"{shown} 人"


def test_a_closed_site_has_no_rows_of_noughts_on_its_page():
    projects = RUN.tables["projects"].copy()
    projects.loc[0, ["mode", "places_resident", "places_day", "visits_home"]] = ["close", 0, 0, 0]
    run = dataclasses.replace(RUN, tables={**RUN.tables, "projects": projects})
    id = str(projects["site_id"][0])
    page = next(p for c in compose([run], region=REGION).chapters for p in c.blocks if isinstance(p, Page) and p.id == f"site-{id}")  # fmt: skip
    facts = next(b for b in page.blocks if isinstance(b, Table) and b.id.endswith("facts"))
    said = [r[0].zh for r in facts.rows]
    assert "做法" in said and "投资" not in said and "床位" not in said


def test_the_chapter_on_norms_cites_norms_and_the_annex_holds_defaults():
    table = _norms()
    run = dataclasses.replace(RUN, tables={**RUN.tables, "standards": table, "quality": table[:0]})
    found = compose([run], region=REGION).tables
    assert [r[0].zh for r in found["standards"].rows] == ["国标"]
    assert sorted(r[0].zh for r in found["standards-others"].rows) == ["外地", "缺省"]
    assert not any("学校" in str(r[0].zh) for t in ("standards", "standards-others") for r in found[t].rows)  # fmt: skip


def _norms():
    rows = [("国标", "national", "service"), ("缺省", "default", "service"), ("外地", "example", "service"), ("学校", "national", "")]  # fmt: skip
    same = {
        "value": 40.0, "unit_zh": "张", "unit_en": "bed", "group_zh": "老年人", "group_en": "elders", "basis": "GB 50437-2007",
        "valid_from": "2018-01-01", "valid_until": "", "mark": "verified",
    }  # fmt: skip
    return pd.DataFrame([{"title_zh": t, "title_en": t, "level": v, "used": u, **same} for t, v, u in rows])  # fmt: skip


def test_equal_runs_give_equal_bytes():
    again = made_run(REGION)
    assert html_report([RUN], region=REGION) == html_report([again], region=REGION)
    assert workbook([RUN], region=REGION) == workbook([again], region=REGION)
    assert layers(RUN, region=REGION) == layers(again, region=REGION)


def test_runs_of_different_cases_are_refused():
    other = dataclasses.replace(RUN, inputs={**RUN.inputs, "case": "other"})
    with pytest.raises(ValueError, match="different cases"):
        html_report([RUN, other], region=REGION)
    with pytest.raises(ValueError, match="nothing to report"):
        html_report([], region=REGION)


def test_a_region_without_outline_or_seat_still_has_its_maps():
    bare = dataclasses.replace(REGION, outline=None, seat=None)
    assert html_report([RUN], region=bare).decode().count('<figure class="map"') == 7


def _visit(html: str, folder: Path) -> tuple[set[str], str, int]:
    """Open a page; return what the page itself asked for, the browser's log, the picture's size."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed")
    file, log = folder / "report.html", folder / "net.json"
    file.write_text(html, encoding="utf-8")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}",
         "--enable-logging=stderr", "--v=0", f"--screenshot={folder / 'page.png'}", file.as_uri()],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    urls = re.findall(r'"url":"((?:https?|wss?)://[^"]+)"', log.read_text(encoding="utf-8"))
    own = re.compile(
        r"https?://([\w.-]+\.)?(google\.com|gvt1\.com|googleapis\.com)/"
    )  # the browser's
    asked = {url for url in urls if not own.match(url)}
    return asked, done.stderr, (folder / "page.png").stat().st_size


@pytest.mark.slow
def test_a_browser_requests_nothing_and_logs_no_error(page, tmp_path):
    asked, log, size = _visit(page, tmp_path)
    assert not asked
    assert ":CONSOLE" not in log
    assert size > 20_000


@pytest.mark.slow
def test_the_browser_check_sees_a_request_and_an_error(tmp_path):
    html = '<img src="http://127.0.0.1:9/x.png"><script>console.error("seen")</script>'
    asked, log, _ = _visit(html, tmp_path)
    assert asked == {"http://127.0.0.1:9/x.png"}
    assert ":CONSOLE" in log
