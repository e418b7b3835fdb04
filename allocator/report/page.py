"""The report as one HTML file: no script, no request, the language switched by the page itself."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Literal

from allocator.errors import Text
from allocator.report.cells import Quantity, written
from allocator.report.document import Document, Table
from allocator.report.widths import laid_out

__all__ = ["Language", "render"]

Language = Literal["both", "zh", "en"]
ROOM, WIDE_ROOM, SIZES = 906, 1160, (14.0, 12.5, 11.5)
"""Width of the page's text and of a table that is scrolled, and sizes of a table's text, px."""
BESIDE, MOST = 6, 40
"""White space of a cell beyond what paper has, px, and columns that may stand on a page."""


def render(document: Document, language: Language = "both") -> bytes:
    """Return the file as UTF-8; every text is escaped, and the policy forbids anything remote."""
    from jinja2 import Environment, StrictUndefined

    here = files("allocator.report") / "templates"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["written"] = written
    environment.globals["is_number"] = _is_number
    languages = ("zh", "en") if language == "both" else (language,)
    environment.globals["columns"] = lambda table: _columns(table, languages)
    environment.globals["no_layer"] = Text("不显示", "None")
    template = environment.from_string((here / "report.html").read_text(encoding="utf-8"))
    from markupsafe import Markup

    html = template.render(
        doc=document,
        languages=languages,
        css=Markup((here / "report.css").read_text(encoding="utf-8")),
        none_words=Text("无", "none"),
    )
    return html.encode("utf-8")


def _is_number(table: Table, column: int) -> bool:
    """Whether a column holds numbers, so that its heading stands above them."""
    return any(isinstance(row[column], Quantity) for row in table.rows)


def _columns(table: Table, languages: Sequence[str]) -> dict[str, object]:
    """Return each column's share of the width, per cent, the text's size, and a wide table's width, px."""
    room, wide = (w - BESIDE * len(table.columns) for w in (ROOM, WIDE_ROOM))
    made = [
        laid_out(table, v, room=room, wide_room=wide, sizes=SIZES, most=MOST) for v in languages
    ]
    widths = [max(one) for one in zip(*(m.widths for m in made), strict=True)]
    shares = [round(100 * w / sum(widths), 2) for w in widths]
    wide_px = WIDE_ROOM if any(m.is_wide for m in made) else 0
    return {"shares": shares, "px": wide_px, "rem": round(min(m.size for m in made) / 16, 4)}
