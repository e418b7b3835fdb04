"""Documents from stored runs: HTML, Word, PDF, a workbook, map layers; nothing is computed anew.

The first run is the plan reported; the others are the alternatives beside it, and runs that differ
in the placement of points only make the spread. All formats are laid out from one `Document`, so a
number is the same number in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from allocator.report.bands import STEPS, checked_steps
from allocator.report.document import Note

if TYPE_CHECKING:
    from allocator.catalogue import Catalogue
    from allocator.region import Region
    from allocator.report.document import Document
    from allocator.report.page import Language
    from allocator.report.study_chapter import StudyView
    from allocator.run import Run

__all__ = ["FORMATS", "Note", "documents", "html_report", "layers", "workbook"]

FORMATS = ("html", "docx", "xlsx", "pdf", "gpkg")


def documents(
    runs: Sequence[Run], *, region: Region, catalogue: Catalogue | None = None, notes: Sequence[Note] = (),
    to: Sequence[str] = FORMATS, languages: Sequence[str] = ("zh", "en"), template: bytes | None = None, font: str = "",
    study: StudyView | None = None,
    steps: Sequence[float] = STEPS,
) -> dict[str, bytes]:  # fmt: skip
    """Return the bytes of every document asked for, by file name.

    Parameters
    ----------
    to
        Some of `FORMATS`; html holds both languages in one file, Word and PDF are a file a language.
    languages
        ``zh``, ``en`` or both.
    template
        A Word template with the tags of ``docs/reports.md``; None for the built-in one.
    font
        Family name of the font for the PDF; blank for the first open Chinese font installed.
    study
        The study that the runs are of; it gets a chapter of its own.
    steps
        Minutes of the bands around facilities, on the map and in the layers.

    Raises
    ------
    ValueError
        When a format or language is unknown, the steps cannot be, there is no run, or the runs are of different cases.
    InputRefused
        When a name holds a control character, an extra is not installed, the template cannot be
        filled, or the font is missing.
    """
    unknown = [f for f in to if f not in FORMATS] + [v for v in languages if v not in ("zh", "en")]
    if unknown or not languages:
        raise ValueError(f"unknown format or language: {', '.join(unknown) or 'none given'}")
    from allocator.report.chapters import compose

    document = compose(
        runs, region=region, catalogue=catalogue, notes=notes, study=study, steps=steps
    )
    made: dict[str, bytes] = {}
    for format in FORMATS:
        if format not in to:
            continue
        if format == "gpkg":
            made["plan.gpkg"] = layers(runs[0], region=region, catalogue=catalogue, steps=steps)
        elif format == "xlsx":
            from allocator.report import sheets

            made["plan.xlsx"] = sheets.write(document, runs)
        elif format == "html":
            from allocator.report import page

            both = set(languages) == {"zh", "en"}
            made["report.html"] = page.render(document, "both" if both else languages[0])  # type: ignore[arg-type]
        else:
            for language in dict.fromkeys(languages):
                made[f"report-{language}.{format}"] = _laid_out(document, format, language, template, font)  # fmt: skip
    return made


def _laid_out(document: Document, format: str, language: str, template: bytes | None, font: str) -> bytes:  # fmt: skip
    from allocator.errors import Finding, InputRefused, Rank, Text, Where

    try:
        if format == "docx":
            from allocator.report import word

            return word.render(document, language, template=template)  # type: ignore[arg-type]
        from allocator.report import pdf

        return pdf.render(document, language, font=font)  # type: ignore[arg-type]
    except ModuleNotFoundError as problem:
        finding = Finding(
            Rank.ERROR, "extra-missing", Where(id=str(problem.name)),
            Text("生成 Word 或 PDF 需要另装组件。", "Word and PDF need an extra that is not installed."),
            Text('请运行:pip install "service-allocator[report]"', 'Run: pip install "service-allocator[report]"'),
        )  # fmt: skip
        raise InputRefused((finding,)) from problem


def html_report(
    runs: Sequence[Run], *, region: Region, catalogue: Catalogue | None = None,
    notes: Sequence[Note] = (), language: Language = "both", steps: Sequence[float] = STEPS,
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
    steps
        Minutes of the bands around facilities.

    Raises
    ------
    ValueError
        When there is no run, or the runs are of different cases.
    InputRefused
        When a name holds a control character.
    """
    from allocator.report.chapters import compose
    from allocator.report.page import render

    return render(
        compose(runs, region=region, catalogue=catalogue, notes=notes, steps=steps), language
    )


def workbook(
    runs: Sequence[Run], *, region: Region, catalogue: Catalogue | None = None, notes: Sequence[Note] = (),
) -> bytes:  # fmt: skip
    """Return the report's tables as an Excel workbook with dictionary, parameters and live totals.

    Raises as `html_report`.
    """
    from allocator.report.chapters import compose
    from allocator.report.sheets import write

    return write(compose(runs, region=region, catalogue=catalogue, notes=notes), runs)


def layers(
    run: Run,
    *,
    region: Region,
    catalogue: Catalogue | None = None,
    steps: Sequence[float] = STEPS,
) -> bytes:
    """Return the plan as a GeoPackage: sites, unnamed points, townships, outline, bands around facilities."""
    from allocator.report.geopackage import write

    return write(run, region=region, catalogue=catalogue, steps=checked_steps(steps))
