"""``travel`` of ``case.yaml``: which sources time journeys, and the files they lie in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from allocator.errors import Finding, InputRefused, Text, Where, nearest
from allocator.io.findings import data_gap, error, library_missing
from allocator.io.network_files import (
    MAX_BYTES,
    read_cover_surface,
    read_edge_tables,
    read_osm,
    read_road_layer,
    read_speeds,
    read_surface,
)
from allocator.io.paths import digest_of_file, inside, shipped
from allocator.travel.journeys import SOURCES, TravelSpec
from allocator.travel.modes import ANY, MODES
from allocator.travel.network import Network
from allocator.travel.surface import Surface

__all__ = ["TravelFile", "default_modes", "read_travel"]

Source = Literal["matrix", "network", "surface", "road-table", "straight-line"]
Kmh = Annotated[float, Field(gt=0, le=200)]
Made = TypeVar("Made")
ON_FOOT, OWN_PACE = ("walk",), ("walk", "bicycle")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NetworkFile(_Strict):
    """``travel.network``: one of ``osm``, ``layer``, or ``nodes`` with ``edges``.

    ``speeds`` are km/h by the words of ``way_column``, for vehicles; ``*`` is every other word.
    """

    osm: str | None = None
    layer: str | None = None
    nodes: str | None = None
    edges: str | None = None
    way_column: str = "way"
    speed_column: str | None = None
    oneway_column: str | None = None
    speeds: dict[str, Annotated[float, Field(ge=0, le=200)]] = Field(default_factory=dict)
    crs: str | None = None
    encoding: Literal["utf-8", "gb18030"] | None = None
    both_ways: bool = True
    spacing_km: float = Field(default=0.2, gt=0, le=5)


class SurfaceFile(_Strict):
    """``travel.surface``: speeds by mode as GeoTIFF, or a land cover with speeds by class.

    ``height`` makes walking depend on slope; ``barriers`` closes the cells that are not 0.
    """

    speed: dict[str, str] = Field(default_factory=dict)
    land_cover: str | None = None
    cover_speeds: str | None = None
    barriers: str | None = None
    height: str | None = None


class TravelFile(_Strict):
    """``travel`` of ``case.yaml``: see `TravelSpec`."""

    method: Source | tuple[Source, ...] | None = None
    detour: float = Field(default=1.4, ge=1, le=5)
    speed_kmh: dict[str, Kmh] = Field(default_factory=dict)
    access_minutes: dict[str, Annotated[float, Field(ge=0, le=600)]] = Field(default_factory=dict)
    both_ways: bool = True
    compose: bool = True
    snap_within_km: float = Field(default=2.0, gt=0, le=100)
    network: NetworkFile | None = None
    surface: SurfaceFile | None = None


def default_modes() -> pd.DataFrame:
    """Return the shipped modes of travel with their assumed speeds, indexed by mode."""
    path = shipped("data/travel") / "modes.csv"
    return pd.read_csv(path, encoding="utf-8").set_index("mode")


def read_travel(
    folder: Path,
    file: TravelFile,
    *,
    tables: Mapping[str, pd.DataFrame],
    modes: Sequence[str],
    crs: str,
) -> tuple[TravelSpec, dict[str, str], tuple[Finding, ...]]:
    """Return how the journeys of a case are timed, digests of the files read, and what was found.

    Parameters
    ----------
    tables
        ``distances`` and ``matrix`` of the case, where it has them.
    modes
        Modes of travel of the catalogue: each gets a speed, a network, a surface.
    crs
        System of node tables that declare none.
    """
    reader = _Reader(folder, file, default_modes(), crs)
    spec = TravelSpec(
        methods=_methods(file, tables, reader.found),
        detour=file.detour,
        speed_kmh=reader.speeds(modes),
        access_minutes=reader.access(modes),
        both_ways=file.both_ways,
        compose=file.compose,
        snap_within_km=file.snap_within_km,
        distances=tables.get("distances"),
        matrix=tables.get("matrix"),
    )
    spec = replace(spec, walk_kmh=spec.speed_kmh["walk"])
    if "network" in spec.methods:
        spec = replace(spec, networks=reader.networks(spec.speed_kmh))
    if "surface" in spec.methods:
        spec = replace(spec, surfaces=reader.surfaces(spec.speed_kmh))
    return spec, reader.digests, tuple(reader.found)


def _methods(
    file: TravelFile, tables: Mapping[str, pd.DataFrame], found: list[Finding]
) -> tuple[str, ...]:
    """Return the sources as stated, or all that are there; a stated one that is not is refused."""
    there = {
        "matrix": "matrix" in tables,
        "network": file.network is not None,
        "surface": file.surface is not None,
        "road-table": "distances" in tables,
        "straight-line": True,
    }
    if file.method is None:
        return tuple(s for s in SOURCES if there[s])
    stated = (file.method,) if isinstance(file.method, str) else tuple(dict.fromkeys(file.method))
    missing = [s for s in stated if not there[s]]
    for name in missing:
        found.append(
            error(
                "travel-source-missing",
                Where(file="case.yaml", column="travel.method"),
                (
                    f"出行方法写了 {name},但没有{_SOURCE_WORDS[name][0]}。",
                    f"The method of travel is {name} and there is no {_SOURCE_WORDS[name][1]}.",
                ),
                (
                    "请提供,或从 travel.method 中去掉。",
                    "Provide it, or take it out of travel.method.",
                ),
            )
        )
    return tuple(s for s in stated if s not in missing) or ("straight-line",)


_SOURCE_WORDS: Mapping[str, tuple[str, str]] = {
    "matrix": ("出行时间矩阵(matrix)", "table of travel times (matrix)"),
    "network": ("路网(travel.network)", "network (travel.network)"),
    "surface": ("阻力面(travel.surface)", "surface (travel.surface)"),
    "road-table": ("里程表(distances)", "distance table (distances)"),
}


@dataclass(eq=False)
class _Reader:
    """Files of one case's journeys, read mode by mode."""

    folder: Path
    file: TravelFile
    known: pd.DataFrame
    crs: str

    def __post_init__(self) -> None:
        self.found: list[Finding] = []
        self.digests: dict[str, str] = {}

    def path(self, name: str, column: str) -> Path:
        """Return a file of the folder, its digest noted."""
        path = inside(self.folder, name, Where(file="case.yaml", column=column))
        # Larger ones are refused where they are read.
        if path.is_file() and name not in self.digests and path.stat().st_size <= MAX_BYTES:
            self.digests[name] = digest_of_file(path)
        return path

    def speeds(self, modes: Sequence[str]) -> dict[str, float]:
        """Return the speed of every mode, shipped ones where the case declares none."""
        stated = self.file.speed_kmh
        every = sorted({*modes, "walk", "car", *stated})
        self._refuse_unknown_modes(modes)
        missing = [m for m in every if m not in stated and m in self.known.index]
        if missing:
            kmh = [f"{self.known.loc[m, 'speed_kmh']:g}" for m in missing]
            words = [MODES.get(m, Text(m, m)) for m in missing]
            zh = "、".join(f"{w.zh}{v}" for w, v in zip(words, kmh, strict=True))
            en = ", ".join(f"{w.en} {v}" for w, v in zip(words, kmh, strict=True))
            self.found.append(
                data_gap(
                    "speeds",
                    Where(file="case.yaml", column="travel.speed_kmh"),
                    ("没有本地出行速度。", "there are no local travel speeds."),
                    (
                        f"使用缺省速度(公里/时):{zh}。",
                        f"Default speeds stand in (km/h): {en}.",
                    ),
                )
            )
        for mode in set(every) - set(stated) - set(self.known.index):
            self.found.append(
                error(
                    "travel-speed-missing",
                    Where(file="case.yaml", column="travel.speed_kmh", id=mode),
                    (
                        f"目录中的出行方式 {mode} 没有速度。",
                        f"The catalogue's mode of travel {mode!r} has no speed.",
                    ),
                    ("请在 travel.speed_kmh 中写上。", "Write it in travel.speed_kmh."),
                )
            )
        return {m: float(stated.get(m, self._known(m, "speed_kmh", 1.0))) for m in every}

    def access(self, modes: Sequence[str]) -> dict[str, float]:
        """Return minutes added to a journey: as stated; shipped ones where the speed is shipped."""
        every = sorted({*modes, "walk", "car", *self.file.speed_kmh})
        return {
            m: float(
                self.file.access_minutes.get(
                    m,
                    0.0 if m in self.file.speed_kmh else self._known(m, "access_minutes", 0.0),
                )
            )
            for m in every
        }

    def _known(self, mode: str, column: str, default: float) -> float:
        return float(self.known.loc[mode, column]) if mode in self.known.index else default

    def _refuse_unknown_modes(self, modes: Sequence[str]) -> None:
        known = {*modes, *self.known.index}
        for key in ("speed_kmh", "access_minutes"):
            for mode in sorted(set(getattr(self.file, key)) - known):
                near = nearest(mode, known) or ", ".join(sorted(known))
                self.found.append(
                    error(
                        "travel-mode-unknown",
                        Where(file="case.yaml", column=f"travel.{key}", id=mode),
                        (f"未知的出行方式“{mode}”。", f"The mode of travel {mode!r} is unknown."),
                        (f"是否为“{near}”?", f"Did you mean {near!r}?"),
                    )
                )

    def networks(self, speeds: Mapping[str, float]) -> dict[str, Network]:
        """Return the network of each mode."""
        file = self.file.network
        assert file is not None
        given = [n for n in ("osm", "layer", "nodes") if getattr(file, n) is not None]
        if len(given) != 1 or (file.nodes is None) != (file.edges is None):
            self.found.append(
                error(
                    "network-files",
                    Where(file="case.yaml", column="travel.network"),
                    (
                        "路网应为 osm、layer、nodes 加 edges 三者之一。",
                        "A network is one of osm, layer, or nodes with edges.",
                    ),
                    ("请只写一种。", "Write one of them."),
                )
            )
            return {}
        build: Callable[[str, float], Network] = {
            "osm": self._osm, "layer": self._layer, "nodes": self._edges,
        }[given[0]]  # fmt: skip
        return self._each(speeds, build, f"travel.network.{given[0]}")

    def _each(
        self, speeds: Mapping[str, float], build: Callable[[str, float], Made], column: str
    ) -> dict[str, Made]:
        made: dict[str, Made] = {}
        for mode, kmh in sorted(speeds.items()):
            try:
                made[mode] = build(mode, kmh)
            except InputRefused as refused:
                self.found += [f for f in refused.findings if f not in self.found]
                break
            except ImportError as problem:
                self.found.append(
                    library_missing(problem.name or "", Where(file="case.yaml", column=column))
                )
                break
        return made

    def _street(self, mode: str) -> tuple[str, str]:
        """Return the mode and the class of people under which the table of speeds has a mode."""
        if mode not in self.known.index:
            return "car", "adult"
        row = self.known.loc[mode]
        return str(row["street_mode"]), str(row["population_class"])

    def _osm(self, mode: str, kmh: float) -> Network:
        file = self.file.network
        assert file is not None and file.osm is not None
        street, people = self._street(mode)
        table = read_speeds()
        network = read_osm(
            self.path(file.osm, "travel.network.osm"), mode=street, speeds=table,
            population_class=people, spacing_km=file.spacing_km,
        )  # fmt: skip
        network = network.largest_part()
        if street in OWN_PACE and mode in self.file.speed_kmh:
            return replace(network, minutes=network.minutes * table.kmh(street, people) / kmh)
        return network

    def _layer(self, mode: str, kmh: float) -> Network:
        file = self.file.network
        assert file is not None and file.layer is not None
        street, _ = self._street(mode)
        own_pace = street in OWN_PACE
        if own_pace:
            speeds: Mapping[str, float] = {ANY: kmh}
        else:
            speeds = file.speeds or {**read_speeds().of("car"), ANY: kmh}
        path = self.path(file.layer, "travel.network.layer")
        network = read_road_layer(
            path, speeds=speeds, way_column=file.way_column,
            speed_column=None if own_pace else file.speed_column,
            oneway_column=None if street in ON_FOOT else file.oneway_column,
            crs=file.crs, encoding=file.encoding, spacing_km=file.spacing_km,
        )  # fmt: skip
        return _capped(network, kmh) if street == "bus" else network

    def _edges(self, mode: str, kmh: float) -> Network:
        file = self.file.network
        assert file is not None and file.nodes is not None and file.edges is not None
        street, _ = self._street(mode)
        network = read_edge_tables(
            self.path(file.nodes, "travel.network.nodes"),
            self.path(file.edges, "travel.network.edges"),
            speed_kmh=kmh, crs=file.crs or self.crs, both_ways=file.both_ways or street in ON_FOOT,
            encoding=file.encoding or "utf-8",
        )  # fmt: skip
        if street in OWN_PACE:
            return replace(network, minutes=network.km / kmh * 60)
        return _capped(network, kmh) if street == "bus" else network

    def surfaces(self, speeds: Mapping[str, float]) -> dict[str, Surface]:
        """Return the surface of each mode."""
        return self._each(speeds, self._surface, "travel.surface")

    def _surface(self, mode: str, kmh: float) -> Surface:
        file = self.file.surface
        assert file is not None
        street, _ = self._street(mode)
        on_foot = street in ON_FOOT
        height = (
            self.path(file.height, "travel.surface.height") if file.height and on_foot else None
        )
        stand_in = "walk" if street in OWN_PACE else "car"
        if file.land_cover is not None and file.cover_speeds is not None:
            barriers = file.barriers
            return read_cover_surface(
                self.path(file.land_cover, "travel.surface.land_cover"),
                self.path(file.cover_speeds, "travel.surface.cover_speeds"),
                modes=(mode, stand_in),
                barriers=self.path(barriers, "travel.surface.barriers") if barriers else None,
                height=height,
            )
        name = file.speed.get(mode) or file.speed.get(stand_in)
        if name is None:
            raise InputRefused(
                (
                    error(
                        "surface-mode-missing",
                        Where(file="case.yaml", column="travel.surface.speed", id=mode),
                        (
                            f"出行方式 {mode} 没有速度栅格。",
                            f"There is no raster of speeds for the mode {mode}.",
                        ),
                        (
                            "请给出 walk 和 car 的栅格,或土地覆盖与分类速度。",
                            "Give rasters for walk and car, or a land cover with speeds by class.",
                        ),
                    ),
                )
            )
        surface = read_surface(self.path(name, "travel.surface.speed"), height)
        if mode not in file.speed and on_foot:
            ratio = kmh / self._known("walk", "speed_kmh", kmh)
            return replace(surface, speed_kmh=surface.speed_kmh * ratio)
        return surface


def _capped(network: Network, kmh: float) -> Network:
    """Return the network with no edge faster than a speed."""
    return replace(network, minutes=np.maximum(network.minutes, network.km / kmh * 60))
