"""An open Chinese font for documents that carry their own: found by name, its licence noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from allocator.errors import Finding, InputRefused, Rank, Text, Where

__all__ = ["OPEN_FONTS", "Font", "find_font"]

_OFL = "SIL Open Font License 1.1"
OPEN_FONTS: tuple[tuple[str, str], ...] = (
    ("Noto Sans CJK SC", _OFL), ("Source Han Sans SC", _OFL), ("Source Han Sans CN", _OFL), ("Noto Sans SC", _OFL),
    ("LXGW WenKai", _OFL), ("WenQuanYi Micro Hei", "Apache-2.0 or GPL-3.0 with font exception"),
    ("WenQuanYi Zen Hei", "GPL-2.0 with font exception"),
)  # fmt: skip
_SERIFS = ("Noto Serif CJK SC", "Source Han Serif SC", "Noto Serif SC")


@dataclass(frozen=True, slots=True)
class Font:
    """A font of the body, one for headings, and the licence of the body's."""

    body: str
    heading: str
    licence: str


def find_font(name: str = "", folders: Sequence[str] = ()) -> Font:
    """Return the font asked for by name, or the first open Chinese font that is installed.

    Parameters
    ----------
    name
        Family name; blank looks for one of `OPEN_FONTS`.
    folders
        Folders to search besides the system's.

    Raises
    ------
    InputRefused
        When the font, or any open Chinese font, is not installed.
    """
    import typst

    there = set(typst.Fonts(include_system_fonts=True, font_paths=list(folders)).families())
    licences = dict(OPEN_FONTS)
    wanted = [name] if name else [n for n, _ in OPEN_FONTS]
    found = next((n for n in wanted if n in there), None)
    if found is None:
        raise InputRefused((_missing(name),))
    heading = found if name else next((n for n in _SERIFS if n in there), found)
    return Font(found, heading, licences.get(found, "as its maker states"))


def _missing(name: str) -> Finding:
    what = Text("没有找到可用的开源中文字体。", "No open Chinese font is installed.")
    if name:
        what = Text(f"没有找到字体“{name}”。", f"The font {name!r} is not installed.")
    return Finding(
        Rank.ERROR, "font-missing", Where(id=name), what,
        Text("请安装 Noto Sans CJK SC（Debian 为 fonts-noto-cjk），或用 --font 指定已安装的字体。",
             "Install Noto Sans CJK SC (Debian: fonts-noto-cjk), or name an installed font with --font."),
    )  # fmt: skip
