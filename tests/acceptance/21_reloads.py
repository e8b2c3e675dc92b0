"""A model that is replaced and reloaded under the calls of 8 clients: none fails, none is answered by what it was
before. And over many reloads the memory of the server does not grow.
"""

import os
import statistics
import sys
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from ortolan_client import Client
from tests import models
from tests.load import Load
from tests.serving import RunningServer, running_server

CLIENTS = 8
RELOADS = 10
WARMING, MEASURED = 3, 30
WIDTH = 1024
BETWEEN = 200
X = np.ones((1, 2), np.float32)


def adding(number: int) -> onnx.ModelProto:
    """Input x FP32[N,2] → output y = x + `number`, by way of a layer of 8 MB whose part in it is zero."""
    nodes = [
        helper.make_node("MatMul", ["x", "in"], ["a"], name="widen"),
        helper.make_node("MatMul", ["a", "square"], ["b"], name="mix"),
        helper.make_node("MatMul", ["b", "out"], ["c"], name="narrow"),
        helper.make_node("Add", ["c", "x"], ["d"], name="keep"),
        helper.make_node("Add", ["d", "number"], ["y"], name="add"),
    ]
    weights = [
        models.tensor("in", np.ones((2, WIDTH))),
        models.tensor("square", np.full((WIDTH, 2 * WIDTH), 0.5)),
        models.tensor("out", np.zeros((2 * WIDTH, 2))),
        models.tensor("number", [float(number)]),
    ]
    x, y = (models.value(name, TensorProto.FLOAT, ["N", 2]) for name in "xy")
    return models.model(nodes, [x], [y], weights)


class Replaced:
    """The model on disk, and which of its answers are right."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = 0
        self._loaded = 0
        self._write(0)

    def reload(self, client: Client, number: int) -> None:
        """`number` goes up from time to time."""
        self._write(number)
        client.load("m")
        self._loaded = number

    def call(self, client: Client) -> str:
        """What is wrong with an answer: right is what was loaded before the call, and what came until its end."""
        oldest = self._loaded
        answer = float(client.infer("m", {"x": X})["y"][0, 0]) - 1
        newest = self._written
        return "" if oldest <= answer <= newest else f"{answer:g} is not in {oldest} to {newest}"

    def _write(self, number: int) -> None:
        self._written = number
        path = self._folder / "m" / "1" / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".new")
        aside.write_bytes(adding(number).SerializeToString())
        aside.replace(path)


def under_load(server: RunningServer, replaced: Replaced) -> Load:
    clients = [Client(server.address, timeout_s=30) for _ in range(CLIENTS)]
    load = Load(lambda number: replaced.call(clients[number]), CLIENTS)
    with Client(server.address, timeout_s=60) as control, load.going_on():
        for number in range(1, RELOADS + 1):
            load.wait_for_answers(BETWEEN)
            replaced.reload(control, number)
        load.wait_for_answers(BETWEEN)
    for client in clients:
        client.close()
    return load


def growth(server: RunningServer, replaced: Replaced) -> tuple[float, float]:
    """MiB of resident memory for each reload, and how much of that the scatter around it could feign.

    Memory goes up and down in steps of a model, as the C library keeps or gives back what was freed. So the slope is
    the median of those between all pairs (Theil and Sen), and what counts as noise is the range of what is left of the
    values without it, over so many reloads.
    """
    resident = []
    with Client(server.address, timeout_s=60) as client:
        for number in range(WARMING + MEASURED):
            replaced.reload(client, 100 + number)
            assert replaced.call(client) == ""
            if number >= WARMING:
                resident.append(resident_mib(server.process.pid))
    print(f"resident: {resident[0]:.1f} MiB at first, {resident[-1]:.1f} at the end, {min(resident):.1f} at least")
    pairs = combinations(enumerate(resident), 2)
    slope = statistics.median((later - sooner) / (last - first) for (first, sooner), (last, later) in pairs)
    rest = [value - slope * number for number, value in enumerate(resident)]
    return slope, (max(rest) - min(rest)) / MEASURED


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        replaced = Replaced(Path(folder))
        with running_server(Path(folder)) as server:
            load = under_load(server, replaced)
            slope, noise = growth(server, replaced)
    for failure, count in load.failures.items():
        print(f"  {count} × {failure}")
    # A model of 8 MB that stayed would show as 8 or more.
    flat = slope <= max(noise, 0.05)
    print(
        f"{RELOADS} reloads under {CLIENTS} clients: {load.failed} of {load.answered + load.failed} calls failed or "
        f"were wrong, longest {load.longest_s * 1e3:.0f} ms; memory over {MEASURED} reloads of an 8 MB model: "
        f"{slope * 1024:+.0f} KiB each, noise {noise * 1024:.0f}"
    )
    return 0 if not load.failed and flat else 1


if __name__ == "__main__":
    sys.exit(main())
