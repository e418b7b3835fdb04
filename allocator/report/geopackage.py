"""The plan as a GeoPackage: layers with their styles inside, and the disclaimer with every layer."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from allocator.catalogue import Catalogue
from allocator.errors import Text
from allocator.region import Region
from allocator.report import bands
from allocator.report.cells import Quantity, clean, written
from allocator.report.maps import township_points
from allocator.report.tables import service_ids, townships
from allocator.report.typesetting import full_width
from allocator.report.words import Names
from allocator.run import Run

__all__ = ["write"]

WHEN = "2000-01-01T00:00:00.000Z"
_NOWHERE = {
    "today": Text("现有设施均不可达", "no facility in reach"),
    "planned": Text("规划设施均不可达", "no planned facility in reach"),
}


def write(
    run: Run,
    *,
    region: Region,
    catalogue: Catalogue | None = None,
    steps: Sequence[float] = bands.STEPS,
) -> bytes:
    """Return the bytes of a GeoPackage with layers isochrones, catchments, sites, areas, townships and county.

    Counts of people under five are left blank, as in the tables; areas are points without a name. Catchments
    and isochrones are those of today, and ``..._planned`` those of the facilities open at the end of the plan:
    who is nearest to which facility, by service.

    Raises
    ------
    InputRefused
        When a name holds a control character.
    """
    names = Names([run], catalogue)
    texts = run.tables["sites"]
    clean(("name_zh", str(v)) for v in texts["name_zh"].unique())
    layers = {
        "townships": _townships(run, names),
        "areas": _areas(run),
        "sites": _sites(run, names),
    }
    for when, ending in bands.WHEN.items():
        if (caught := _catchments(run, region, names, when)) is not None:
            layers = {f"catchments{ending}": caught, **layers}
        if (within := _isochrones(run, region, names, when, steps)) is not None:
            layers = {f"isochrones{ending}": within, **layers}
    if region.outline is not None and len(region.outline):
        layers = {"county": region.outline[["geometry"]].assign(name=region.title.zh), **layers}
    about = full_width(run.inputs["disclaimer"]["zh"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plan.gpkg")
        for name, frame in layers.items():
            frame = gpd.GeoDataFrame(frame, geometry="geometry", crs=region.crs)
            frame["disclaimer"] = about
            frame.to_file(path, layer=name, driver="GPKG")
        _finish(path, run, list(layers))
        return path.read_bytes()


def _points(table: pd.DataFrame) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(table["lon"], table["lat"]))


def _sites(run: Run, names: Names) -> gpd.GeoDataFrame:
    """One row a site: state today and at the end of each period, places, project number."""
    table = run.tables["sites"]
    years = sorted(set(table["year"]))
    use = run.tables["use"]
    first = table[table["year"] == years[0]].set_index("site_id")
    out = first[["name_zh", "name_en", "township_id", "area_class", "lon", "lat"]].copy()
    for year in years:
        here = table[table["year"] == year].set_index("site_id")
        out[f"type_{year}"] = [names.type(str(s)).zh for s in here["state"].reindex(out.index)]
        for service in service_ids(run):
            part = use[(use["year"] == year) & (use["service"] == service)]
            places = part.set_index("site_id")["places"].reindex(out.index).fillna(0.0)
            out[f"{service.split('.')[-1]}_{year}"] = places.to_numpy()
        if year > years[0]:
            out[f"capital_{year}"] = here["capital_yuan"].reindex(out.index).to_numpy()
    projects = run.tables["projects"].groupby("site_id")[["number"]].last()
    out["project"] = projects["number"].reindex(out.index).astype("Int64")
    end = years[-1]
    standing = out[[f"{s.split('.')[-1]}_{end}" for s in service_ids(run)]].sum(axis=1) > 0
    out["status"] = np.where(
        out["project"].notna(), np.where(standing, "changed", "closed"), np.where(standing, "kept", "candidate")
    )  # fmt: skip
    return _points(out.reset_index())


def _areas(run: Run) -> gpd.GeoDataFrame:
    """Unnamed points at the end of the plan; counts under five are blank."""
    table = run.tables["areas"]
    out = table[table["year"] == table["year"].max()].copy()
    out["people_60"] = out["people_60"].where(~out["people_60"].between(0.5, 4.99))
    return _points(out.reset_index(drop=True))


def _isochrones(
    run: Run, region: Region, names: Names, when: str, steps: Sequence[float]
) -> gpd.GeoDataFrame | None:
    """One area a service, facility and step: the cells of its own places within the minutes."""
    near = bands.near(run, when)
    if near is None:
        return None
    drawn = [
        bands.isochrones(part, region, steps).assign(service=service)
        for service, part in near.groupby("service")
    ]
    out = pd.concat(drawn, ignore_index=True)
    if out.empty:
        return None
    for language in ("zh", "en"):
        out[f"service_{language}"] = [getattr(names.service(s), language) for s in out["service"]]
        out[f"site_{language}"] = [getattr(names.site(i), language) for i in out["site_id"]]
    # The widest lies below, so that every step is seen.
    out = out.sort_values(["within_minutes", "service", "site_id"], ascending=[False, True, True])
    return gpd.GeoDataFrame(out.reset_index(drop=True), geometry="geometry")


def _catchments(run: Run, region: Region, names: Names, when: str) -> gpd.GeoDataFrame | None:
    """One area a service and facility: where it is the nearest; None without a point."""
    near = bands.near(run, when)
    if near is None:
        return None
    drawn = [
        bands.catchments(part, region).assign(service=service)
        for service, part in near.groupby("service")
    ]
    out = pd.concat(drawn)
    figures = run.tables["catchments" + bands.WHEN[when]].fillna({"site_id": ""})
    out = out.merge(figures, on=["service", "site_id"], how="left")
    out["people_60"] = out["people_60"].where(~out["people_60"].between(0.5, 4.99))
    words = [(names.service(s), names.site(i) if i else _NOWHERE[when]) for s, i in zip(out["service"], out["site_id"], strict=True)]  # fmt: skip
    for language in ("zh", "en"):
        out[f"service_{language}"] = [getattr(s, language) for s, _ in words]
        out[f"site_{language}"] = [getattr(i, language) for _, i in words]
    return gpd.GeoDataFrame(out, geometry="geometry")


def _townships(run: Run, names: Names) -> gpd.GeoDataFrame:
    """Townships at the mean of their points, with the figures of the published tables."""
    points = township_points(run)
    points["order"] = range(len(points))
    for service in service_ids(run):
        table = townships(run, service, names)
        short = service.split(".")[-1]
        ids = [c.id for c in table.columns]
        rows = {written(row[0]).zh: row for row in table.rows}
        for column in ("people_60", "need", "served", "unmet", "share"):
            label = column if column == "people_60" else f"{short}_{column}"
            cells = [rows[n][ids.index(column)] for n in points["name_zh"]]
            points[label] = [c.value if isinstance(c, Quantity) else np.nan for c in cells]
    return _points(points.drop(columns="order"))


def _finish(path: Path, run: Run, layers: list[str]) -> None:
    """Add styles, disclaimer and fixed dates, so that equal runs give equal files."""
    about = full_width(run.inputs["disclaimer"]["zh"]) + " " + run.inputs["disclaimer"]["en"]
    footer = full_width(run.inputs["map_footer"]["zh"]) + " " + run.inputs["map_footer"]["en"]
    with sqlite3.connect(path) as base:
        base.execute(
            "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT, f_table_catalog TEXT, f_table_schema TEXT,"
            " f_table_name TEXT, f_geometry_column TEXT, styleName TEXT, styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN,"
            " description TEXT, owner TEXT, ui TEXT, update_time DATETIME)"
        )
        base.execute("CREATE TABLE about (id INTEGER PRIMARY KEY, item TEXT, words TEXT)")
        facts = [
            ("disclaimer", about), ("map_footer", footer), ("scenario", run.scenario.name), ("run", run.id),
            ("catalogue", str(run.inputs["catalogue"])), ("gap", f"{run.measures['gap']:.6f}"),
        ]  # fmt: skip
        base.executemany("INSERT INTO about (item, words) VALUES (?, ?)", facts)
        for name in layers:
            row = ("", "", name, "geom", f"{name} ({about})", _style(name), "", 1, about, "", "", WHEN)  # fmt: skip
            base.execute(f"INSERT INTO layer_styles VALUES (NULL,{','.join('?' * 12)})", row)
        for name in ("layer_styles", "about"):
            base.execute(
                "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change) VALUES (?, 'attributes', ?, ?, ?)",
                (name, name, about, WHEN),
            )
        base.execute("UPDATE gpkg_contents SET last_change = ?, description = ?", (WHEN, f"{about} {footer}"))  # fmt: skip
    base.close()


_FILLS = {
    "county": ("246,244,238,255", "141,138,125,255"),
    "isochrones": ("47,120,179,60", "47,120,179,120"),
    "catchments": ("47,120,179,40", "47,120,179,255"),
    "isochrones_planned": ("184,80,15,50", "184,80,15,120"),
    "catchments_planned": ("184,80,15,30", "184,80,15,255"),
}


def _style(layer: str) -> str:
    """Return a QGIS style: marks told apart by shape as well as colour."""
    if layer in _FILLS:
        fill, line = _FILLS[layer]
        symbol = f'<symbol name="0" type="fill"><layer class="SimpleFill"><Option type="Map"><Option name="color" type="QString" value="{fill}"/><Option name="outline_color" type="QString" value="{line}"/></Option></layer></symbol>'
        return _qml(f'<renderer-v2 type="singleSymbol"><symbols>{symbol}</symbols></renderer-v2>')
    if layer == "townships":
        symbol = _marker("0", "circle", "255,255,255,0", 1.2)
        return _qml(f'<renderer-v2 type="singleSymbol"><symbols>{symbol}</symbols></renderer-v2>', label="name_zh")  # fmt: skip
    if layer == "areas":
        return _categories("reach_resident", [("1", "可达 in reach", "circle", "47,120,179,255", 1.8), ("0", "不可达 out of reach", "cross2", "184,80,15,255", 2.0)])  # fmt: skip
    return _categories(
        "status",
        [("changed", "新增或调整 new or changed", "diamond", "184,80,15,255", 4.0), ("kept", "保留 kept", "square", "47,120,179,255", 3.4),
         ("closed", "关停 closed", "cross2", "31,42,51,255", 3.4), ("candidate", "备选未用 candidate", "circle", "200,200,200,255", 1.6)],
    )  # fmt: skip


def _marker(name: str, shape: str, colour: str, size: float) -> str:
    return (
        f'<symbol name="{name}" type="marker"><layer class="SimpleMarker"><Option type="Map">'
        f'<Option name="name" type="QString" value="{shape}"/><Option name="color" type="QString" value="{colour}"/>'
        f'<Option name="outline_color" type="QString" value="70,70,70,255"/><Option name="size" type="QString" value="{size}"/>'
        "</Option></layer></symbol>"
    )


def _categories(field: str, entries: list[tuple[str, str, str, str, float]]) -> str:
    categories = "".join(
        f'<category value="{value}" label="{escape(label)}" symbol="{n}" render="true"/>'
        for n, (value, label, *_) in enumerate(entries)
    )
    symbols = "".join(_marker(str(n), shape, colour, size) for n, (_, _, shape, colour, size) in enumerate(entries))  # fmt: skip
    return _qml(
        f'<renderer-v2 type="categorizedSymbol" attr="{field}"><categories>{categories}</categories><symbols>{symbols}</symbols></renderer-v2>'
    )


def _qml(renderer: str, label: str = "") -> str:
    labelling = ""
    if label:
        labelling = f'<labeling type="simple"><settings><text-style fieldName="{label}" fontSize="9"/><placement placement="0"/></settings></labeling>'
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
    return f'{head}<qgis version="3.28" styleCategories="Symbology|Labeling" labelsEnabled="{int(bool(label))}">{renderer}{labelling}</qgis>'
