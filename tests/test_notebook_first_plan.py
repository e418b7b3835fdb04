"""The notebook on a first plan is stored without outputs and runs from top to bottom."""

import os
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
PATH = ROOT / "notebooks" / "01-a-first-plan.ipynb"


def test_the_notebook_is_stored_without_outputs():
    book = nbformat.read(PATH, as_version=4)
    code = [c for c in book.cells if c.cell_type == "code"]
    assert code and all(not c.outputs and c.execution_count is None for c in code)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    from nbclient import NotebookClient

    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in paths if p))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = nbformat.read(PATH, as_version=4)
    done = NotebookClient(
        book,
        timeout=120,
        coalesce_streams=True,  # else a cell's prints may arrive as several outputs
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    last = [c for c in done.cells if c.cell_type == "code"][-1]
    assert "manifest.json" in last.outputs[0]["text"]
    assert len(list((tmp_path / "runs").iterdir())) == 2
