"""A strict reader of YAML: text stays text, every key once, no tags, no aliases, bounded.

Plain words become numbers, ``true``, ``false`` or ``null`` as YAML 1.2 says and nothing else does:
``010``, ``no``, ``12:30`` and ``2026-01-01`` are text. Nothing is constructed but mappings, lists
and these scalars.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from allocator.errors import Finding, InputRefused, Unfit, Where, nearest
from allocator.io.findings import Words, error, refusal
from allocator.io.paths import MEBIBYTE, read_bytes

__all__ = ["Document", "KeyPath", "parse_yaml", "read_yaml", "refused", "validated"]

KeyPath = tuple[str, ...]

MAX_BYTES = MEBIBYTE // 2
MAX_DEPTH = 30
MAX_NODES = 20_000

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, object] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its data, and the line and the written text of every key path.

    A key path is the keys and list positions on the way, all as text:
    ``("periods", "0", "from")``.
    """

    file: str
    data: Any
    lines: Mapping[KeyPath, int]
    raw: Mapping[KeyPath, str]

    def where(self, path: KeyPath = ()) -> Where:
        """Return the place of a key path, or of the nearest part of it that is written."""
        while path and path not in self.lines:
            path = path[:-1]
        return Where(file=self.file, row=self.lines.get(path, 1), column=".".join(path))


def read_yaml(path: Path, name: str = "") -> Document:
    """Return the document in a file of at most half a MiB.

    Raises
    ------
    InputRefused
        With every duplicate key, tag, anchor and alias, or the first fault of syntax.
    """
    name = name or path.name
    data = read_bytes(path, MAX_BYTES, name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise refusal(
            "yaml-not-utf8",
            Where(file=name, row=data[: problem.start].count(b"\n") + 1),
            ("文件不是UTF-8编码。", "The file is not UTF-8."),
            ("请另存为UTF-8。", "Save it as UTF-8."),
        ) from problem
    return parse_yaml(text, name)


def parse_yaml(text: str, file: str) -> Document:
    """Return the document in ``text``; see `read_yaml`."""
    if len(text) > MAX_BYTES:
        raise _too_much(file, 1)
    builder = _Builder(file)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        row = mark.line + 1 if mark is not None else getattr(problem, "line", None)
        said = getattr(problem, "problem", None) or getattr(problem, "reason", None) or "syntax"
        raise refusal(
            "yaml-syntax",
            Where(file=file, row=row),
            (f"YAML语法错误({said})。", f"This is not YAML: {said}."),
            (
                "请检查缩进、冒号后的空格和引号,删去不可见控制字符。",
                "Check indentation, the blank after a colon, quotes, and control characters.",
            ),
        ) from problem
    except (ValueError, IndexError, TypeError, AssertionError, AttributeError) as problem:
        # The parser's own slips on malformed directives and escapes.
        raise refusal(
            "yaml-syntax",
            Where(file=file),
            ("YAML语法错误。", "This is not YAML."),
            ("请检查文件内容。", "Check the file."),
        ) from problem
    if builder.faults:
        raise InputRefused(tuple(builder.faults))
    return Document(file, builder.root, builder.lines, builder.raw)


def _too_much(file: str, line: int) -> InputRefused:
    return refusal(
        "yaml-too-large",
        Where(file=file, row=line),
        (
            "文件过大、层次过深或条目过多。",
            "The file is too large, too deep or has too many entries.",
        ),
        (
            f"最多{MAX_DEPTH}层、{MAX_NODES}个条目、{MAX_BYTES}字节。",
            f"At most {MAX_DEPTH} levels, {MAX_NODES} entries and {MAX_BYTES} bytes.",
        ),
    )


class _Builder:
    """Builds data from parser events, without recursion and without constructors."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Any = None
        self.lines: dict[KeyPath, int] = {}
        self.raw: dict[KeyPath, str] = {}
        self.faults: list[Finding] = []
        self.stack: list[_Level] = []
        self.nodes = 0
        self.documents = 0

    def take(self, event: Event) -> None:
        """Add one event."""
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, DocumentStartEvent):
            self.documents += 1
            if self.documents == 2:
                self._fault(
                    "yaml-many-documents",
                    line,
                    ("文件含多个文档。", "The file holds several documents."),
                )
        if isinstance(event, AliasEvent):
            self._fault("yaml-alias", line, ("不允许使用别名(*)。", "Aliases (*) are not allowed."))
            self._value(None, line, "")
            return
        if isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
            if event.anchor is not None:
                self._fault(
                    "yaml-alias", line, ("不允许使用锚点(&)。", "Anchors (&) are not allowed.")
                )
            tag = event.tag if isinstance(event.tag, str) or event.tag is None else str(event.tag)
            if tag is not None:
                self._fault(
                    "yaml-tag",
                    line,
                    (f"不允许使用标签({tag[:60]})。", f"Tags are not allowed ({tag[:60]})."),
                )
        if isinstance(event, ScalarEvent):
            self._value(_scalar(event), line, event.value)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            level = _Level({} if isinstance(event, MappingStartEvent) else [])
            level.path = self._value(level.data, line, None)
            self.stack.append(level)
            if len(self.stack) > MAX_DEPTH:
                raise _too_much(self.file, line)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self.stack.pop()

    def _value(self, value: Any, line: int, raw: str | None) -> KeyPath:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _too_much(self.file, line)
        if not self.stack:
            path: KeyPath = ()
            self.root = value
        else:
            level = self.stack[-1]
            if isinstance(level.data, list):
                path = (*level.path, str(len(level.data)))
                level.data.append(value)
            elif level.key is _NO_KEY:
                self._key(level, value, line, raw)
                return level.path
            else:
                path = (*level.path, str(level.key))
                level.data[level.key] = value
                line = self.lines.get(path, line)
                level.key = _NO_KEY
        self.lines[path] = line
        if raw is not None:
            self.raw[path] = raw
        return path

    def _key(self, level: _Level, key: Any, line: int, raw: str | None) -> None:
        if raw is None:
            self._fault("yaml-key", line, ("键必须是一个词。", "A key must be one word."))
            key = f"?{self.nodes}"
        elif not isinstance(key, str | int) or isinstance(key, bool):
            key = raw
        path = (*level.path, str(key))
        if path in self.lines:
            first = self.lines[path]
            self._fault(
                "yaml-duplicate-key",
                line,
                (
                    f"键“{key}”重复(首次在第{first}行)。",
                    f"The key {key!r} is written twice (first in line {first}).",
                ),
                ".".join(path),
            )
            key = f"?{self.nodes}"
            path = (*level.path, key)
        self.lines[path] = line
        level.key = key

    def _fault(self, code: str, line: int, what: Words, column: str = "") -> None:
        if len(self.faults) >= 1000:
            raise InputRefused(tuple(self.faults))
        self.faults.append(
            error(code, Where(file=self.file, row=line, column=column), what, _REMEDIES[code])
        )


class _Level:
    __slots__ = ("data", "key", "path")

    def __init__(self, data: Any) -> None:
        self.data = data
        self.key: Any = _NO_KEY
        self.path: KeyPath = ()


_NO_KEY = object()
_REMEDIES: Mapping[str, Words] = {
    "yaml-many-documents": ("请只保留一个文档。", "Keep one document."),
    "yaml-alias": (
        "请把内容写全;以 & 或 * 开头的文字请加引号。",
        "Write it out; put text that begins with & or * in quotes.",
    ),
    "yaml-tag": (
        "请删去标签;以 ! 开头的文字请加引号。",
        "Remove the tag; put text that begins with ! in quotes.",
    ),
    "yaml-key": ("请用一个词作键。", "Write a single word as the key."),
    "yaml-duplicate-key": ("请删去其中一个。", "Remove one of the two."),
}


def _scalar(event: ScalarEvent) -> Any:
    """Return the value of a scalar: plain ones by the core rules of YAML 1.2, others as text."""
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > 40:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], document: Document, data: Any = None) -> M:
    """Return ``data`` (the document's own where None) as a value of the pydantic ``model``.

    Where the model wants text, the text as written is taken, so ``id: 450225`` stays text.

    Raises
    ------
    InputRefused
        With every fault, its line, and the nearest key for an unknown one.
    """
    data = document.data if data is None else data
    if not isinstance(data, Mapping):
        raise refusal(
            "yaml-not-a-mapping",
            document.where(),
            ("文件应由“键: 值”组成。", "The file must consist of 'key: value' lines."),
            (f"应有的键:{'、'.join(_keys(model))}。", f"Keys expected: {', '.join(_keys(model))}."),
        )
    try:
        return model.model_validate(data)
    except ValidationError as first:
        problem = first
    changed, data = _as_written(problem, document, data)
    if changed:
        try:
            return model.model_validate(data)
        except ValidationError as second:
            problem = second
    raise refused(model, document, problem)


def refused(model: type[BaseModel], document: Document, problem: ValidationError) -> InputRefused:
    """Return every fault that a model found, each with its line where it stands in the document."""
    found: dict[tuple[Where, str], Finding] = {}
    for fault in problem.errors(include_url=False):
        finding = _finding(model, document, fault)
        found.setdefault((finding.where, finding.code), finding)
    unknown = {where for where, code in found if code == "key-unknown"}
    return InputRefused(
        tuple(
            f for (where, code), f in found.items() if code == "key-unknown" or where not in unknown
        )
    )


def _as_written(problem: ValidationError, document: Document, data: Any) -> tuple[bool, Any]:
    """Replace numbers and truth values by their written text where text was wanted."""
    changed = False
    for fault in problem.errors(include_url=False):
        path = _written(document, fault["loc"])
        if (
            fault["type"] == "string_type"
            and isinstance(fault["input"], int | float)
            and path in document.raw
        ):
            data = _replaced(data, path, document.raw[path])
            changed = True
    return changed, data


def _replaced(data: Any, path: KeyPath, value: str) -> Any:
    if not path:
        return value
    if isinstance(data, list):
        return [
            _replaced(v, path[1:], value) if str(k) == path[0] else v for k, v in enumerate(data)
        ]
    return {k: _replaced(v, path[1:], value) if str(k) == path[0] else v for k, v in data.items()}


def _written(document: Document, loc: tuple[str | int, ...]) -> KeyPath:
    """Return the part of an error's place that stands in the file (union tags dropped)."""
    path: KeyPath = ()
    for step in loc:
        if (*path, str(step)) in document.lines:
            path = (*path, str(step))
    return path


def _finding(model: type[BaseModel], document: Document, fault: Any) -> Finding:
    kind, loc = str(fault["type"]), tuple(fault["loc"])
    limits = fault.get("ctx", {})
    if kind == "extra_forbidden" or (kind == "literal_error" and loc[-1] == "[key]"):
        if kind == "literal_error":
            loc, known = loc[:-1], re.findall(r"'(.*?)'", str(limits.get("expected", "")))
        else:
            known = _keys(_model_at(model, loc[:-1]))
        key = str(loc[-1])
        near = nearest(key, known)
        return error(
            "key-unknown",
            document.where(_written(document, loc)),
            (f"未知的键“{key}”。", f"The key {key!r} is unknown."),
            (
                f"是否为“{near}”?" if near else f"可用的键:{'、'.join(known)}。",
                f"Did you mean {near!r}?" if near else f"Known keys: {', '.join(known)}.",
            ),
        )
    if kind == "missing":
        path = _written(document, loc[:-1])
        return error(
            "key-missing",
            document.where(path),
            (f"缺少键“{loc[-1]}”。", f"The key {str(loc[-1])!r} is missing."),
            ("请补上。", "Add it."),
        )
    path = _written(document, loc)
    said = str(fault["msg"]).removeprefix("Value error, ")
    template = _MESSAGES_ZH.get(kind)
    zh = template.format(**limits) if template else said
    if isinstance(limits.get("error"), Unfit):
        zh = limits["error"].text.zh
    shown = document.raw.get(path, "")[:60]
    quoted = (f"“{shown}”:", f"{shown!r}: ") if shown else ("", "")
    if not path and loc:  # not written in this file: a study sets it, or a scenario extended
        key = ".".join(map(str, loc))
        quoted = (f"{key}:", f"{key}: ")
    return error(
        "value-not-allowed",
        document.where(path),
        (f"{quoted[0]}{zh}。", f"{quoted[1]}{said}."),
        ("键与取值见 docs/formats.md。", "Keys and values: docs/formats.md."),
    )


_MESSAGES_ZH: Mapping[str, str] = {
    "string_type": "应为文字",
    "string_too_long": "文字不超过{max_length}个字符",
    "string_pattern_mismatch": "只能用小写字母、数字和连字符",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "int_from_float": "应为整数",
    "float_type": "应为数字",
    "float_parsing": "应为数字",
    "finite_number": "应为有限的数",
    "bool_type": "应为 true 或 false",
    "bool_parsing": "应为 true 或 false",
    "greater_than": "应大于{gt}",
    "greater_than_equal": "不应小于{ge}",
    "less_than": "应小于{lt}",
    "less_than_equal": "不应大于{le}",
    "literal_error": "应为以下之一:{expected}",
    "dict_type": "应为“键: 值”",
    "model_type": "应为“键: 值”",
    "model_attributes_type": "应为“键: 值”",
    "list_type": "应为列表",
    "tuple_type": "应为列表",
    "too_short": "至少{min_length}项",
    "too_long": "至多{max_length}项",
}


def _keys(model: type[BaseModel] | None) -> list[str]:
    return [f.alias or name for name, f in model.model_fields.items()] if model else []


def _model_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> type[BaseModel] | None:
    """Return the model that holds the keys at ``loc``."""
    annotation: Any = model
    for step in loc:
        owner = _model_in(annotation)
        if owner is None:
            return None
        match = next((f for name, f in owner.model_fields.items() if step in (name, f.alias)), None)
        annotation = match.annotation if match is not None else annotation
    return _model_in(annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found is not None:
            return found
    return None
