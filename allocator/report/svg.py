"""A small drawing in SVG: shapes, and texts in both languages at the same place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from allocator.errors import Text

__all__ = ["BLUE", "DEEP", "GREY", "INK", "LIGHT", "MUTED", "ORANGE", "PALE", "PAPER", "SAND", "Drawing", "Layer", "broken_at", "text_width"]  # fmt: skip

INK, MUTED, GREY, LIGHT, PAPER = "#1f2a33", "#56626d", "#9aa5ae", "#e3e8ec", "#ffffff"
DEEP, BLUE, PALE = "#12436d", "#2f78b3", "#c5d9ea"
ORANGE, SAND = "#b8500f", "#f3c99d"
FONTS = "'Noto Sans CJK SC','Source Han Sans SC','PingFang SC','Microsoft YaHei',sans-serif"


def text_width(text: str, size: float) -> float:
    """Return an estimate of a text's width: CJK one em, others a little over half."""
    return sum(1.0 if ord(c) > 0x2E7F else 0.56 for c in text) * size


@dataclass(frozen=True, slots=True)
class Layer:
    """Shapes of which a reader sees one choice at a time, and what the choice is called."""

    title: Text
    shapes: tuple[str, ...]


@dataclass
class Drawing:
    """Shapes in a box of ``width`` x ``height`` units; texts are kept apart by language."""

    width: float
    height: float
    label: Text
    parts: list[str | tuple[str, Text] | tuple[Layer, ...]] = field(default_factory=list)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers to choose among, none in most drawings."""
        return tuple(p for part in self.parts for p in part if isinstance(p, Layer))

    def choice(self, layers: Iterable[tuple[Text, Drawing]]) -> None:
        """Draw one of several layers here, each of shapes without texts; the first unless another is chosen."""
        self.parts.append(
            tuple(Layer(t, tuple(p for p in d.parts if isinstance(p, str))) for t, d in layers)
        )

    def rect(self, x: float, y: float, w: float, h: float, fill: str, **more: object) -> None:
        """Draw a rectangle; nothing where it has no area."""
        if w > 0 and h > 0:
            self.parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" fill="{fill}"{_more(more)}/>'
            )

    def line(self, x1: float, y1: float, x2: float, y2: float, stroke: str = GREY, width: float = 1, **more: object) -> None:  # fmt: skip
        """Draw a line."""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" stroke-width="{width}"{_more(more)}/>'
        )

    def circle(self, x: float, y: float, r: float, fill: str, **more: object) -> None:
        """Draw a disc."""
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" fill="{fill}"{_more(more)}/>'
        )

    def path(self, points: Iterable[Sequence[float]], fill: str = "none", closed: bool = False, **more: object) -> None:  # fmt: skip
        """Draw a line through points, closed or open."""
        d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + ("Z" if closed else "")
        self.parts.append(f'<path d="{d}" fill="{fill}"{_more(more)}/>')

    def rings(self, rings: Iterable[Iterable[Sequence[float]]], fill: str, **more: object) -> None:
        """Draw a polygon of several rings, holes by the even-odd rule."""
        d = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in ring) + "Z" for ring in rings)
        self.parts.append(f'<path d="{d}" fill="{fill}" fill-rule="evenodd"{_more(more)}/>')

    def mark(self, shape: str, x: float, y: float, r: float, fill: str, **more: object) -> None:
        """Draw a mark of about the same area whatever its shape."""
        if shape == "circle":
            self.circle(x, y, r, fill, **more)
        elif shape == "square":
            a = r * 0.89
            self.rect(x - a, y - a, 2 * a, 2 * a, fill, **more)
        elif shape == "cross":
            a = r * 0.8
            stroke = str(more.get("stroke", INK))
            self.line(x - a, y - a, x + a, y + a, stroke, 2)
            self.line(x - a, y + a, x + a, y - a, stroke, 2)
        else:
            a = r * 1.25
            corners = {
                "diamond": [(0, -a), (a, 0), (0, a), (-a, 0)],
                "triangle": [(0, -a * 1.1), (a, a * 0.75), (-a, a * 0.75)],
                "down": [(0, a * 1.1), (a, -a * 0.75), (-a, -a * 0.75)],
                "hexagon": [(r, 0), (r / 2, r * 0.9), (-r / 2, r * 0.9), (-r, 0), (-r / 2, -r * 0.9), (r / 2, -r * 0.9)],
                "star": [(0, -a), (a * 0.3, -a * 0.3), (a, 0), (a * 0.3, a * 0.3), (0, a), (-a * 0.3, a * 0.3), (-a, 0), (-a * 0.3, -a * 0.3)],
            }[shape]  # fmt: skip
            self.path([(x + u, y + v) for u, v in corners], fill, True, **more)

    def text(
        self, x: float, y: float, text: Text | str, size: float = 12, *, anchor: str = "start",
        weight: int = 400, fill: str = INK, halo: bool = False, turn: float = 0,
    ) -> None:  # fmt: skip
        """Write a text at a point; a `Text` is written in the reader's language."""
        both = text if isinstance(text, Text) else Text(text, text)
        more = f' font-weight="{weight}"' if weight != 400 else ""
        more += f' text-anchor="{anchor}"' if anchor != "start" else ""
        more += (
            ' stroke="#fff" stroke-width="3" paint-order="stroke" stroke-linejoin="round"'
            if halo
            else ""
        )
        more += f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self.parts.append(
            (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}"{more}', both)
        )

    def paragraph(self, x: float, y: float, text: Text, size: float, room: float, fill: str = MUTED) -> None:  # fmt: skip
        """Write a text broken into lines that fit ``room``, from (x, y) downwards."""
        lines = {lang: broken_at(text.in_language(lang), size, room) for lang in ("zh", "en")}
        for n in range(max(map(len, lines.values()))):
            zh, en = (v[n] if n < len(v) else "" for v in lines.values())
            self.text(x, y + n * size * 1.4, Text(zh, en), size, fill=fill)

    def render(self, languages: Sequence[str] = ("zh", "en"), *, switched: bool = False) -> str:
        """Return the SVG, with texts of both languages side by side or of one alone.

        ``switched``: all layers as groups ``l1``, ``l2``... for a page to choose from; else the first,
        with its title.
        """
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}" height="{self.height:g}" role="img" '
            f'aria-label="{escape(self.label.in_language(languages[0]))}" font-family="{FONTS}">'
        ]
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
                continue
            layers = [p for p in part if isinstance(p, Layer)]
            if layers and switched:
                out += [f'<g class="l{n}">{"".join(p.shapes)}</g>' for n, p in enumerate(layers, 1)]
                continue
            if layers:
                out += layers[0].shapes
                part = (f'<text x="8" y="20" font-size="13" fill="{INK}"', layers[0].title)
            start, both = part
            assert isinstance(start, str) and isinstance(both, Text)
            if both.zh == both.en or len(languages) == 1:
                word = both.in_language(languages[0])
                out.append(f"{start}>{escape(word)}</text>" if word else "")
                continue
            for lang in languages:
                if both.in_language(lang):
                    out.append(f'{start} class="{lang}">{escape(both.in_language(lang))}</text>')
        return "".join(out) + "</svg>"


def broken_at(text: str, size: float, room: float) -> list[str]:
    """Break at spaces, or anywhere between CJK characters."""
    lines, line = [], ""
    pieces = text.split(" ") if " " in text and ord(text[0]) < 0x2E7F else list(text)
    glue = " " if " " in text and ord(text[0]) < 0x2E7F else ""
    for piece in pieces:
        longer = f"{line}{glue}{piece}" if line else piece
        if line and text_width(longer, size) > room:
            lines.append(line)
            line = piece
        else:
            line = longer
    return [*lines, line]


def _more(values: dict[str, object]) -> str:
    return "".join(f' {k.replace("_", "-")}="{escape(str(v))}"' for k, v in values.items())
