"""Serves a tiny model from an installed wheel, asks it, stops it: `python serve_and_infer.py FOLDER`.

Run by scripts/wheel_test.py with the interpreter of the environment under test, and with the root of the repository on
its path, from which nothing of what is installed can be imported.
"""

import sys
from pathlib import Path

import numpy as np

import ortolan_client
import ortolan_server
from tests import models
from tests.serving import running_server


def main() -> None:
    for package in (ortolan_client, ortolan_server):
        assert "site-packages" in str(package.__file__), f"{package.__name__} comes from {package.__file__}"
    repository = Path(sys.argv[1])
    models.save(models.simple(), repository / "simple")
    ones, twos = np.full((1, 16), 1, np.int32), np.full((1, 16), 2, np.int32)
    with running_server(repository) as server, ortolan_client.Client(server.address) as client:
        answer = client.infer("simple", {"INPUT0": twos, "INPUT1": ones})
        np.testing.assert_array_equal(answer["OUTPUT0"], twos + ones)
        np.testing.assert_array_equal(answer["OUTPUT1"], twos - ones)
        assignment = client.assignment("simple")
        assert assignment.serving_provider == "cpu", assignment
        assert [(share.provider, share.nodes) for share in assignment.shares] == [("cpu", 2)], assignment
    print("served, answered, stopped with status 0")


if __name__ == "__main__":
    main()
