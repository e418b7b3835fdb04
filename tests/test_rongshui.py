"""The shipped demonstration case: its tables, its catalogue, its scenarios, and its generator."""

from __future__ import annotations

import importlib.util
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML
from shapely import contains_xy
from shapely.geometry import shape

from allocator.scenario import Scenario, merged
from allocator.schema import SCHEMAS, Schema

ROOT = Path(__file__).resolve().parents[1]
CASE = ROOT / "data" / "rongshui"
CATALOGUE = ROOT / "data" / "catalogue"
SCENARIOS = ROOT / "scenarios" / "rongshui"
PUBLISHED_TOTAL = 412_445
GRADES = ("mild", "moderate", "severe", "destitute")
MODES = {"build", "convert", "extend", "purchase", "entrust", "mobile", "close", "merge"}
BARE = {"absent", "idle-school", "vacant-building", "leased"}
EQUAL_MONEY = ("remote-home", "county-centre", "embedded-first", "best-mix")


@cache
def table(name: str) -> pd.DataFrame:
    """A table of the case with numbers where its schema says so, text elsewhere."""
    schema = SCHEMAS[name]
    text = {c.name: str for c in schema.columns if c.kind in ("id", "text", "choice")}
    return pd.read_csv(CASE / f"{name}.csv", dtype=text, keep_default_na=False, na_values=[""])


@cache
def catalogue(name: str) -> pd.DataFrame:
    return pd.read_csv(CATALOGUE / f"{name}.csv", keep_default_na=False)


def listed(text: str) -> list[str]:
    return [part for part in text.split("|") if part]


def loaded(path: Path) -> dict[str, Any]:
    data = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    assert isinstance(data, dict)
    return data


def scenario(name: str) -> dict[str, Any]:
    """A scenario file laid over what it extends."""
    data = loaded(SCENARIOS / f"{name}.yaml")
    if "extends" not in data:
        return data
    base = scenario(data["extends"])
    own = ("name", "title", "note", "abstract")
    return merged({k: v for k, v in base.items() if k not in own}, data)


def faults(frame: pd.DataFrame, schema: Schema) -> list[str]:
    """Every way in which a table departs from its schema."""
    found = [f"unknown column {c}" for c in frame.columns if c not in schema.headers]
    for column in schema.columns:
        if column.name not in frame:
            if column.required:
                found.append(f"missing column {column.name}")
            continue
        values = frame[column.name]
        if column.required and values.isna().any():
            found.append(f"{column.name}: blank cells")
        if column.kind in ("integer", "number", "share", "year"):
            number = pd.to_numeric(values.dropna())
            if column.kind in ("integer", "year") and (number % 1 != 0).any():
                found.append(f"{column.name}: not whole")
            if column.minimum is not None and (number < column.minimum).any():
                found.append(f"{column.name}: below {column.minimum}")
            if column.maximum is not None and (number > column.maximum).any():
                found.append(f"{column.name}: above {column.maximum}")
        if column.choices:
            odd = set(values.dropna()) - set(column.choices)
            found += [f"{column.name}: {v!r} is no choice" for v in sorted(odd)]
    if frame.duplicated(list(schema.key)).any():
        found.append(f"rows not unique by {schema.key}")
    return found


@pytest.mark.parametrize(
    "name", ["townships", "areas", "sites", "population", "homes", "placements"]
)
def test_every_table_keeps_its_schema(name: str) -> None:
    assert faults(table(name), SCHEMAS[name]) == []


def test_townships_sum_to_the_published_county_total() -> None:
    towns = table("townships")
    assert len(towns) == 20
    assert int(towns["population"].sum()) == PUBLISHED_TOTAL
    assert int(loaded(CASE / "case.yaml")["declared_population"]) == PUBLISHED_TOTAL


def test_areas_sum_to_their_township_exactly() -> None:
    areas = table("areas")
    assert len(areas) == 209
    sums = areas.groupby("township_id")["population"].sum()
    published = table("townships").set_index("township_id")["population"]
    assert (sums.astype(int) == published.reindex(sums.index)).all()
    assert set(sums.index) == set(published.index)


def test_residents_by_age_sum_to_their_area() -> None:
    people = table("population")
    tenths = (people["persons"] * 10).round().astype(int)
    resident = tenths[people["track"] == "resident"].groupby(people["area_id"]).sum()
    stated = table("areas").set_index("area_id")["population"]
    assert (resident == (stated * 10).astype(int).reindex(resident.index)).all()
    assert set(people["area_id"]) == set(stated.index)


def test_every_area_has_every_age_of_both_sexes_and_tracks() -> None:
    cells = table("population").groupby("area_id").size()
    assert (cells == 2 * 2 * 21).all()


def test_registered_elders_of_the_roll_are_near_the_registered_track() -> None:
    people = table("population")
    first = people["age"].str.extract(r"^(\d+)")[0].astype(int)
    old = people[(people["track"] == "registered") & (first >= 60)]
    modelled = old.groupby("area_id")["persons"].sum()
    areas = table("areas").set_index("area_id")
    assert ((areas["registered_60"] / modelled).between(0.85, 1.15)).all()
    assert (areas["registered_80"] <= areas["registered_60"]).all()


def test_every_township_has_a_seat_and_only_the_county_town_has_communities() -> None:
    areas = table("areas")
    classes = areas.groupby("township_id")["area_class"].agg(lambda c: c.value_counts().to_dict())
    assert classes["450225100"]["county-town"] == 7
    assert all(
        c["township-seat"] == 1 and "county-town" not in c
        for town, c in classes.items()
        if town != "450225100"
    )


def test_codes_lead_somewhere() -> None:
    towns = set(table("townships")["township_id"])
    areas, sites, homes = table("areas"), table("sites"), table("homes")
    assert set(areas["township_id"]) <= towns
    assert (areas["area_id"].str[:9] == areas["township_id"]).all()
    assert set(sites["township_id"]) <= towns
    assert set(homes["site_id"]) == set(sites.loc[sites["today"].notna(), "site_id"])
    assert set(sites["today"].dropna()) <= set(catalogue("facility_types")["id"])
    assert set(table("placements")["point_id"]) == set(areas["area_id"]) | set(sites["site_id"])


def test_villages_have_no_names_and_facilities_are_called_examples() -> None:
    areas, sites = table("areas"), table("sites")
    assert areas["name_zh"].isna().all() and areas["name_en"].isna().all()
    assert sites["name_zh"].str.fullmatch(r"示例设施\d\d").all()


def test_homes_of_today_stand_half_empty_and_some_may_merge() -> None:
    homes = table("homes")
    assert (homes["residents"] <= homes["places"]).all()
    assert (homes["destitute_residents"] <= homes["residents"]).all()
    assert (homes["nursing_places"] <= homes["places"]).all()
    assert 0.40 < homes["residents"].sum() / homes["places"].sum() < 0.50
    small = homes[(homes["places"] < 40) & (homes["residents"] < 10)]
    assert len(small) >= 5


def test_every_point_of_every_placement_is_inside_the_outline() -> None:
    layer = json.loads((CASE / "outline.geojson").read_text("utf-8"))
    [feature] = layer["features"]
    assert feature["properties"]["licence"] == "MIT"
    outline = shape(feature["geometry"])
    assert outline.is_valid
    points = table("placements")
    assert contains_xy(outline, points["lon"], points["lat"]).all()
    assert set(points["seed"]) == set(range(1, 21))


def test_the_first_placement_is_where_areas_and_sites_stand() -> None:
    first = table("placements").query("seed == 1").set_index("point_id")[["lon", "lat"]]
    for name, key in (("areas", "area_id"), ("sites", "site_id")):
        here = table(name).set_index(key)[["lon", "lat"]]
        assert here.equals(first.loc[here.index].rename_axis(key))


def test_the_county_town_stands_at_the_seat_in_every_placement() -> None:
    lon, lat = loaded(CASE / "case.yaml")["seat"]
    areas = table("areas")
    town = set(areas.loc[areas["area_class"] == "county-town", "area_id"])
    points = table("placements")
    here = points[points["point_id"].isin(town)]
    assert ((here["lon"] - lon).abs() < 0.02).all() and ((here["lat"] - lat).abs() < 0.02).all()


def test_the_disclaimer_is_the_agreed_sentence() -> None:
    case = loaded(CASE / "case.yaml")
    assert case["disclaimer"]["zh"] == (
        "演示数据:除人口总数、行政区划名称外均为模拟,不反映融水苗族自治县实际,不得作为决策依据"
    )
    assert case["map_footer"]["zh"] == "示意图,未经地图审核,不得公开;界线不作划界依据"


def test_the_generator_makes_the_same_bytes(tmp_path: Path) -> None:
    given = os.environ.get("ALLOCATOR_VALIDATION_DATA")
    source = Path(given) if given else ROOT.parent / "shared" / "data"
    if not (source / "census" / "township_population_2020.csv").exists():
        pytest.skip("no validation data: set ALLOCATOR_VALIDATION_DATA")
    spec = importlib.util.spec_from_file_location("make_case", CASE / "make_case.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make(source, tmp_path)
    made = sorted(p.name for p in tmp_path.iterdir())
    assert len(made) == 7
    for name in made:
        assert (tmp_path / name).read_bytes() == (CASE / name).read_bytes(), name


# --- catalogue of facilities ----------------------------------------------------------------------


def test_offers_and_provisions_name_known_services_types_and_states() -> None:
    services = set(catalogue("services")["id"])
    types = set(catalogue("facility_types")["id"])
    offers, provisions = catalogue("offers"), catalogue("provisions")
    assert set(offers["service"]) <= services
    assert set(offers["type"]) == types
    assert set(provisions["type"]) <= types
    assert set(provisions["mode"]) <= MODES
    states = {s for cell in provisions["from_states"] for s in listed(cell)}
    assert states <= BARE | types
    assert offers["id"].is_unique
    assert (offers["id"] == offers["service"] + "/" + offers["type"]).all()


def test_every_travel_mode_of_an_offer_has_a_speed_in_the_case() -> None:
    assert set(catalogue("offers")["travel"]) <= set(
        loaded(CASE / "case.yaml")["travel"]["speed_kmh"]
    )


def test_no_one_served_brings_in_more_than_he_costs() -> None:
    offers = catalogue("offers")
    for grade in GRADES:
        income = offers[f"fee_yuan_month_{grade}"] + offers[f"insurance_yuan_month_{grade}"]
        assert (offers[f"running_yuan_person_year_{grade}"] >= 12 * income).all()


def test_conversion_costs_forty_to_sixty_per_cent_of_building() -> None:
    provisions = catalogue("provisions")
    for type_, rows in provisions.groupby("type"):
        build = rows.loc[rows["mode"] == "build", "capital_yuan_place"]
        convert = rows.loc[rows["mode"].isin(["convert", "entrust"]), "capital_yuan_place"]
        if (
            len(build)
            and len(convert)
            and str(type_) in ("embedded", "township-centre", "county-home", "county-care-centre")
        ):
            assert (convert / build.iloc[0]).between(0.35, 0.60).all(), type_
            assert build.between(90_000, 180_000).all(), type_


def test_every_figure_of_the_catalogue_is_marked_and_sourced() -> None:
    for name in ("facility_types", "offers", "provisions"):
        rows = catalogue(name)
        assert set(rows["mark"]) <= {"verified", "stated", "unconfirmed", "assumed", "synthetic"}
        assert (rows["source"].str.len() > 10).all()


def test_embedded_homes_are_for_the_county_town_only() -> None:
    types = catalogue("facility_types").set_index("id")
    assert types.loc["embedded", "area_classes"] == "county-town"
    assert types.loc["township-centre", "area_classes"] == "township-seat"


# --- scenarios ------------------------------------------------------------------------------------

SCENARIO_NAMES = tuple(sorted(p.stem for p in SCENARIOS.glob("*.yaml")))
STUDIES = tuple(sorted(SCENARIOS.glob("*/*.yaml")))


@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_every_scenario_parses_once_merged(name: str) -> None:
    parsed = Scenario.model_validate(scenario(name))
    assert parsed.name == name
    assert parsed.note is not None and parsed.note.zh and parsed.note.en
    assert parsed.abstract == (name == "base")


def test_four_scenarios_have_equal_money_and_staff() -> None:
    resources = [Scenario.model_validate(scenario(n)).resources for n in EQUAL_MONEY]
    assert all(r == resources[0] for r in resources)


@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_scenarios_name_known_sites_types_and_services(name: str) -> None:
    parsed = Scenario.model_validate(scenario(name))
    sites = set(table("sites")["site_id"])
    types = set(catalogue("facility_types")["id"])
    assert set(parsed.services) <= set(catalogue("services")["id"])
    assert set(parsed.options.types or ()) <= types
    for spec in (*parsed.options.force, *parsed.options.ban):
        assert spec.site in sites and (spec.type is None or spec.type in types)
    for forbidden in parsed.options.forbid:
        assert forbidden.type is None or forbidden.type in types


def test_a_forced_facility_may_stand_at_its_site_and_is_paid_for() -> None:
    sites = table("sites").set_index("site_id")
    types = catalogue("facility_types").set_index("id")
    provisions = catalogue("provisions")
    screens = [
        "zoning",
        "hazard",
        "flood",
        "land_use",
        "ownership",
        "structure",
        "fire_access",
        "consent",
    ]
    for name in SCENARIO_NAMES:
        parsed = Scenario.model_validate(scenario(name))
        for spec in parsed.options.force:
            site = sites.loc[spec.site]
            assert "否" not in set(site[screens])
            assert site["area_class"] in listed(str(types.loc[spec.type, "area_classes"]))
            assert pd.isna(site["today"]) and site["building"] == "none"
            ways = provisions[(provisions["type"] == spec.type) & (provisions["mode"] == "build")]
            [way] = ways.to_dict("records")
            cost = way["capital_yuan_fixed"] + way["capital_yuan_place"] * (spec.places or 0)
            assert cost <= parsed.resources["capital"].supply[2026]


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_every_study_names_known_scenarios_and_makes_valid_ones(path: Path) -> None:
    from allocator.design import Study, expand

    study = Study.model_validate(loaded(path))
    assert study.name == path.stem
    assert set(study.base) <= set(SCENARIO_NAMES) - {"base"}
    bases = {n: Scenario.model_validate(scenario(n)) for n in study.base}
    made = expand(study, bases)
    assert len(made) >= len(study.base)
    assert len({m.scenario.digest for m in made}) == len(made)


def test_the_placement_study_runs_twenty_placements_of_the_equal_money_scenarios() -> None:
    study = loaded(SCENARIOS / "studies" / "placements.yaml")
    assert tuple(study["base"]) == EQUAL_MONEY
    assert study["axes"]["placement"] == list(range(1, 21))
