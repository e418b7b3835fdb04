"""The command line: exit codes a script can rely on, and no traceback for what we foresaw."""

from __future__ import annotations

import pytest

from allocator.cli import main
from allocator.errors import ExitCode


@pytest.mark.parametrize("given", [["nonsense"], ["run", "--nope"], ["compare"]])
def test_a_mistyped_command_is_a_usage_error(given: list[str], capsys):
    assert main(given) == ExitCode.USAGE
    assert "Traceback" not in "".join(capsys.readouterr())


def test_help_is_no_error(capsys):
    assert main(["--help"]) == 0
    assert "demo" in capsys.readouterr().out
