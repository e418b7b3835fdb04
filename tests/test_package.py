"""The package itself: public names, a light import, functions that modules do not hide."""

import subprocess
import sys

import pytest

import allocator as al


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("name", al.__all__)
def test_every_public_name_leads_to_a_documented_function(name: str) -> None:
    found = getattr(al, name)
    assert callable(found) and found.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'solver'"):
        _ = al.solver


def test_modules_of_the_same_name_do_not_hide_functions() -> None:
    code = (
        "import allocator.run, allocator.compare, allocator.verify, allocator as al;"
        "print(*(type(f).__name__ for f in (al.run, al.compare, al.verify)))"
    )
    assert _python(code) == "function function function"


def test_importing_the_package_loads_no_solver_and_no_pandas() -> None:
    heavy = ("highspy", "pulp", "pandas", "geopandas", "numba", "scipy")
    code = f"import allocator, sys; print(*[m for m in {heavy} if m in sys.modules])"
    assert _python(code) == ""
