"""Documents from stored runs: one HTML file, a workbook, map layers; nothing is computed anew.

The first run is the plan reported; the others are the alternatives beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from allocator.report.document import Note

if TYPE_CHECKING:
    from allocator.catalogue import Catalogue
    from allocator.region import Region
    from allocator.report.page import Language
    from allocator.run import Run

__all__ = ["Note", "html_report", "layers", "workbook"]


def html_report(
    runs: Sequence[Run], *, region: Region, catalogue: Catalogue | None = None,
    notes: Sequence[Note] = (), language: Language = "both",
) -> bytes:  # fmt: skip
    """Return the report as one offline HTML file in UTF-8.

    Parameters
    ----------
    runs
        Runs of one case; the first is the plan reported.
    region
        For the outline and the seat on maps.
    catalogue
        For names of types and the norms with their marks; without it, ids of unconfirmed norms.
    notes
        Tables of a study: flatter willingness curves, spread over placements.
    language
        ``both`` with a switch that needs no script, or ``zh`` or ``en`` alone.

    Raises
    ------
    ValueError
        When there is no run, or the runs are of different cases.
    InputRefused
        When a name holds a control character.
    """
    from allocator.report.chapters import compose
    from allocator.report.page import render

    return render(compose(runs, region=region, catalogue=catalogue, notes=notes), language)


def workbook(
    runs: Sequence[Run], *, region: Region, catalogue: Catalogue | None = None, notes: Sequence[Note] = (),
) -> bytes:  # fmt: skip
    """Return the report's tables as an Excel workbook with dictionary, parameters and live totals.

    Raises as `html_report`.
    """
    from allocator.report.chapters import compose
    from allocator.report.sheets import write

    return write(compose(runs, region=region, catalogue=catalogue, notes=notes), runs)


def layers(run: Run, *, region: Region, catalogue: Catalogue | None = None) -> bytes:
    """Return the plan as a GeoPackage: sites, unnamed points, townships, outline, styles inside."""
    from allocator.report.geopackage import write

    return write(run, region=region, catalogue=catalogue)
