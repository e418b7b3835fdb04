"""What can go wrong, how it is told, and with which exit code.

AllocatorError
├── InputRefused        input has faults; carries every Finding (exit 2)
├── NoPlanExists        hard rules contradict; carries the conflict (exit 3)
├── CheckFailed         a plan or a store failed its check (exit 4)
├── LimitReached        a limit came before any plan (exit 5)
└── StudyIncomplete     some runs of a study failed (exit 6)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

__all__ = [
    "NO_TEXT",
    "AllocatorError",
    "CheckFailed",
    "ExitCode",
    "Finding",
    "InputRefused",
    "LimitReached",
    "NoPlanExists",
    "Rank",
    "StudyIncomplete",
    "Text",
    "Unfit",
    "Where",
    "nearest",
    "plural",
    "refuse_if_any",
]


class ExitCode(IntEnum):
    """What a command returns to the shell."""

    PLAN = 0
    REFUSED = 2
    NO_PLAN = 3
    CHECK_FAILED = 4
    LIMIT = 5
    STUDY_INCOMPLETE = 6
    USAGE = 64
    BUG = 70
    INTERRUPTED = 130


class Rank(StrEnum):
    """How grave a finding is: only an error stops the work."""

    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence or title in both languages."""

    zh: str
    en: str

    def __str__(self) -> str:
        return self.en

    def in_language(self, language: str) -> str:
        """Return the sentence in ``zh`` or ``en``."""
        return self.zh if language == "zh" else self.en


NO_TEXT = Text("", "")


def plural(count: float, noun: str, many: str = "") -> str:
    """Return a count with its English noun: ``1 area``, ``1,200 areas``; ``many`` where not by -s.

    >>> plural(1, "person", "persons"), plural(0, "village"), plural(3, "body", "bodies")
    ('1 person', '0 villages', '3 bodies')
    """
    return f"{count:,.10g} {noun if count == 1 else many or noun + 's'}"


@dataclass(frozen=True, slots=True)
class Where:
    """The place of a finding: file, sheet, row (1 = header), column, or an id."""

    file: str = ""
    sheet: str = ""
    row: int | None = None
    column: str = ""
    id: str = ""

    def __str__(self) -> str:
        return self.in_language("en")

    def in_language(self, language: str) -> str:
        """Return the place in ``zh`` or ``en``."""
        row, column = ("第{}行", "列“{}”") if language == "zh" else ("row {}", "column {}")
        parts = [self.file, self.sheet]
        parts += [row.format(self.row)] if self.row is not None else []
        parts += [column.format(self.column)] if self.column else []
        parts += [self.id] if self.id else []
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: what is wrong, where, and what to do about it.

    ``code`` is a stable kebab-case id with a section in ``docs/findings.md``.
    """

    rank: Rank
    code: str
    where: Where
    what: Text
    remedy: Text

    def line(self, language: str = "en") -> str:
        """Return the finding as one line of text in ``zh`` or ``en``."""
        gap = " " if language == "en" else ""
        where = self.where.in_language(language)
        what, remedy = self.what.in_language(language), self.remedy.in_language(language)
        return f"[{self.code}] {where}{': ' if where else ''}{what}{gap}{remedy}"

    def as_dict(self) -> dict[str, object]:
        """Return the finding as plain data for JSON."""
        return {
            "rank": str(self.rank),
            "code": self.code,
            "file": self.where.file,
            "sheet": self.where.sheet,
            "row": self.where.row,
            "column": self.where.column,
            "id": self.where.id,
            "what": {"zh": self.what.zh, "en": self.what.en},
            "remedy": {"zh": self.remedy.zh, "en": self.remedy.en},
        }


class Unfit(ValueError):
    """A value that a model refuses, said in both languages; as a text it is the English."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.text = Text(zh, en)


class AllocatorError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = ExitCode.BUG


@dataclass
class _WithFindings(AllocatorError):
    findings: tuple[Finding, ...] = field(default_factory=tuple)
    shown: int = 20

    def __post_init__(self) -> None:
        super().__init__(str(self))

    def __str__(self) -> str:
        return self.text("en")

    def text(self, language: str) -> str:
        """Return the first findings, one a line, and the count of the rest."""
        lines = [f.line(language) for f in self.findings[: self.shown]]
        more = len(self.findings) - self.shown
        if more > 0:
            lines.append(f"… 另有 {more} 条" if language == "zh" else f"… and {more} more")
        return "\n".join(lines)


class InputRefused(_WithFindings):
    """The input has faults; nothing was solved. Every fault is in ``findings``."""

    exit_code = ExitCode.REFUSED


class NoPlanExists(_WithFindings):
    """Hard rules contradict one another; ``findings`` name the conflict and the way out."""

    exit_code = ExitCode.NO_PLAN


class CheckFailed(_WithFindings):
    """A plan or a stored run did not pass its independent check."""

    exit_code = ExitCode.CHECK_FAILED


@dataclass
class LimitReached(_WithFindings):
    """A limit was reached before any plan was found.

    ``incomplete`` holds what was found that breaks hard rules (`allocator.run.Incomplete`), if anything was.
    """

    exit_code = ExitCode.LIMIT
    incomplete: Any = None


class StudyIncomplete(_WithFindings):
    """A study ended with failed runs; the others are stored."""

    exit_code = ExitCode.STUDY_INCOMPLETE


def refuse_if_any(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Raise `InputRefused` with all findings if one is an error; else return them as a tuple."""
    found = tuple(findings)
    if any(f.rank is Rank.ERROR for f in found):
        raise InputRefused(tuple(sorted(found, key=lambda f: f.rank is not Rank.ERROR)))
    return found


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like ``word``, or None when none is near."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None
