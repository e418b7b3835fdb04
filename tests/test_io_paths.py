"""Names and paths: nothing outside the folder, nothing that some system takes for a device."""

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocator.errors import InputRefused
from allocator.io.paths import (
    checked_name,
    inside,
    read_bytes,
    shipped,
    without_folders,
    write_bytes,
)

BAD = ["", "..", "../../etc/passwd", "/etc/passwd", "a/../../b", "\\\\host\\share", "C:\\x", "C:x", "CON", "con.csv", "lpt1.txt",
       "a/NUL/b", "x ", "x.", "a//b", "a\x00b", "-x", "~/x", "$HOME", ".hidden"]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_names_that_lead_away_are_refused(tmp_path, name):
    with pytest.raises(InputRefused) as caught:
        inside(tmp_path, name)
    assert caught.value.findings[0].code == "path-outside-folder"


@pytest.mark.parametrize("name", ["areas.csv", "rates/need.csv", "村表(2025).csv", "a b.csv"])
def test_ordinary_names_stay(tmp_path, name):
    assert inside(tmp_path, name) == tmp_path / name


@given(st.text(max_size=20))
def test_whatever_is_accepted_lies_in_the_folder(name):
    folder = shipped("data")
    try:
        path = inside(folder, name)
    except InputRefused:
        return
    assert path.resolve().is_relative_to(folder.resolve())


def test_a_linked_folder_that_leads_out_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "rates").symlink_to(tmp_path / "out", target_is_directory=True)
    with pytest.raises(InputRefused):
        inside(tmp_path / "in", "rates/need.csv")


@pytest.mark.parametrize("name", ["../x", "CON", "a/b", "x\n", "x" * 101, "", ".x"])
def test_unsafe_run_names_are_refused(name):
    with pytest.raises(InputRefused):
        checked_name(name)


def test_files_over_the_limit_and_folders_are_refused(tmp_path):
    path = write_bytes(tmp_path / "x", b"12345")
    assert read_bytes(path, 5) == b"12345"
    for file, limit, code in (
        (path, 4, "file-too-large"),
        (tmp_path, 9, "file-missing"),
        (tmp_path / "no", 9, "file-missing"),
    ):
        with pytest.raises(InputRefused) as caught:
            read_bytes(file, limit)
        assert caught.value.findings[0].code == code


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_read_only_folder_is_told_with_its_path(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputRefused) as caught:
        write_bytes(tmp_path / "x", b"1")
    tmp_path.chmod(0o700)
    assert str(tmp_path) in caught.value.findings[0].where.file


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
def test_a_written_file_may_be_read_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        path = write_bytes(tmp_path / "deep" / "report.html", b"text")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_bytes() == b"text"
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("No such file: '/home/li/cases/x.csv'", "No such file: 'x.csv'"),
        ("cannot open /srv/a b/data.npz now", "cannot open data.npz now"),
        (r"cannot open C:\Users\li\x.csv", "cannot open x.csv"),
        (r"\\server\share\x.csv is held", "x.csv is held"),
        ("see file:///home/li/x.csv or ~/li/x.csv", "see x.csv or x.csv"),
        (
            "persons/month, 3/4, http://example.org/a/b",
            "persons/month, 3/4, http://example.org/a/b",
        ),
    ],
)
def test_a_message_is_told_without_folders(said, kept):
    assert without_folders(said) == kept


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("open", PermissionError(13, "Permission denied")),
        ("fsync", OSError(28, "No space left on device")),
        ("replace", PermissionError(13, "The process cannot access the file")),
        ("open", OSError(30, "Read-only file system")),
    ],
)
def test_whatever_step_of_a_write_fails_the_old_file_stays_and_nothing_is_left(
    tmp_path, monkeypatch, where, problem
):
    """A folder without permission, a full disk, a file open in Excel, a read-only disk."""
    path = write_bytes(tmp_path / "plan.xlsx", b"old")

    def fails(*_, **__):
        raise problem

    with monkeypatch.context() as patched:
        patched.setattr(f"allocator.io.paths.os.{where}", fails)
        with pytest.raises(InputRefused) as caught:
            write_bytes(path, b"new")
    (finding,) = caught.value.findings
    assert finding.where.file == str(path) and problem.strerror in finding.what.zh
    assert "Excel" in finding.remedy.en and caught.value.exit_code == 2
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["plan.xlsx"]
