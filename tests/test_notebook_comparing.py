"""The notebooks on comparing plans and on studies are stored without outputs and run from top to bottom."""

from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NAMES = ("05-compare-plans", "06-a-study")


def _cells(name):
    book = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    return [c for c in book.cells if c.cell_type == "code"]


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_is_stored_without_outputs(name):
    cells = _cells(name)
    assert cells and all(not c.outputs and c.execution_count is None for c in cells)


def _run(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for number, cell in enumerate(_cells(name)):
        exec(compile(cell.source, f"{name}, cell {number}", "exec"), names)
    return names


@pytest.mark.slow
def test_plans_are_compared_from_top_to_bottom(tmp_path, monkeypatch):
    names = _run("05-compare-plans", tmp_path, monkeypatch)
    assert [r.scenario.name for r in names["runs"]] == ["today", "embedded-first", "best-mix"]
    assert names["always"]


@pytest.mark.long
def test_a_study_is_carried_out_stopped_and_gone_on_with(tmp_path, monkeypatch):
    names = _run("06-a-study", tmp_path, monkeypatch)
    assert names["again"].kept == 4
    regret = names["both"].regret()
    assert regret.loc["today", "worst"] > regret.loc["embedded-first", "worst"] == 0.0
    assert names["chart"].render(("en",)).startswith("<svg")
