"""Build the Porto Alegre case: schools and clinics on true street distances, outside the repository.

    python scenarios/porto-alegre/build.py FOLDER [--data FOLDER] [--within-km 6]

Reads ``network/`` of the validation data (``ALLOCATOR_VALIDATION_DATA``, else ``../shared/data``
beside the repository): an OpenStreetMap extract and a grid of people, schools and health
facilities. Counted: people and facilities a cell, streets. Modelled: distances on the streets
for walkers. Synthetic: the grouping of cells into districts, the candidate sites. Ages, capacities
and costs are not in the extract; what reads the case fills them with marked defaults.

The streets are under ODbL 1.0: whatever is made of them names the OpenStreetMap contributors, and
nothing of this folder belongs in the repository.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from allocator.io.network_files import read_osm, read_speeds
from allocator.travel import network_arcs

ROOT = Path(__file__).resolve().parents[2]
YEAR = 2020
CREDIT = (
    "Streets: © OpenStreetMap contributors, Open Database License (ODbL) 1.0, "
    "https://www.openstreetmap.org/copyright. People, schools and health facilities: "
    "ipeaGIT/r5r, example data of Porto Alegre (MIT)."
)


def build(data: Path, folder: Path, *, within_km: float = 6.0, candidates: int = 100) -> None:
    """Write the case into ``folder``.

    Parameters
    ----------
    data
        Folder with ``poa_osm.pbf`` and ``poa_hexgrid.csv``.
    folder
        New or empty, outside the repository.
    within_km
        Longest way on the streets that the distance table lists.
    candidates
        Most populous cells without a school that become candidate sites; clinics likewise.
    """
    folder = folder.resolve()
    if folder.is_relative_to(ROOT):
        raise SystemExit(
            "The case is under ODbL and stays outside the repository: choose another folder."
        )
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder.name} is not empty.")
    cells = pd.read_csv(data / "poa_hexgrid.csv", dtype={"id": str})
    cells = cells[cells["population"] > 0].sort_values("id").reset_index(drop=True)
    folder.mkdir(parents=True, exist_ok=True)
    cells["district"] = districts(cells)
    _write(folder, "townships", townships(cells))
    _write(folder, "areas", areas(cells))
    every = pd.read_csv(data / "poa_hexgrid.csv", dtype={"id": str}).sort_values("id")
    every["district"] = districts(every)
    places = sites(every, candidates)
    _write(folder, "sites", places)
    table = distances(data / "poa_osm.pbf", cells, places, within_km)
    _write(folder, "distances", table)
    (folder / "ATTRIBUTION.txt").write_text(CREDIT + "\n", encoding="utf-8")
    (folder / "case.yaml").write_text(
        CASE.format(people=int(cells["population"].sum())), encoding="utf-8"
    )
    print(f"{len(cells)} cells, {len(places)} sites, {len(table)} pairs within {within_km:g} km")


def districts(cells: pd.DataFrame) -> pd.Series:
    """Return a synthetic district of each cell: blocks of 0.05 degree, numbered from the north."""
    row = np.floor(-(cells["lat"] + 29.9) / 0.05).astype(int)
    column = np.floor((cells["lon"] + 51.3) / 0.05).astype(int)
    return "4314902" + row.map("{:02d}".format) + column.map("{:02d}".format)


def townships(cells: pd.DataFrame) -> pd.DataFrame:
    """Return a row a district."""
    people = cells.groupby("district")["population"].sum()
    return pd.DataFrame(
        {
            "township_id": people.index,
            "name_zh": "模拟片区" + people.index.str[-4:],
            "name_en": "Synthetic district " + people.index.str[-4:],
            "population": people.to_numpy(),
            "year": YEAR,
            "area_class": "county-town",
            "mark": "synthetic",
        }
    )


def areas(cells: pd.DataFrame) -> pd.DataFrame:
    """Return a row a populated cell."""
    return pd.DataFrame(
        {
            "area_id": cells["id"],
            "township_id": cells["district"],
            "area_class": "county-town",
            "lon": cells["lon"].round(7),
            "lat": cells["lat"].round(7),
            "population": cells["population"],
            "mark": "counted",
        }
    )


def sites(cells: pd.DataFrame, candidates: int) -> pd.DataFrame:
    """Return cells with schools or health facilities today, and populous cells without."""
    found = []
    kinds = (("schools", "E", "primary-school"), ("healthcare", "C", "village-clinic"))
    known = set(cells.loc[cells["population"] > 0, "district"])
    cells = cells[cells["district"].isin(known)]
    for column, letter, kind in kinds:
        today = cells[cells[column] > 0].assign(today=kind, mark="counted")
        free = cells[cells[column] == 0].nlargest(candidates, ["population"])
        both = pd.concat([today, free.assign(today="", mark="synthetic")]).sort_values("id")
        found.append(both.assign(site_id=[f"{letter}{n:03d}" for n in range(1, len(both) + 1)]))
    rows = pd.concat(found)
    word = np.where(rows["site_id"].str[0] == "E", "School", "Health")
    return pd.DataFrame(
        {
            "site_id": rows["site_id"],
            "name_en": pd.Series(word, index=rows.index) + " site " + rows["site_id"],
            "township_id": rows["district"],
            "area_class": "county-town",
            "lon": rows["lon"].round(7),
            "lat": rows["lat"].round(7),
            "today": rows["today"],
            "mark": rows["mark"],
        }
    )


def distances(
    extract: Path, cells: pd.DataFrame, places: pd.DataFrame, within_km: float
) -> pd.DataFrame:
    """Return km on the streets a walker may use, from every cell to the sites in reach."""
    speeds = read_speeds()
    walk = speeds.kmh("walk")
    network = read_osm(extract, mode="walk", speeds=speeds, spacing_km=0.05).largest_part()
    arcs = network_arcs(
        network, cells[["lon", "lat"]].to_numpy(), places[["lon", "lat"]].to_numpy(),
        within_minutes=within_km / walk * 60, walk_kmh=walk,
    )  # fmt: skip
    unreached = len(cells) - len(np.unique(arcs.origin))
    if unreached:
        print(f"{unreached} cells reach no site within {within_km:g} km", file=sys.stderr)
    return pd.DataFrame(
        {
            "from_id": cells["id"].to_numpy()[arcs.origin],
            "to_id": places["site_id"].to_numpy()[arcs.destination],
            "road_km": arcs.km.round(3),
            "mark": "modelled",
        }
    )


def _write(folder: Path, name: str, table: pd.DataFrame) -> None:
    table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n", encoding="utf-8")


CASE = """\
id: "4314902"
title: {{zh: 阿雷格里港(真实路网), en: Porto Alegre (real streets)}}
crs: EPSG:4326
base_year: 2020
declared_population: {people}
travel:
  method: road-table
  detour: 1.4
  speed_kmh: {{walk: 3.6, older-walk: 2.7, bus: 18, car: 25, team: 20}}
  access_minutes: {{walk: 0, older-walk: 0, bus: 5, car: 2, team: 5}}
catalogue: shipped
disclaimer:
  zh: 演示数据:片区、备选点为模拟,年份为假定,不得作为决策依据;道路 © OpenStreetMap 贡献者(ODbL)
  en: "Demonstration data: districts and candidate sites are synthetic, the year is assumed; not for decisions. Streets © OpenStreetMap contributors (ODbL)"
map_footer:
  zh: 示意图;© OpenStreetMap 贡献者(ODbL)
  en: Sketch map; © OpenStreetMap contributors (ODbL)
sources:
  - file: distances.csv
    what: Street distances for walkers (modelled)
    source: OpenStreetMap extract of Porto Alegre, by way of ipeaGIT/r5r
    licence: ODbL 1.0
  - file: areas.csv
    what: "People by hexagonal cell (counted; the source states no year, 2020 is assumed)"
    source: ipeaGIT/r5r, poa_hexgrid.csv
    licence: MIT
  - file: sites.csv
    what: "Cells with schools or health facilities (counted); candidates are synthetic"
    source: ipeaGIT/r5r, poa_hexgrid.csv
    licence: MIT
  - file: townships.csv
    what: Districts, blocks of 0.05 degree (synthetic)
    source: this script
    licence: as the project
"""


def main() -> None:
    """Read the arguments and build."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("folder", type=Path)
    staged = os.environ.get("ALLOCATOR_VALIDATION_DATA", str(ROOT.parent / "shared" / "data"))
    ask.add_argument("--data", type=Path, default=Path(staged) / "network")
    ask.add_argument("--within-km", type=float, default=6.0)
    given = ask.parse_args()
    if not (given.data / "poa_osm.pbf").is_file():
        raise SystemExit("The validation data is not here: set ALLOCATOR_VALIDATION_DATA.")
    build(given.data, given.folder, within_km=given.within_km)


if __name__ == "__main__":
    main()
