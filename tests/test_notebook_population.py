"""The notebook on people runs from top to bottom, and is kept without outputs."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "02-how-many-people.ipynb"


def test_the_notebook_is_kept_without_outputs():
    import nbformat

    book = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not c.get("outputs") for c in book.cells if c.cell_type == "code")


@pytest.mark.slow
def test_the_code_of_the_notebook_runs_from_top_to_bottom(monkeypatch):
    import nbformat

    book = nbformat.read(NOTEBOOK, as_version=4)
    names: dict[str, object] = {}
    for number, cell in enumerate(c for c in book.cells if c.cell_type == "code"):
        exec(compile(cell.source, f"cell {number}", "exec"), names)
    backcast = names["backcast_shares"](names["counties"])[1]
    assert len(backcast) == 9
