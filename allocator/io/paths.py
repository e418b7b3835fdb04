"""Where files may lie: names by whitelist, paths inside their folder, sizes within limits.

Nothing read from a file can name a path outside the folder it came from.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from pathlib import Path

import allocator
from allocator.errors import Finding, InputRefused, Rank, Text, Where

__all__ = [
    "checked_name",
    "digest_of",
    "digest_of_file",
    "inside",
    "not_writable",
    "read_bytes",
    "shipped",
    "sized_file",
    "without_folders",
    "write_bytes",
]

MEBIBYTE = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_PART = re.compile(r"[\w][\w .()\uFF08\uFF09-]{0,119}")
_FOLDERS = re.compile(
    r"(?<![\w.\\/:-])(?:file:|[A-Za-z]:|~)?[\\/]{1,4}(?:[^\\/\s'\"<>|~:]+(?: [^\\/\s'\"<>|~:]+)*[\\/])+"
)
_DEVICES = {"con", "prn", "aux", "nul", "clock$", "conin$", "conout$"} | {
    f"{word}{n}" for word in ("com", "lpt") for n in "0123456789¹²³"
}


def _refused(
    code: str, where: Where, what: tuple[str, str], remedy: tuple[str, str]
) -> InputRefused:
    return InputRefused((Finding(Rank.ERROR, code, where, Text(*what), Text(*remedy)),))


def _is_device(part: str) -> bool:
    return part.split(".")[0].strip().lower() in _DEVICES


def checked_name(name: str, where: Where | None = None) -> str:
    """Return a scenario, run or study name that is safe as a file name on every system.

    Letters, digits, ``-`` and ``_``, at most 100, beginning with a letter or digit, and no device
    name of Windows (``CON``, ``NUL``, ``COM1`` ...).

    Raises
    ------
    InputRefused
        When it is anything else.
    """
    if _NAME.fullmatch(name) and not _is_device(name):
        return name
    shown = name[:80]
    raise _refused(
        "name-not-allowed",
        where or Where(id=shown),
        (f"名称“{shown}”不可用作文件名。", f"The name {shown!r} cannot be a file name."),
        (
            "请用英文字母、数字、- 和 _,不超过100个字符,不用系统保留名。",
            "Use letters, digits, - and _, at most 100, and no name reserved by Windows.",
        ),
    )


def inside(folder: Path, name: str, where: Where | None = None) -> Path:
    """Return the path of ``name`` below ``folder``; it lies there also after links are followed.

    Raises
    ------
    InputRefused
        When the name is absolute, climbs out, uses a backslash, a drive or a reserved name, or
        when a link on the way leads out of the folder.
    """
    parts = name.split("/")
    usable = bool(name) and all(
        _PART.fullmatch(part) and not _is_device(part) and not part.endswith((".", " "))
        for part in parts
    )
    path = folder.joinpath(*parts) if usable else folder
    if usable and path.resolve().is_relative_to(folder.resolve()):
        return path
    shown = name[:120]
    raise _refused(
        "path-outside-folder",
        where or Where(id=shown),
        (
            f"路径“{shown}”不在案例文件夹内或不可用。",
            f"The path {shown!r} does not stay in the folder.",
        ),
        (
            "请把文件放进案例文件夹,并写相对路径(用 /,不用 ..、盘符或链接)。",
            "Put the file into the folder and write a relative path with /, no .., drive or link.",
        ),
    )


def sized_file(path: Path, limit: int, name: str = "") -> Path:
    """Return the path of a regular file of at most ``limit`` bytes.

    Raises
    ------
    InputRefused
        When the file is missing, no regular file, too large or out of sight.
    """
    where = Where(file=name or path.name)
    try:
        if not path.is_file():
            raise _refused(
                "file-missing",
                where,
                ("找不到文件。", "The file is not there, or is no ordinary file."),
                ("请检查文件名和文件夹。", "Check the name and the folder."),
            )
        size = path.stat().st_size
    except OSError as problem:
        raise _not_readable(where, problem) from problem
    if size > limit:
        raise _refused(
            "file-too-large",
            where,
            (
                f"文件有{size:,}字节,上限{limit:,}字节。",
                f"The file has {size:,} bytes; the limit is {limit:,}.",
            ),
            ("请拆分或精简文件。", "Split the file or leave out what is not needed."),
        )
    return path


def read_bytes(path: Path, limit: int = 200 * MEBIBYTE, name: str = "") -> bytes:
    """Return the bytes of a regular file of at most ``limit`` bytes.

    ``name`` is what findings call the file; the bare file name where it is blank.

    Raises
    ------
    InputRefused
        When the file is missing, no regular file, too large or not readable.
    """
    try:
        with sized_file(path, limit, name).open("rb") as f:
            return f.read(limit + 1)[:limit]
    except OSError as problem:
        raise _not_readable(Where(file=name or path.name), problem) from problem


def _not_readable(where: Where, problem: OSError) -> InputRefused:
    reason = problem.strerror or type(problem).__name__
    return _refused(
        "file-not-readable",
        where,
        (f"无法读取文件:{reason}。", f"The file cannot be read: {reason}."),
        (
            "请检查权限,或关闭占用它的程序。",
            "Check permissions, or close the program that holds it.",
        ),
    )


def write_bytes(path: Path, data: bytes) -> Path:
    """Write ``data`` to ``path`` whole or not at all: a file beside it, flushed, then renamed.

    Raises
    ------
    InputRefused
        When the disk is full, the folder read-only or the file held by another program; an
        older file of the name is unharmed and nothing is left beside it.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.parent / f".part-{secrets.token_hex(8)}"
        # Readable by whom the user's umask allows: reports lie in folders that are shared.
        binary = getattr(os, "O_BINARY", 0)
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | binary, 0o666)
        temporary = beside
        with os.fdopen(handle, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
        return path
    except (OSError, KeyboardInterrupt) as problem:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(problem, OSError):
            raise not_writable(path, problem) from problem
        raise


def not_writable(path: Path, problem: OSError) -> InputRefused:
    """Return the error that says why ``path`` could not be written."""
    reason = problem.strerror or type(problem).__name__
    return _refused(
        "file-not-writable",
        Where(file=str(path)),
        (f"无法写入:{reason}。", f"It cannot be written: {reason}."),
        (
            "请检查磁盘空间和权限,关闭打开它的程序(如 Excel),或另选文件夹。",
            "Check disk space and permissions, close the program that holds it (Excel, say), or choose another folder.",
        ),
    )


def without_folders(text: str) -> str:
    """Return a message with each absolute path cut to its last name: folders tell of the user."""
    return _FOLDERS.sub("", text)


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, however large it is."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def shipped(name: str) -> Path:
    """Return a folder that comes with the package, such as ``data/rates``.

    Inside an installed wheel it lies in ``allocator/shipped``, in a checkout beside the package.
    """
    package = Path(allocator.__file__).parent
    installed = package / "shipped" / name
    return installed if installed.exists() else package.parent / name
