"""The synthetic inflow city has more residents than registered, and is what its script makes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from allocator.measures.money import phase_in_steps
from allocator.schema import SCHEMAS

CITY = Path(__file__).parents[1] / "data" / "inflow-city"
TABLES = ("townships", "areas", "population", "sites", "homes")
IDS = {"area_id": str, "township_id": str, "site_id": str}


@pytest.fixture(scope="module")
def city():
    return {n: pd.read_csv(CITY / f"{n}.csv", dtype=IDS, keep_default_na=False) for n in TABLES}


def test_the_script_makes_the_files_byte_by_byte(tmp_path):
    shutil.copy(CITY / "make_case.py", tmp_path)
    subprocess.run([sys.executable, str(tmp_path / "make_case.py")], check=True)
    for name in TABLES:
        assert (tmp_path / f"{name}.csv").read_bytes() == (CITY / f"{name}.csv").read_bytes()


def test_the_tables_have_the_declared_columns_and_unique_keys(city):
    for name in TABLES:
        schema = SCHEMAS[name]
        assert set(city[name]) <= {c.name for c in schema.columns}
        assert {c.name for c in schema.columns if c.required} <= set(city[name])
        assert not city[name].duplicated(list(schema.key)).any()
        assert (city[name]["mark"] == "synthetic").all()


def test_residents_outnumber_the_registered_and_areas_sum_to_townships(city):
    people = city["population"].groupby("track")["persons"].sum()
    assert people["registered"] < 0.7 * people["resident"]
    by = city["areas"].groupby("township_id")["population"].sum()
    assert (by == city["townships"].set_index("township_id")["population"]).all()
    assert by.sum() == 428_000 and len(city["areas"]) == 40
    assert people["resident"] == pytest.approx(428_000, rel=1e-4)


def test_the_resident_base_adds_places_in_the_city_and_takes_them_in_the_hills(city):
    old = city["population"]
    old = old[old["age"].str.extract(r"(\d+)")[0].astype(int) >= 60]
    town = city["areas"].set_index("area_id")["township_id"]
    people = old.assign(place=old["area_id"].map(town))
    steps = phase_in_steps(
        people, {2025: 1.0}, units_per_person=0.04, yuan_per_unit_year=26_000.0, local={"county": 1.0}
    ).set_index("place")  # fmt: skip
    assert steps["units_change"].sum() > 0
    assert steps.loc["900001102", "units_change"] > 0 > steps.loc["900001105", "units_change"]
