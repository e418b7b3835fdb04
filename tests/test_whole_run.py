"""A whole run from the command line: what must not change it, and its check."""

import json
import os
import random
import re
import shutil
import subprocess
import sys

import jsonschema
import numpy as np
import pandas as pd
import pytest
import tiny_county
from small_county import CASE, ROOT, SCENARIOS

import allocator as al
from allocator.io.json_schemas import json_schemas
from allocator.run import run_id

pytestmark = pytest.mark.slow

THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
HERE = {"TZ": "Asia/Shanghai", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"} | dict.fromkeys(
    THREADS, "1"
)
THERE = {
    "TZ": "America/New_York",
    "LC_ALL": "C",
    "LANG": "",
    "PYTHONHASHSEED": "2",
} | dict.fromkeys(THREADS, "16")
USER = {
    "USER": "li-of-the-bureau",
    "LOGNAME": "li-of-the-bureau",
    "ALLOCATOR_TOKEN": "s3cret-token",
}


def _shuffled(case, folder):
    """Copy the case folder with the rows of every table in another order."""
    shutil.copytree(case, folder)
    for path in sorted(folder.glob("*.csv")):
        head, *rows = path.read_text(encoding="utf-8").splitlines()
        random.Random(7).shuffle(rows)
        path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return folder


def _tiny(folder):
    """Write the case of a few villages and its scenario."""
    return tiny_county.write(folder / "tiny"), tiny_county.write_scenario(folder / "base.yaml")


def _unpacked(folder):
    """Return the text of every table and array of a run, which lies compressed in its files."""
    tables = [pd.read_parquet(p).to_csv() for p in sorted(folder.rglob("*.parquet"))]
    with np.load(folder / "problem.npz", allow_pickle=False) as arrays:
        return "".join(tables).encode() + b"".join(arrays[n].tobytes() for n in arrays.files)


def _run(case, scenario, out, env):
    """Run a scenario from the command line and return its folder."""
    done = subprocess.run(
        [sys.executable, "-c", "from allocator.cli import main; main()", "run", str(case),
         str(scenario), "--no-report", "--out", str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env}, cwd=out.parent, capture_output=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    (folder,) = [p for p in out.iterdir() if p.is_dir()]
    return folder


@pytest.mark.parametrize("frame", ["small", pytest.param("county", marks=pytest.mark.long)])
def test_row_order_locale_time_zone_cores_and_hash_seed_do_not_change_a_run(frame, tmp_path):
    case, scenario = _tiny(tmp_path) if frame == "small" else (CASE, SCENARIOS / "today.yaml")
    home = tmp_path / "li-of-the-bureau"
    home.mkdir()
    one = _run(case, scenario, tmp_path / "a", {**HERE, **USER, "HOME": str(home)})
    two = _run(_shuffled(case, tmp_path / "shuffled"), scenario, tmp_path / "b", THERE)
    files = {p.relative_to(one).as_posix(): p.read_bytes() for p in one.rglob("*") if p.is_file()}
    assert "problem.npz" in files and "plan/served.parquet" in files
    names = {"inputs.json", "manifest.json"}  # they hold digests of the files as they were given
    for name in sorted(set(files) - names):
        assert files[name] == (two / name).read_bytes(), name
    given = [json.loads((p / "inputs.json").read_text(encoding="utf-8")) for p in (one, two)]
    assert given[0].pop("run") != given[1].pop("run")
    assert given[0]["inputs"].pop("digests") != given[1]["inputs"].pop("digests")
    assert given[0] == given[1]

    for name in ("inputs", "measures", "findings", "manifest"):
        jsonschema.validate(json.loads(files[f"{name}.json"]), json_schemas()[name])

    # Nothing tells of the user or the machine; what is needed to repeat the run is there.
    told = b"".join(files.values()) + _unpacked(one)
    for secret in (*USER.values(), str(tmp_path), str(ROOT)):
        assert secret.encode() not in told, secret
    # A machine's name may have two letters, which stand somewhere in any packed bytes: its words count.
    words = "".join(
        [p.read_text(encoding="utf-8") for p in sorted(one.rglob("*.json"))]
        + [pd.read_parquet(p).to_csv() for p in sorted(one.rglob("*.parquet"))]
    )
    assert os.uname().nodename not in re.split(r"[^\w.-]+", words)
    manifest, inputs = (json.loads(files[f"{n}.json"]) for n in ("manifest", "inputs"))
    assert {"python", "numpy", "highspy"} <= set(manifest["versions"])
    assert all(len(f["sha256"]) == 64 for f in manifest["files"].values())
    assert {"gap", "seed", "work_limit"} <= set(inputs["scenario"]["solve"])
    assert set(inputs["inputs"]["digests"]) >= {"areas.csv", "sites.csv"}

    stored = al.read_run(one)
    assert al.verify(stored.problem, stored.plan) == ()
    assert stored.plan.gap <= 1e-3
    assert stored.id == run_id(al.read_case(case), stored.scenario)

    planned, use = stored.tables["nearest_planned"], stored.tables["use"]
    at_end = use[(use["year"] == stored.scenario.years[-1]) & (use["places"] > 0)]
    open_ = set(zip(at_end["service"], at_end["site_id"], strict=True))
    found = planned[planned["site_id"] != ""]
    assert len(found) and set(zip(found["service"], found["site_id"], strict=True)) <= open_
    reached = planned.groupby("service")["in_limit"].any()
    assert set(reached[reached].index) == {service for service, _ in open_}


SUMS = """
import numpy as np
from scipy.sparse import csr_array
from allocator.measures.inequality import theil, variation, weighted_mean
from allocator.model.highs import Linear, solve_linear
for seed in range(20):
    rng = np.random.default_rng(seed)
    level, people = rng.random(29_000 + seed), 1000 * rng.random(29_000 + seed)
    print(weighted_mean(level, people), variation(level, people), theil(level, people).total)
    none = csr_array((0, len(level)))
    fixed = Linear(none, np.zeros(0), np.zeros(0), level, level, np.zeros(len(level), bool))
    print(solve_linear(fixed, people, relax=True).value)
"""


def test_sums_over_many_places_do_not_hang_on_the_number_of_cores():
    told = [
        subprocess.run(
            [sys.executable, "-c", SUMS],
            env={**os.environ, "PYTHONPATH": str(ROOT), **dict.fromkeys(THREADS, cores)},
            capture_output=True, text=True, timeout=120, check=True,
        ).stdout
        for cores in ("1", "2", "16")
    ]  # fmt: skip
    assert told[0] and told[0] == told[1] == told[2]
