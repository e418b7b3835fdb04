"""The command line: thin faces on the functions of the house.

Exit codes: 0 plan, 2 refused input, 3 no plan exists, 4 a plan or store failed its check, 5 limit
before any plan, 6 a study with failed runs, 64 usage, 70 a bug of ours, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code; never a traceback for what we foresaw."""
    import typer
    from rich.console import Console

    from allocator.cli.commands import app
    from allocator.cli.show import findings, in_full, language_of, say
    from allocator.cli.versions import version_findings
    from allocator.errors import AllocatorError, ExitCode, _WithFindings, refuse_if_any
    from allocator.io.paths import not_writable

    # Some releases of typer stand on click, others carry their own copy: ask typer for its class.
    UsageError: Any = typer.BadParameter.__mro__[2]
    console = Console(stderr=True)
    given = sys.argv[1:] if arguments is None else arguments
    try:
        refuse_if_any(version_findings())
        code = typer.main.get_command(app).main(
            args=given, prog_name="allocator", standalone_mode=False
        )
        result = int(code or 0)
    except (typer.Abort, KeyboardInterrupt):
        result = ExitCode.INTERRUPTED
    except UsageError as problem:
        problem.show()
        result = ExitCode.USAGE
    except AllocatorError as problem:
        language = language_of(given)
        if isinstance(problem, _WithFindings):
            findings(console, problem.findings, language)
            if not any(word.split("=")[0] == "--findings" for word in given):
                in_full(console, problem.findings, language)
        else:
            console.print(str(problem), style="red", markup=False)
        result = problem.exit_code
    except OSError as problem:  # a full disk or a locked file where no room of the house told it
        findings(
            console,
            not_writable(Path(problem.filename or ""), problem).findings,
            language_of(given),
        )
        result = ExitCode.REFUSED
    except Exception:
        console.print_exception()
        result = ExitCode.BUG
    if result == ExitCode.INTERRUPTED:
        told = "已中断;此前保存的结果完好,再次运行同一命令即可接着做。", "Interrupted; what was stored before is unharmed: give the same command again to go on."  # fmt: skip
        console.print(say(language_of(given), *told), markup=False, highlight=False)
    if arguments is not None:
        return int(result)
    if result == ExitCode.INTERRUPTED:
        # A solver that has not yet heard may still run, and would bring the ordinary way out down.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(result))
    sys.exit(int(result))
