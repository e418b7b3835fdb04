"""Chinese set well: full-width punctuation between characters, in every text of a document."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from allocator.errors import Text
from allocator.report.document import Document
from allocator.report.svg import Drawing, Layer

__all__ = ["full_width", "set_well"]

_WIDE = str.maketrans(",;:?!", "，；：？！")
_CJK = r"\u3001-\u303f\u3400-\u9fff\uff01-\uff60"
_MARK = re.compile(rf"(?<=[{_CJK}”’%）)])[,;:?!] ?|[,;:?!] ?(?=[{_CJK}“‘（])")
_ROUND = re.compile(rf"(?<=[{_CJK}])\(([^()]*)\)|\(([^()]*[{_CJK}][^()]*)\)")


def full_width(text: str) -> str:
    """Return a Chinese text with the punctuation beside Chinese characters in full width.

    Text without a Chinese character, digits such as ``1,234`` and ``1:2000`` stay as they are.

    Examples
    --------
    >>> full_width("演示数据:床位(张)1,234,不作依据")
    '演示数据：床位（张）1,234，不作依据'
    """
    if not re.search(rf"[{_CJK}]", text):
        return text
    text = _ROUND.sub(lambda m: f"（{m[1] if m[1] is not None else m[2]}）", text)
    return _MARK.sub(lambda m: m[0].strip().translate(_WIDE), text)


def set_well(document: Document) -> Document:
    """Return the document with every Chinese text set in full-width punctuation."""
    return _changed(document, full_width)  # type: ignore[no-any-return]


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, Text):
        zh = change(value.zh)
        return value if zh == value.zh else Text(zh, value.en)
    if isinstance(value, tuple):
        return tuple(_changed(v, change) for v in value)
    if isinstance(value, Drawing):
        parts = [_part(p, change) for p in value.parts]
        return replace(value, label=_changed(value.label, change), parts=parts)
    if is_dataclass(value) and type(value).__module__ == Document.__module__:
        new = {f.name: _changed(getattr(value, f.name), change) for f in fields(value)}
        return replace(value, **new)  # type: ignore[type-var]
    return value


def _part(part: Any, change: Callable[[str], str]) -> Any:
    if isinstance(part, str):
        return part
    return tuple(
        replace(p, title=_changed(p.title, change)) if isinstance(p, Layer) else _changed(p, change)
        for p in part
    )
