"""``case.yaml`` as a value: what county it is, and what its files are declared to be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from allocator.io.population_files import PopulationFile
from allocator.io.travel_files import TravelFile
from allocator.scenario import Title

__all__ = ["GEOGRAPHIC", "UNREAD", "CaseFile", "Sentence", "SourceFile"]

GEOGRAPHIC = "EPSG:4490"
_ID = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sentence(_Strict):
    """A sentence in both languages."""

    zh: str = Field(max_length=500)
    en: str = Field(max_length=500)


class SourceFile(_Strict):
    """One line of ``sources``: what it is, from where, under which licence, in which files.

    ``title_zh`` and ``source_zh`` are what a Chinese report prints.
    """

    title: str
    source: str
    title_zh: str = ""
    source_zh: str = ""
    licence: str = ""
    mark: Literal["counted", "modelled", "synthetic"] = "counted"
    files: str = ""


class CaseFile(_Strict):
    """``case.yaml``."""

    id: _ID
    title: Title
    crs: str = Field(default=GEOGRAPHIC, max_length=40)
    base_year: int = Field(ge=1990, le=2100)
    declared_population: int | None = Field(default=None, ge=0)
    seat: tuple[float, float] | None = None
    travel: TravelFile = TravelFile()
    population: PopulationFile | None = None
    catalogue: str = "shipped"
    disclaimer: Sentence | None = None
    map_footer: Sentence | None = None
    finest_published: Literal["county", "township", "village"] = "township"
    encoding: Literal["utf-8", "gb18030"] = "utf-8"
    thousands: bool = False
    sources: tuple[SourceFile, ...] = ()


UNREAD = CaseFile(id="unread", title=Title(zh="", en=""), base_year=2020)
"""Stands in for a file at fault, so that the tables are read and told all the same."""
