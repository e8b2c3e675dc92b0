"""The vectors say what their script says, and leave no datatype out."""

import subprocess
import sys
from pathlib import Path

from tests import models
from tests.languages.vectors import VECTORS

SCRIPT = Path(__file__).parents[2] / "clients" / "make_vectors.py"


def test_the_file_is_fresh() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_datatype_travels_with_rows_and_without() -> None:
    rows = [(tensor["datatype"], tensor["shape"]) for case in VECTORS["infer"] for tensor in case["inputs"]]
    assert {datatype for datatype, shape in rows if shape == [2, 3]} == set(models.KINDS)
    assert {datatype for datatype, shape in rows if shape == [0, 3]} == set(models.KINDS)


def test_names_are_distinct() -> None:
    for group in ("infer", "failures", "streams"):
        names = [case["name"] for case in VECTORS[group]]
        assert len(set(names)) == len(names)
