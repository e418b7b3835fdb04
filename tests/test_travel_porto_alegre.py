"""The Porto Alegre case, built from the validation data where it is present."""

import os
import runpy
from pathlib import Path

import pandas as pd
import pytest

from allocator.schema import SCHEMAS
from allocator.travel import distance_km

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scenarios" / "porto-alegre" / "build.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("osmium")
    staged = os.environ.get("ALLOCATOR_VALIDATION_DATA", str(ROOT.parent / "shared" / "data"))
    data = Path(staged) / "network"
    if not (data / "poa_osm.pbf").is_file():
        pytest.skip("no Porto Alegre extract here (ALLOCATOR_VALIDATION_DATA)")
    made = tmp_path_factory.mktemp("porto-alegre")
    runpy.run_path(str(SCRIPT))["build"](data, made)
    return made


@pytest.mark.slow
def test_the_case_holds_declared_columns_and_ids_that_fit_together(folder):
    tables = {}
    for name in ("townships", "areas", "sites", "distances"):
        table = pd.read_csv(folder / f"{name}.csv", dtype=str)
        schema = SCHEMAS[name]
        assert set(table.columns) <= {c.name for c in schema.columns}
        assert not table.duplicated(list(schema.key)).any()
        tables[name] = table
    towns = set(tables["townships"]["township_id"])
    assert set(tables["areas"]["township_id"]) == towns >= set(tables["sites"]["township_id"])
    assert set(tables["distances"]["from_id"]) <= set(tables["areas"]["area_id"])
    assert set(tables["distances"]["to_id"]) <= set(tables["sites"]["site_id"])
    people = tables["areas"]["population"].astype(float).sum()
    assert people == tables["townships"]["population"].astype(float).sum() == 812_935
    today = tables["sites"]["today"].value_counts()
    assert (today["primary-school"], today["village-clinic"]) == (177, 117)


@pytest.mark.slow
def test_ways_on_the_streets_are_longer_than_straight_lines_but_not_absurdly(folder):
    at = {}
    for name, key in (("areas", "area_id"), ("sites", "site_id")):
        table = pd.read_csv(folder / f"{name}.csv", dtype={key: str}).set_index(key)
        at[name] = table[["lon", "lat"]]
    pairs = pd.read_csv(folder / "distances.csv", dtype={"from_id": str, "to_id": str})
    straight = distance_km(
        at["areas"].loc[pairs["from_id"]], at["sites"].loc[pairs["to_id"]], "EPSG:4326"
    )
    assert (pairs["road_km"] >= straight - 0.001).all()
    far = straight > 1
    assert 1.1 < (pairs["road_km"] / straight)[far].median() < 1.6


@pytest.mark.slow
def test_the_case_names_its_sources_and_is_never_built_inside_the_repository(folder):
    assert "OpenStreetMap contributors" in (folder / "ATTRIBUTION.txt").read_text("utf-8")
    assert "ODbL" in (folder / "case.yaml").read_text("utf-8")
    build = runpy.run_path(str(SCRIPT))["build"]
    with pytest.raises(SystemExit, match="outside the repository"):
        build(folder, ROOT / "data" / "porto-alegre")
