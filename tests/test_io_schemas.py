"""The shipped JSON Schemas are those of the code, and documents of the formats satisfy them."""

import csv
import json
from pathlib import Path

import jsonschema
import pytest

from allocator.io.json_schemas import FOLDER, json_schemas
from allocator.io.paths import shipped
from allocator.io.policy_files import TABLES
from allocator.io.values import json_bytes
from allocator.io.yaml_file import read_yaml
from allocator.schema import SCHEMAS

DOCS = Path(__file__).parents[1] / "docs"


def test_shipped_schemas_equal_generated_ones():
    made = {f"{name}.json": json_bytes(schema) for name, schema in json_schemas().items()}
    assert {p.name: p.read_bytes() for p in FOLDER.glob("*.json")} == made


@pytest.mark.parametrize("name", sorted(json_schemas()))
def test_each_is_a_schema(name):
    jsonschema.Draft202012Validator.check_schema(json_schemas()[name])


def test_the_shipped_case_satisfies_its_schema():
    data = read_yaml(shipped("data/rongshui") / "case.yaml").data
    jsonschema.validate(data, json_schemas()["case"])


def test_every_column_and_code_is_in_the_pages():
    formats = (DOCS / "formats.md").read_text(encoding="utf-8")
    for schema in SCHEMAS.values():
        for column in schema.columns:
            assert f"`{column.name}`" in formats, f"{schema.name}.{column.name} is not described"


def test_every_finding_of_the_door_has_a_section():
    page = (DOCS / "findings.md").read_text(encoding="utf-8")
    missing = sorted(code for code in codes() if f"`{code}`" not in page)
    assert not missing, f"no section in docs/findings.md: {missing}"


def codes():
    """Codes written in the readers: the first argument of the functions that make findings."""
    import ast

    makers = {
        "error",
        "warning",
        "notice",
        "refusal",
        "_refused",
        "_refuse",
        "_failed",
        "_fault",
        "add",
        "warn",
        "note",
        "each",
        "tell",
    }
    for path in (Path(__file__).parents[1] / "allocator" / "io").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = (
                node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            )
            first = node.args[0]
            if (
                name in makers
                and isinstance(first, ast.Constant)
                and isinstance(first.value, str)
                and "-" in first.value
            ):
                yield first.value


def test_json_of_a_schema_is_stable():
    assert json.loads(json_bytes(json_schemas()["case"]))["title"] == "case.yaml"


@pytest.mark.parametrize("stem", sorted(TABLES))
def test_the_shipped_policy_tables_satisfy_their_schemas(stem):
    schema = json_schemas()[f"catalogue-{stem}"]
    kinds = {k: v["type"] for k, v in schema["items"]["properties"].items()}
    with (shipped("data") / "catalogue" / f"{stem}.csv").open(encoding="utf-8") as file:
        rows = [{k: _typed(v, kinds[k]) for k, v in row.items()} for row in csv.DictReader(file)]
    jsonschema.validate(rows, schema)
    del rows[0][schema["items"]["required"][0]]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(rows, schema)


def _typed(text, kind):
    if kind == "integer":
        return int(text)
    if kind == "number" or ("number" in kind and text):
        return float(text)
    return None if "null" in kind and not text else text
