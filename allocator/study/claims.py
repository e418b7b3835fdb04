"""Which runner does which run, where several work on one folder.

A runner holds a file under a lock of the system and touches it every few seconds; a claim is a file
that names its runner. A claim counts as long as its runner lives: on the same machine the
lock tells at once, from another machine a file untouched for `STALE_SECONDS` does. Claims only save
work: two runners that did the same run would write the same bytes, each whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import secrets
import threading
import uuid
from pathlib import Path
from typing import IO

from allocator.io.paths import not_writable

__all__ = ["BEAT_SECONDS", "STALE_SECONDS", "Claims"]

BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0


class Claims:
    """Claims of one runner in a folder; use it as a context.

    Raises
    ------
    InputRefused
        On entering, when the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / ".claims"
        self.token = secrets.token_hex(8)
        self._stop = threading.Event()
        self._handle: IO[str] | None = None

    def __enter__(self) -> Claims:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._handle = self._own.open("w", encoding="utf-8")
            _lock(self._handle)
            json.dump({"machine": _machine(), "token": self.token}, self._handle)
            self._handle.flush()
        except OSError as problem:
            raise not_writable(self.folder, problem) from problem
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for path in self.folder.glob("*.claim"):
            if _holder(path) == self.token:
                path.unlink(missing_ok=True)
        if self._handle is not None:
            self._handle.close()
        self._own.unlink(missing_ok=True)

    def take(self, run_id: str) -> bool:
        """Claim a run; False where another living runner has it."""
        path = self._claim(run_id)
        for _ in range(3):
            try:
                self._put(path)
                return True
            except FileExistsError:
                holder = _holder(path)
            except OSError as problem:
                raise not_writable(path, problem) from problem
            if holder == self.token:
                return True
            if holder is None:
                if not path.exists():
                    continue
                if self._now() - path.stat().st_mtime < STALE_SECONDS:
                    return False
            elif self._lives(holder):
                return False
            # A dead runner's claim is moved aside; of two that try, one finds it gone.
            aside = self.folder / f"{run_id}.{secrets.token_hex(4)}.old"
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, aside)
                if _holder(aside) not in (holder, None) and not path.exists():
                    os.replace(aside, path)
                aside.unlink(missing_ok=True)
        return False

    def release(self, run_id: str) -> None:
        """Give up a claim."""
        self._claim(run_id).unlink(missing_ok=True)

    def others(self) -> tuple[str, ...]:
        """Tokens of other living runners in the folder."""
        tokens = sorted(p.stem for p in self.folder.glob("*.runner"))
        return tuple(t for t in tokens if t != self.token and self._lives(t))

    def _put(self, path: Path) -> None:
        """Make the claim with its content at once: a second name of the runner's own file."""
        try:
            os.link(self._own, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            with path.open("x", encoding="utf-8") as file:
                json.dump({"machine": _machine(), "token": self.token}, file)

    @property
    def _own(self) -> Path:
        return self.folder / f"{self.token}.runner"

    def _claim(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.claim"

    def _lives(self, token: str) -> bool:
        path = self.folder / f"{token}.runner"
        try:
            with path.open("r+", encoding="utf-8") as file:
                machine = str(_json(file).get("machine", ""))
                age = self._now() - os.fstat(file.fileno()).st_mtime
                if machine != _machine():
                    return age < STALE_SECONDS
                if not _try_lock(file):
                    return True
        except FileNotFoundError:
            return False
        except OSError:
            return True
        if age < 1.0 and machine == "":  # just made, and not locked yet
            return True
        path.unlink(missing_ok=True)
        return False

    def _now(self) -> float:
        """Return the time as the folder's own clock has it, which may be a server's."""
        os.utime(self._own)
        return self._own.stat().st_mtime

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self._own)


def _holder(path: Path) -> str | None:
    """Return the token in a claim; None where it is gone or not written yet."""
    try:
        with path.open(encoding="utf-8") as file:
            token = _json(file).get("token")
    except OSError:
        return None
    return str(token) if token else None


def _json(file: IO[str]) -> dict[str, object]:
    with contextlib.suppress(ValueError):
        found = json.load(file)
        if isinstance(found, dict):
            return found
    return {}


def _machine() -> str:
    """Digest that tells machines apart and names none."""
    return hashlib.sha256(f"{platform.node()}{uuid.getnode()}".encode()).hexdigest()[:16]


def _take_lock(file: IO[str], wait: bool) -> None:
    if os.name == "nt":  # pragma: no cover
        import msvcrt

        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _lock(file: IO[str]) -> None:
    _take_lock(file, wait=True)


def _try_lock(file: IO[str]) -> bool:
    try:
        _take_lock(file, wait=False)
    except OSError:
        return False
    return True
