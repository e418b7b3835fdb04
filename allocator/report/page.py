"""The report as one HTML file: no script, no request, the language switched by the page itself."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from allocator.errors import Text
from allocator.report.cells import Quantity, written
from allocator.report.document import Document, Table

__all__ = ["Language", "render"]

Language = Literal["both", "zh", "en"]


def render(document: Document, language: Language = "both") -> bytes:
    """Return the file as UTF-8; every text is escaped, and the policy forbids anything remote."""
    from jinja2 import Environment, StrictUndefined

    here = files("allocator.report") / "templates"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["written"] = written
    environment.globals["is_number"] = _is_number
    environment.globals["no_layer"] = Text("不显示", "None")
    template = environment.from_string((here / "report.html").read_text(encoding="utf-8"))
    from markupsafe import Markup

    html = template.render(
        doc=document,
        languages=("zh", "en") if language == "both" else (language,),
        css=Markup((here / "report.css").read_text(encoding="utf-8")),
        none_words=Text("无", "none"),
    )
    return html.encode("utf-8")


def _is_number(table: Table, column: int) -> bool:
    """Whether a column holds numbers, so that its heading stands above them."""
    return any(isinstance(row[column], Quantity) for row in table.rows)
