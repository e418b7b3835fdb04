"""The report as a Word document, on a template that an office may replace by its own.

The template is an ordinary document with tags (``{{ title }}``, ``{{ body }}`` ..., see
``docs/reports.md``); `default_template` makes the one used where none is given. Tags are filled by
docxtpl in a sandbox, then the chapters are laid out in the styles of the template.
"""

from __future__ import annotations

import io
import re
import zipfile
from copy import deepcopy
from functools import lru_cache
from html import escape
from typing import Any, Literal

from allocator.errors import Finding, InputRefused, Rank, Text, Where
from allocator.report.cells import FEW, WITHHELD, Quantity, written
from allocator.report.document import (
    Block,
    Chapter,
    Document,
    Figure,
    Items,
    Page,
    Paragraph,
    Stats,
    Table,
)
from allocator.report.pdf import BREAKS, INLINE, WORDS
from allocator.report.widths import Layout, laid_out

__all__ = ["default_template", "render"]

Language = Literal["zh", "en"]
MARK, TOC = "\ue000", "toc"
SANS, LATIN = "Noto Sans CJK SC", "Arial"
WHEN = (2000, 1, 1, 0, 0, 0)
SIZES = (8.0, 7.5, 7.0)
"""Sizes of a table's text that may be taken, pt."""
CM = 28.35
"""A centimetre in pt."""


def render(document: Document, language: Language, *, template: bytes | None = None) -> bytes:
    """Return the .docx; equal documents on equal templates give equal bytes.

    Raises
    ------
    InputRefused
        When the template is no Word document, a tag in it cannot be filled, or it has no place for
        the body.
    """
    from docxtpl import DocxTemplate
    from jinja2 import StrictUndefined
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    made = template if template is not None else default_template(language)
    try:
        page = DocxTemplate(io.BytesIO(made))
        environment = SandboxedEnvironment(autoescape=True, undefined=StrictUndefined)
        page.render(_context(document, language), environment, autoescape=True)
    except (TemplateError, KeyError, ValueError, zipfile.BadZipFile) as problem:
        raise InputRefused((_refused(str(problem)),)) from problem
    word = page.docx
    layout = _Layout(word, language)
    if not layout.fill(document):
        raise InputRefused((_refused("{{ body }}"),))
    core = word.core_properties
    from datetime import datetime

    core.title, core.author, core.last_modified_by = document.title.in_language(language), "", ""
    core.comments = document.disclaimer.in_language(language)[:255]
    core.created = core.modified = datetime(2000, 1, 1)
    out = io.BytesIO()
    word.save(out)
    return _dated(out.getvalue())


def _refused(what: str) -> Finding:
    return Finding(
        Rank.ERROR, "template-refused", Where(id=what[:80]),
        Text("Word 模板无法使用：标签不认识，或缺少 {{ body }}。", "The Word template cannot be used: a tag is unknown, or {{ body }} is missing."),
        Text("可用标签见 docs/reports.md；不指定模板则使用自带模板。", "Tags are listed in docs/reports.md; without a template the built-in one is used."),
    )  # fmt: skip


def _context(document: Document, language: Language) -> dict[str, Any]:
    def say(text: Text) -> str:
        return text.in_language(language)

    return {
        "title": say(document.title),
        "subtitle": say(document.subtitle),
        "disclaimer": say(document.disclaimer),
        "map_footer": say(document.map_footer),
        "facts": [{"name": say(k), "value": say(v)} for k, v in document.facts],
        "contents": say(WORDS["contents"]),
        "chapters": [say(c.title) for c in document.chapters],
        "toc": f"{MARK}{TOC}{MARK}",
        "body": f"{MARK}body{MARK}",
        "chapter": {c.id: f"{MARK}{c.id}{MARK}" for c in document.chapters},
    }


def _dated(data: bytes) -> bytes:
    """Rewrite a zip with fixed dates."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in sorted(old.namelist(), key=lambda n: (n != "[Content_Types].xml", n)):
            info = zipfile.ZipInfo(name, WHEN)
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, old.read(name))
    return out.getvalue()


def default_template(language: Language = "zh") -> bytes:
    """Return the built-in template: cover, contents, header with the disclaimer, footer, body."""
    import docx
    from docx.enum.style import WD_STYLE_TYPE
    from docx.enum.text import WD_BREAK, WD_TAB_ALIGNMENT, WD_TAB_LEADER
    from docx.shared import Cm, Pt, RGBColor

    word = docx.Document()
    section = word.sections[0]
    section.page_width, section.page_height = Cm(21), Cm(29.7)
    section.left_margin = section.right_margin = Cm(2.4)
    text_width = Cm(16.2)
    section.top_margin = section.bottom_margin = Cm(2.3)
    deep = RGBColor(0x12, 0x43, 0x6D)
    for name, size, bold in (("Normal", 10.5, False), ("Title", 26, True), ("Heading 1", 16, True), ("Heading 2", 13, True), ("Caption", 9, True), ("List Bullet", 10.5, False)):  # fmt: skip
        style = word.styles[name]
        style.font.size, style.font.bold = Pt(size), bold
        _set_fonts(style.element.get_or_add_rPr())
        if name in ("Title", "Heading 1", "Heading 2", "Caption"):
            style.font.color.rgb = deep if name != "Caption" else RGBColor(0x1F, 0x2A, 0x33)
    word.styles["Normal"].paragraph_format.line_spacing = 1.35
    word.styles["Normal"].paragraph_format.space_after = Pt(6)
    head = word.styles["Heading 1"].paragraph_format
    head.space_before, head.keep_with_next = Pt(24), True
    header, footer = section.header.paragraphs[0], section.footer.paragraphs[0]
    run = header.add_run("{{ disclaimer }}")
    run.font.size, run.font.color.rgb = Pt(8), RGBColor(0x8C, 0x35, 0x03)
    footer.paragraph_format.tab_stops.clear_all()
    footer.style = word.styles["Normal"]
    footer.paragraph_format.tab_stops.add_tab_stop(text_width, WD_TAB_ALIGNMENT.RIGHT)
    footer.add_run("{{ map_footer }}\t").font.size = Pt(8)
    for part in re.split(r"(\{\w+\})", WORDS["page"].in_language(language)):
        code = {"{n}": "PAGE", "{of}": "NUMPAGES"}.get(part)
        if code is None:
            footer.add_run(part).font.size = Pt(8)
        else:
            _field(footer, code, 8)
    word.add_paragraph("{{ subtitle }}").paragraph_format.space_before = Pt(150)
    word.add_paragraph("{{ title }}", style="Title")
    warning = word.add_paragraph().add_run("{{ disclaimer }}")
    warning.font.color.rgb = RGBColor(0x8C, 0x35, 0x03)
    word.add_paragraph("{%p for f in facts %}")
    word.add_paragraph("{{ f.name }}{{ '：' if f.name[0] > '⺀' else ': ' }}{{ f.value }}")
    word.add_paragraph("{%p endfor %}")
    word.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
    contents = word.add_paragraph("{{ contents }}").runs[0].font
    contents.size, contents.bold, contents.color.rgb = Pt(16), True, deep
    entry = word.styles.add_style("toc 1", WD_STYLE_TYPE.PARAGRAPH)
    entry.base_style = word.styles["Normal"]
    entry.paragraph_format.space_after = Pt(3)
    entry.paragraph_format.tab_stops.add_tab_stop(text_width, WD_TAB_ALIGNMENT.RIGHT, WD_TAB_LEADER.DOTS)  # fmt: skip
    word.add_paragraph("{{ toc }}")
    word.add_paragraph("{{ body }}")
    out = io.BytesIO()
    word.save(out)
    return _dated(out.getvalue())


def _set_fonts(properties: Any) -> None:
    from docx.oxml.ns import qn

    fonts = properties.get_or_add_rFonts()
    for key in list(fonts.attrib):
        del fonts.attrib[key]
    for which, name in (("ascii", LATIN), ("hAnsi", LATIN), ("cs", LATIN), ("eastAsia", SANS)):
        fonts.set(qn(f"w:{which}"), name)


def _field(paragraph: Any, code: str, size_pt: int) -> None:
    paragraph._p.append(
        _xml(f'<w:fldSimple w:instr="{code}"><w:r><w:rPr><w:sz w:val="{2 * size_pt}"/></w:rPr><w:t>1</w:t></w:r></w:fldSimple>')
    )  # fmt: skip


def _xml(text: str) -> Any:
    """Return an element written with the prefix ``w:``."""
    from docx.oxml import parse_xml

    name = re.match(r"<w:\w+", text)
    assert name is not None
    return parse_xml(f'{name[0]} xmlns:w="{_W}"{text[name.end() :]}')


@lru_cache(maxsize=64)  # drawing is the slow half of a document, and runs share their maps of today
def _png(svg: str) -> bytes:
    import vl_convert

    made: bytes = vl_convert.svg_to_png(svg, scale=2.0)
    return made


class _Layout:
    """Blocks as paragraphs, tables and pictures, put where the template has their place."""

    def __init__(self, word: Any, language: Language) -> None:
        self.word, self.language = word, language
        self.styles = {s.name for s in word.styles}
        self.here: Any = None
        self.atlas: list[Figure] = []
        self.entries: list[tuple[str, str]] = []
        self.on_side = False
        section = word.sections[-1]
        self.room_cm = (section.page_width - section.left_margin - section.right_margin) / 360000
        self.tall_cm = (section.page_width - section.top_margin - section.bottom_margin) / 360000
        self.wide_cm = (section.page_height - section.left_margin - section.right_margin) / 360000

    def say(self, text: Text) -> str:
        return text.in_language(self.language)

    def fill(self, document: Document) -> bool:
        """Replace the places for the body and for single chapters; say whether there was any."""
        places = [p for p in self.word.paragraphs if MARK in p.text]
        marked = [p for p in places if p.text.split(MARK)[1] != TOC]
        chapters = {c.id: c for c in document.chapters}
        for place in marked:
            self.here = place
            asked = place.text.split(MARK)[1]
            whole = asked == "body"
            wanted = list(document.chapters) if whole else [chapters[asked]]
            for n, chapter in enumerate(wanted, 1):
                breaks = whole and (n == 1 or chapter.id in BREAKS)
                self.chapter(chapter, n if whole else 0, breaks)
            self.side(wanted=False)
            if asked == "body":
                self.maps(last=place._p.getnext() is self.word.element.body.sectPr)
            place._p.getparent().remove(place._p)
        for place in places:
            if place._p.getparent() is not None:
                self.contents(place)
        return bool(marked)

    def contents(self, place: Any) -> None:
        """A table of contents with its entries, which Word fills anew with pages on opening."""
        from docx.oxml.ns import qn

        def run(inner: str) -> str:
            return f"<w:r>{inner}</w:r>"

        def field(code: str) -> str:
            begin = run('<w:fldChar w:fldCharType="begin" w:dirty="true"/>')
            said = run(f'<w:instrText xml:space="preserve"> {code} </w:instrText>')
            return begin + said + run('<w:fldChar w:fldCharType="separate"/>')

        end = run('<w:fldChar w:fldCharType="end"/>')
        width = round(self.room_cm * 567)
        has = "toc 1" in self.styles
        style = f'<w:pStyle w:val="{self.word.styles["toc 1"].style_id}"/>' if has else ""
        look = f'<w:pPr>{style}<w:tabs><w:tab w:val="right" w:leader="dot" w:pos="{width}"/></w:tabs></w:pPr>'
        for n, (text, mark) in enumerate(self.entries):
            first = field('TOC \\o "1-1" \\h \\z \\u') if n == 0 else ""
            last = end if n == len(self.entries) - 1 else ""
            page = field("PAGEREF " + mark + " \\h") + run("<w:t/>") + end
            words = run(f'<w:t xml:space="preserve">{escape(text)}</w:t>') + run("<w:tab/>")
            entry = f'<w:hyperlink w:anchor="{mark}" w:history="1">{words}{page}</w:hyperlink>'
            place._p.addprevious(_xml(f"<w:p>{look}{first}{entry}{last}</w:p>"))
        place._p.getparent().remove(place._p)
        settings = self.word.settings.element
        if settings.find(qn("w:updateFields")) is None:
            _put(settings, _xml('<w:updateFields w:val="true"/>'))

    def heading(self, text: str) -> Any:
        """A heading of the first level, listed in the contents."""
        made = self.paragraph(text, "Heading 1")
        id = len(self.entries) + 90001
        self.entries.append((text, f"_Toc{id:09d}"))
        made._p.insert(1, _xml(f'<w:bookmarkStart w:id="{id}" w:name="_Toc{id:09d}"/>'))
        made._p.append(_xml(f'<w:bookmarkEnd w:id="{id}"/>'))
        return made

    def paragraph(self, text: str, style: str = "Normal") -> Any:
        new = self.here.insert_paragraph_before(text)
        if style in self.styles:
            new.style = self.word.styles[style]
        return new

    def chapter(self, chapter: Chapter, number: int, breaks: bool) -> None:
        turned = self.on_side
        self.side(wanted=False)
        head = f"{number}  {self.say(chapter.title)}" if number else self.say(chapter.title)
        made = self.heading(head)
        if breaks and not turned:
            made.paragraph_format.page_break_before = True
        for n, block in enumerate(chapter.blocks):
            self.block(block, first=n == 0)

    def block(self, block: Block, *, first: bool = False) -> None:
        from docx.shared import Pt

        if not isinstance(block, Table):
            self.side(wanted=False)
        if isinstance(block, Paragraph):
            self.words(block)
        elif isinstance(block, Items):
            for item in block.items:
                self.paragraph(self.say(item), "List Bullet").paragraph_format.space_after = Pt(2)
        elif isinstance(block, Stats):
            self.stats(block)
        elif isinstance(block, Figure):
            self.figure(block)
        elif isinstance(block, Page):
            head = self.paragraph(self.say(block.title), "Heading 2")
            head.paragraph_format.page_break_before = not first
            picture, *between, last = block.blocks
            if isinstance(picture, Figure) and isinstance(last, Items):
                self.beside(picture, last)
            else:
                between = list(block.blocks)
            for inner in between:
                self.block(inner)
        else:
            self.table(block)

    def words(self, block: Paragraph) -> None:
        from docx.shared import Pt, RGBColor

        made = self.paragraph(self.say(block.text))
        if block.tone == "body" and self.language == "zh":
            made.paragraph_format.first_line_indent = Pt(21)
        for run in made.runs:
            if block.tone == "note":
                run.font.size = Pt(9)
            if block.tone == "warning":
                run.font.color.rgb = RGBColor(0x8C, 0x35, 0x03)

    def stats(self, block: Stats) -> None:
        from docx.shared import Pt

        across = 4
        rows = -(-len(block.stats) // across)
        table = self.grid(rows, across, [1.0] * across, self.room_cm)
        for n, s in enumerate(block.stats):
            cell = table.cell(n // across, n % across)
            cell.paragraphs[0].add_run(self.say(s.title)).font.size = Pt(8.5)
            value = cell.add_paragraph().add_run(self.say(s.value))
            value.font.size, value.font.bold = Pt(14), True
            cell.paragraphs[1].add_run(f" {self.say(s.unit)}").font.size = Pt(8.5)
            cell.add_paragraph().add_run(self.say(s.before)).font.size = Pt(8)
            for p in cell.paragraphs:
                p.paragraph_format.space_after = Pt(0)
        self.paragraph("")

    def figure(self, block: Figure) -> None:
        if block.is_map:
            self.atlas.append(block)
            mark = "：" if self.language == "zh" else ": "
            if block.id in INLINE:
                head = self.paragraph(self.say(block.title), "Caption")
                head.paragraph_format.keep_with_next = True
                self.picture(block, self.room_cm)
            self.paragraph(f"{self.say(WORDS['see'])}{len(self.atlas)}{mark}{self.say(block.title)}")  # fmt: skip
            return
        small = block.drawing.width <= 400
        head = self.paragraph(self.say(block.title), "Caption")
        head.paragraph_format.keep_with_next = True
        self.picture(block, 6.0 if small else self.room_cm)
        if block.words.zh:
            self.words(Paragraph(block.words, "note"))

    def beside(self, figure: Figure, items: Items) -> None:
        """A small picture with what is said of it to its right."""
        from docx.shared import Cm

        table = self.word.add_table(1, 2)
        table.autofit = False
        for cell, width in zip(table.rows[0].cells, (6.0, self.room_cm - 6.0), strict=True):
            cell.width = Cm(width)
        left, right = table.rows[0].cells
        self.here._p.addprevious(table._tbl)
        left.paragraphs[0].add_run(self.say(figure.title)).bold = True
        self.picture(figure, 5.4, left.add_paragraph())
        for item in items.items:
            said = right.add_paragraph(self.say(item))
            if "List Bullet" in self.styles:
                said.style = self.word.styles["List Bullet"]
        right._tc.remove(right.paragraphs[0]._p)

    def picture(self, block: Figure, width_cm: float, place: Any = None) -> None:
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.oxml.ns import qn
        from docx.shared import Cm

        place = self.paragraph("") if place is None else place
        if block.is_map:
            place.alignment = WD_ALIGN_PARAGRAPH.CENTER
        run = place.add_run()
        data = _png(block.drawing.render((self.language,)))
        run.add_picture(io.BytesIO(data), width=Cm(width_cm))
        for part in run._r.iter(qn("wp:docPr")):
            part.set("descr", self.say(block.drawing.label))

    def maps(self, *, last: bool) -> None:
        """The atlas: one map a page on its side; the last section where nothing follows it."""
        if not self.atlas:
            return
        from docx.shared import Pt

        self.turn(wide=False)
        self.heading(self.say(WORDS["atlas"])).paragraph_format.space_before = Pt(0)
        for n, block in enumerate(self.atlas, 1):
            head = self.paragraph(f"{self.say(WORDS['figure'])}{n}  {self.say(block.title)}", "Heading 2")  # fmt: skip
            head.paragraph_format.page_break_before = n > 1
            head.paragraph_format.keep_with_next = True
            room = self.tall_cm - (3.8 if n == 1 else 2.2)
            self.picture(block, min(self.wide_cm, room * block.drawing.width / block.drawing.height))  # fmt: skip
        if last:
            _on_its_side(self.word.element.body.sectPr)
        else:
            self.turn(wide=True)

    def side(self, *, wanted: bool) -> None:
        """Go on upright or on the side; tables on their side that follow one another share pages."""
        if wanted != self.on_side:
            self.turn(wide=self.on_side)
            self.on_side = wanted

    def turn(self, *, wide: bool) -> None:
        """End a section here; what stood before is on its side where ``wide``, else upright."""
        end = self.paragraph("")
        section = deepcopy(self.word.element.body.sectPr)
        if wide:
            _on_its_side(section)
        end._p.get_or_add_pPr().append(section)

    def grid(self, rows: int, columns: int, widths: list[float], room_cm: float) -> Any:
        from docx.shared import Cm

        table = self.word.add_table(rows, columns)
        if "Table Grid" in self.styles:
            table.style = self.word.styles["Table Grid"]
        table.autofit = False
        whole = sum(widths)
        for n, column in enumerate(table.columns):
            column.width = Cm(room_cm * widths[n] / whole)
            for cell in column.cells:
                cell.width = Cm(room_cm * widths[n] / whole)
        self.here._p.addprevious(table._tbl)
        return table

    def table(self, block: Table) -> None:
        layout = laid_out(
            block, self.language, room=self.room_cm * CM, wide_room=self.wide_cm * CM, sizes=SIZES
        )
        self.side(wanted=layout.is_wide and bool(block.rows))
        self.rows(block, layout, self.wide_cm if self.on_side else self.room_cm)

    def rows(self, block: Table, layout: Layout, room_cm: float) -> None:
        from docx.oxml import parse_xml
        from docx.shared import Pt

        head = self.paragraph(self.say(block.title), "Caption")
        head.paragraph_format.keep_with_next = True
        head.paragraph_format.space_before, head.paragraph_format.space_after = Pt(4), Pt(2)
        if not block.rows:
            self.paragraph(self.say(WORDS["none"]))
            return
        heads = [self.say(c.heading) for c in block.columns]
        lines = [*block.rows, *([block.total] if block.total else [])]
        texts = [["" if c is None else self.say(written(c)) for c in row] for row in lines]
        numbers = [any(isinstance(r[n], Quantity) for r in block.rows) for n in range(len(heads))]
        widths, size = list(layout.widths), layout.size
        out = [_cells(heads, numbers, widths, room_cm, size, True, "E9EEF2", "<w:tblHeader/>")]
        for r, (row, line) in enumerate(zip(texts, lines, strict=True)):
            right = [isinstance(c, Quantity) or c in (FEW, WITHHELD) for c in line]
            strong = bool(block.total) and r == len(texts) - 1
            shade = "FBF3EA" if r in block.flagged else ""
            out.append(_cells(row, right, widths, room_cm, size, strong, shade))
        style = "Table Grid" if "Table Grid" in self.styles else ""
        self.here._p.addprevious(parse_xml(_table_xml(out, widths, room_cm, self.word, style)))
        if block.note.zh:
            self.words(Paragraph(block.note, "note"))
        after = self.paragraph("").paragraph_format
        after.space_after, after.line_spacing = Pt(0), Pt(6)


_AFTER_FIELDS = ("hdrShapeDefaults", "footnotePr", "endnotePr", "compat", "docVars", "rsids")


def _put(settings: Any, fields: Any) -> None:
    """Insert ``updateFields`` where the schema of settings has its place."""
    from docx.oxml.ns import qn

    after = [e for e in settings if e.tag in {qn(f"w:{n}") for n in _AFTER_FIELDS}]
    if after:
        after[0].addprevious(fields)
    else:
        settings.append(fields)


def _on_its_side(section: Any) -> None:
    from docx.oxml.ns import qn

    size = section.find(qn("w:pgSz"))
    w, h = size.get(qn("w:w")), size.get(qn("w:h"))
    size.set(qn("w:w"), h)
    size.set(qn("w:h"), w)
    size.set(qn("w:orient"), "landscape")


_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def _twips(cm: float) -> int:
    return round(cm * 567)


def _table_xml(rows: list[str], widths: list[float], room_cm: float, word: Any, style: str) -> str:
    """A table's XML in one string: cell by cell through the library takes ten times as long."""
    whole = sum(widths)
    grid = "".join(f'<w:gridCol w:w="{_twips(room_cm * w / whole)}"/>' for w in widths)
    named = f'<w:tblStyle w:val="{escape(word.styles[style].style_id)}"/>' if style else ""
    return (
        f'<w:tbl xmlns:w="{_W}"><w:tblPr>{named}<w:tblW w:type="dxa" w:w="{_twips(room_cm)}"/>'
        '<w:tblLayout w:type="fixed"/><w:tblCellMar><w:top w:w="24" w:type="dxa"/><w:left w:w="60" w:type="dxa"/><w:bottom w:w="24" w:type="dxa"/><w:right w:w="60" w:type="dxa"/></w:tblCellMar></w:tblPr>'
        f"<w:tblGrid>{grid}</w:tblGrid>{''.join(rows)}</w:tbl>"
    )


def _cells(
    texts: list[str], right: list[bool], widths: list[float], room_cm: float, size: float,
    strong: bool, shade: str, more: str = "",
) -> str:  # fmt: skip
    whole = sum(widths)
    fill = f'<w:shd w:val="clear" w:color="auto" w:fill="{shade}"/>' if shade else ""
    look = f'<w:rPr>{"<w:b/>" if strong else ""}<w:sz w:val="{round(size * 2)}"/><w:szCs w:val="{round(size * 2)}"/></w:rPr>'
    cells = []
    for n, text in enumerate(texts):
        side = '<w:jc w:val="right"/>' if right[n] else ""
        cells.append(
            f'<w:tc><w:tcPr><w:tcW w:w="{_twips(room_cm * widths[n] / whole)}" w:type="dxa"/>{fill}<w:vAlign w:val="center"/></w:tcPr>'
            f'<w:p><w:pPr><w:spacing w:after="0" w:line="250" w:lineRule="auto"/>{side}</w:pPr>'
            f'<w:r>{look}<w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p></w:tc>'
        )
    return f"<w:tr><w:trPr><w:cantSplit/>{more}</w:trPr>{''.join(cells)}</w:tr>"
