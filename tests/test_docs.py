"""The documentation: builds offline, names every rule, and speaks of commands that exist."""

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from report_runs import frame, made_run
from typer.main import get_command

from allocator import rules
from allocator.cli.commands import app
from allocator.errors import Text
from allocator.report.chapters import compose
from allocator.report.study_chapter import StudyView

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def test_the_formulation_names_every_rule_and_no_other():
    text = (DOCS / "formulation.md").read_text(encoding="utf-8")
    families = text.split("## Families")[1].split("## Objectives")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", families, re.M))
    assert named == {c.__name__ for c in rules.Rule.__subclasses__()}


def _codes():
    """Codes of findings written in the package, with the file that tells them."""
    makers = {"Finding", "error", "refusal", "_failed", "_refused"}
    for path in sorted((ROOT / "allocator").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in makers:
                for given in node.args[:2]:
                    text = getattr(given, "value", None)
                    if isinstance(text, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text):
                        yield text, path.name


def test_every_finding_has_a_line_in_the_documentation():
    written = " ".join(p.read_text(encoding="utf-8") for p in DOCS.rglob("*.md"))
    codes = set(_codes())
    assert len(codes) > 150
    assert not {(code, file) for code, file in codes if f"`{code}`" not in written}


def test_every_command_in_the_documentation_exists():
    known = get_command(app).commands
    for page in [*DOCS.rglob("*.md"), ROOT / "README.md"]:
        for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            for line in re.findall(r"(?:^|&& )allocator (.+)", block, re.M):
                words = line.split()
                assert words[0].split("/")[0] in known, f"{page.name}: allocator {line}"
                command = known[words[0]]
                if hasattr(command, "commands"):
                    command = command.commands[words[1].split("/")[0]]
                options = {o for p in command.params for o in p.opts}
                asked = {w.split("=")[0] for w in words if w.startswith("--")}
                assert asked <= options, f"{page.name}: {line}"


def test_the_page_on_reports_lists_every_chapter_and_no_other():
    text = (DOCS / "reports.md").read_text(encoding="utf-8")
    listed = set(
        re.findall(r"`([\w-]+)`", text.split("Ids of chapters:")[1].split("A tag that is")[0])
    )
    runs = [made_run(frame(towns=2, sites=3)), made_run(frame(towns=2, sites=3), seed=5)]
    table = pd.DataFrame({"name": ["a"], "gap": [0.0]})
    study = StudyView(
        title=Text("研", "s"), note=Text("", ""), table=table, settings={}, measures={}
    )
    made = compose(runs, region=frame(towns=2, sites=3), study=study)
    assert listed == {c.id for c in made.chapters}


def test_every_page_has_its_place_in_the_site():
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md")}
    assert pages == set(re.findall(r": ([\w/-]+\.md)", site))


@pytest.mark.slow
def test_the_site_builds_and_fetches_nothing(tmp_path):
    if find_spec("mkdocs") is None or find_spec("mkdocstrings") is None:
        pytest.skip("mkdocs is not installed (extra docs)")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<(?:script|img|iframe)[^>]+src=[\"'](?:https?:)?//", text), page.name
        assert not re.search(r"<link[^>]+href=[\"'](?:https?:)?//", text), page.name
    api = (tmp_path / "api" / "rules.html").read_text(encoding="utf-8")
    assert all(c.__name__ in api for c in rules.Rule.__subclasses__())
