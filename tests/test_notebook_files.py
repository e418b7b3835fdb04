"""The notebook from a planner's files is stored without outputs and runs from top to bottom."""

from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).parents[1] / "notebooks" / "03-from-your-files.ipynb"


def _cells():
    book = nbformat.read(BOOK, as_version=4)
    return [c for c in book.cells if c.cell_type == "code"]


def test_the_notebook_is_stored_without_outputs():
    cells = _cells()
    assert cells and all(not c.outputs and c.execution_count is None for c in cells)


@pytest.mark.slow
def test_slips_are_told_and_mended_rows_become_a_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, cell in enumerate(_cells()):
        exec(compile(cell.source, f"03-from-your-files, cell {number}", "exec"), names)
    assert {(f.where.sheet, f.where.row) for f in names["faults"]} == {
        ("村(社区) areas", 4),
        ("村(社区) areas", 7),
    }
    assert abs(names["first"]["lon"] - 114.52) < 3e-5
    assert names["run"].plan.is_complete
    assert len(names["wide"].columns) == 3
