"""The report as a PDF through Typst: text handed over as data, so nothing in it is ever markup."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from allocator.errors import Text
from allocator.report.cells import FEW, WITHHELD, Quantity, written
from allocator.report.document import (
    Block,
    Document,
    Figure,
    Items,
    Page,
    Paragraph,
    Stats,
    Table,
)
from allocator.report.fonts import find_font
from allocator.report.widths import broken, laid_out

__all__ = ["BREAKS", "INLINE", "WORDS", "render"]

Language = Literal["zh", "en"]
ROOM, WIDE_ROOM, SIZES = 470.0, 717.0, (8.4, 7.8, 7.2)
"""Width of the text on a page upright and on its side, and sizes of a table's text, pt."""
BREAKS = ("plan", "sites")
"""Chapters that begin a page; the others follow one another, so that no page is left half empty."""
INLINE = ("siting",)
"""Maps that stand in the text too, beside the atlas."""
WORDS = {
    "contents": Text("目录", "Contents"),
    "atlas": Text("图集", "Atlas"),
    "figure": Text("图", "Map "),
    "see": Text("见图集图", "See the atlas, map "),
    "none": Text("无", "none"),
    "font": Text("字体：{name}，许可：{licence}。", "Font: {name}; licence: {licence}."),
    "page": Text("第 {n} 页，共 {of} 页", "Page {n} of {of}"),
}


def render(document: Document, language: Language, *, font: str = "", font_folders: Sequence[str] = ()) -> bytes:  # fmt: skip
    """Return the PDF; maps stand in an atlas at its end, wide tables on pages on their side.

    Raises
    ------
    InputRefused
        When there is no open Chinese font, or not the one asked for.
    """
    import typst

    chosen = find_font(font, font_folders)
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        maker = _Maker(here, language)
        data = maker.document(document)
        data["font"] = {"body": chosen.body, "heading": chosen.heading}
        words = WORDS["font"].in_language(language)
        data["colophon"] = words.format(name=chosen.body, licence=chosen.licence)
        (here / "report.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        template = files("allocator.report") / "templates" / "report.typ"
        (here / "report.typ").write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
        made = typst.compile(str(here / "report.typ"), root=str(here), font_paths=list(font_folders), timestamp=0)  # fmt: skip
    assert isinstance(made, bytes)
    return made


def _parts(title: str) -> list[str]:
    """Cut a title where a line of the cover may end: after a bracket in Chinese, after a blank else."""
    return [
        t for t in re.split(r"(?<=[）)])(?=[\u3400-\u9fff])|(?<=县)(?=基本)|(?<= )", title) if t
    ]


class _Maker:
    """Blocks as plain data for the template; drawings as files beside it."""

    def __init__(self, folder: Path, language: Language) -> None:
        self.folder, self.language = folder, language
        self.atlas: list[dict[str, str]] = []

    def say(self, text: Text) -> str:
        return text.in_language(self.language)

    def document(self, document: Document) -> dict[str, Any]:
        chapters = [
            {"title": self.say(c.title), "breaks": c.id in BREAKS, "blocks": [{"first": n == 0, **self.block(b)} for n, b in enumerate(c.blocks)]}
            for c in document.chapters
        ]  # fmt: skip
        return {
            "lang": self.language,
            "title": self.say(document.title),
            "head": _parts(self.say(document.title)),
            "subtitle": self.say(document.subtitle),
            "disclaimer": self.say(document.disclaimer),
            "footer": self.say(document.map_footer),
            "facts": [[self.say(k), self.say(v)] for k, v in document.facts],
            "chapters": chapters,
            "atlas": self.atlas,
            "words": {k: self.say(v) for k, v in WORDS.items()},
        }

    def block(self, block: Block) -> dict[str, Any]:
        if isinstance(block, Paragraph):
            return {"kind": "paragraph", "text": self.say(block.text), "tone": block.tone}
        if isinstance(block, Items):
            return {"kind": "items", "items": [self.say(i) for i in block.items]}
        if isinstance(block, Stats):
            rows = [[self.say(s.title), self.say(s.value), self.say(s.unit), self.say(s.before)] for s in block.stats]  # fmt: skip
            return {"kind": "stats", "stats": rows}
        if isinstance(block, Figure):
            return self.figure(block)
        if isinstance(block, Page):
            inner = [self.block(b) for b in block.blocks]
            return {"kind": "page", "title": self.say(block.title), "blocks": inner}
        return self.table(block)

    def figure(self, block: Figure) -> dict[str, Any]:
        file = f"{len(list(self.folder.glob('*.svg'))):04d}.svg"
        (self.folder / file).write_text(block.drawing.render((self.language,)), encoding="utf-8")
        title, words = self.say(block.title), self.say(block.words)
        if block.is_map:
            self.atlas.append({"title": title, "file": file})
            inline = block.id in INLINE
            return {
                "kind": "see",
                "title": title,
                "number": len(self.atlas),
                "inline": inline,
                "file": file,
            }
        wide = block.drawing.width > 400
        return {"kind": "figure", "title": title, "file": file, "words": words, "wide": wide}

    def table(self, table: Table) -> dict[str, Any]:
        rows = [[self.say(written(c)) if c is not None else "" for c in row] for row in table.rows]
        total = [self.say(written(c)) if c is not None else "" for c in table.total]
        numbers = [
            any(isinstance(row[n], Quantity) for row in table.rows)
            for n in range(len(table.columns))
        ]
        rights = [
            [isinstance(c, Quantity) or c in (FEW, WITHHELD) for c in row] for row in table.rows
        ]
        heads = [self.say(c.heading) for c in table.columns]
        layout = laid_out(table, self.language, room=ROOM, wide_room=WIDE_ROOM, sizes=SIZES)
        return {
            "kind": "table",
            "id": table.id,
            "title": self.say(table.title),
            "heads": heads,
            "numbers": numbers,
            "size": layout.size,
            "widths": [round(w, 2) for w in layout.widths],
            "rows": [
                [{"text": broken(t), "right": r} for t, r in zip(row, right, strict=True)]
                for row, right in zip(rows, rights, strict=True)
            ],
            "total": [
                {"text": t, "right": isinstance(c, Quantity)}
                for t, c in zip(total, table.total, strict=True)
            ],
            "note": self.say(table.note),
            "flagged": sorted(table.flagged),
            "wide": layout.is_wide,
        }
