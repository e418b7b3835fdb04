"""Whether the packages of solvers are of releases that this program was tested with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from allocator.errors import Finding, Rank, Text, Where

__all__ = ["SUPPORTED", "version_findings"]

SUPPORTED = {"pulp": ("3.3", "4"), "highspy": ("1.8", "2")}
"""First release supported, and the first that is not; `pyproject.toml` asks for the same."""


def version_findings() -> tuple[Finding, ...]:
    """Return an error for each package whose installed release is not supported."""
    found = []
    for name, (first, end) in SUPPORTED.items():
        try:
            here = version(name)
        except PackageNotFoundError:
            here = ""
        if _numbers(first) <= _numbers(here) < _numbers(end):
            continue
        there = here or "–"
        found.append(
            Finding(
                Rank.ERROR, "package-version", Where(id=name),
                Text(f"已安装 {name} {there},本软件需要 {first} 及以上、{end} 以下。",
                     f"{name} {there} is installed; this program needs {first} or later, before {end}."),
                Text(f'请运行 pip install "{name}>={first},<{end}"。', f'Run pip install "{name}>={first},<{end}".'),
            )
        )  # fmt: skip
    return tuple(found)


def _numbers(release: str) -> tuple[int, ...]:
    """Return (3, 3, 2) of ``3.3.2`` and (4, 0) of ``4.0rc1``; nothing of nothing."""
    parts = []
    for part in release.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)
