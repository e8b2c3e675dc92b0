"""A backend from another package is found, listed, and serves a model at the top of a chain."""

import sys
import tempfile
from pathlib import Path

import numpy as np

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_client import Client
from tests import models
from tests.backends.third_party import ECHO, install
from tests.serving import running_server

TOML = '[[chain]]\nprovider = "echo"\n\n[[chain]]\nprovider = "cpu"\n\n[require]\nprovider = "echo"\nnode_share = 1.0\n'


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        packages, repository = Path(folder) / "packages", Path(folder) / "repository"
        packages.mkdir()
        environment = install(ECHO, packages)
        models.save(models.add_one(), repository / "add_one", toml=TOML)
        with running_server(repository, env=environment) as server, Client(server.address) as client:
            listed = {provider.name: provider for provider in client.providers()}
            assignment = client.assignment("add_one")
            answer = client.infer("add_one", {"x": np.zeros((1, 2), np.float32)})["y"].tolist()
    print(f"listed: {', '.join(sorted(listed))}")
    print(f"add_one: chain {[rung.provider for rung in assignment.chain]}, served by {assignment.serving_provider}")
    right = (
        "echo" in listed
        and listed["echo"].availability == pb.Provider.AVAILABLE
        and assignment.serving_provider == "echo"
        and assignment.verdict.state == pb.Verdict.KEPT
        and answer == [[1.0, 1.0]]
    )
    print(f"{ECHO.name}: {'found, listed, used in a chain' if right else 'NOT as it should be'}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
