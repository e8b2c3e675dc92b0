"""Serves a tiny model from an installed wheel, asks it, stops it: `python serve_and_infer.py FOLDER`.

Run by scripts/wheel_test.py with the interpreter of the environment under test.
"""

import sys
from pathlib import Path

import numpy as np

import ortolan_client
import ortolan_server

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "examples"), str(ROOT / "benchmarks")]

import recipes  # noqa: E402
from serving import serving  # noqa: E402


def main() -> None:
    for package in (ortolan_client, ortolan_server):
        assert "site-packages" in str(package.__file__), f"{package.__name__} comes from {package.__file__}"
    models = Path(sys.argv[1])
    recipes.build("simple", models / "simple" / "1" / "model.onnx")
    ones, twos = np.full((1, 16), 1, np.int32), np.full((1, 16), 2, np.int32)
    with serving(models) as address, ortolan_client.Client(address) as client:
        answer = client.infer("simple", {"INPUT0": twos, "INPUT1": ones})
        np.testing.assert_array_equal(answer["OUTPUT0"], twos + ones)
        np.testing.assert_array_equal(answer["OUTPUT1"], twos - ones)
        assignment = client.assignment("simple")
        assert assignment.serving_provider == "cpu", assignment
        assert [(share.provider, share.nodes) for share in assignment.shares] == [("cpu", 2)], assignment
    print("served, answered, stopped with status 0")


if __name__ == "__main__":
    main()
