"""Models that are a few lines of numpy, served by the real engine, and where answers arrive."""

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ortolan_backends.errors import RunCancelled
from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine.call import Array, InferenceCall, Pump, Reply, Ticket
from ortolan_server.engine.engine import Engine, Runner, Serving
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import InvalidRequest, ModelNotFound, ModelNotReady, OrtolanError
from ortolan_server.services.inference import InferenceTarget
from ortolan_server.tensors import DATATYPES, Shape, Signature, TensorSpec

Compute = Callable[[Mapping[str, Array], RunHandle], Mapping[str, Array]]

WAIT_S = 30.0
"""Longer than anything here takes: reached only when something is broken."""


class Target(Runner):
    """A served version whose session is the function `compute`."""

    def __init__(self, model: str, signature: Signature, compute: Compute) -> None:
        self.model = model
        self.version = "3"
        self.signature = signature
        self.statistics = Statistics()
        self.serves = True
        self._compute = compute
        self.engine = Engine(Serving(self, self.statistics), queue_limit=4, concurrency=1)

    def submit(self, call: InferenceCall, reply: Reply, pump: Pump | None = None) -> Ticket:
        if not self.serves:
            raise ModelNotReady(f"model {self.model!r} is DRAINING")
        return self.engine.submit(call, reply, pump)

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        results = self._compute(feeds, handle)
        return [results[name] for name in outputs]


class Lookup:
    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = {target.model: target for target in targets}

    def find(self, model: str, version: str) -> InferenceTarget:
        if version not in {"", "3"}:
            raise InvalidRequest(f"version {version!r} is no number")
        if model == "bug":
            raise KeyError(model)
        if model not in self.targets:
            raise ModelNotFound(f"no model {model!r}")
        return self.targets[model]


class Done:
    def __init__(self) -> None:
        self.all: list[bytes | OrtolanError] = []
        self._came = threading.Event()

    def __call__(self, outcome: bytes | OrtolanError, statistics: Statistics | None = None, /) -> None:
        self.all.append(outcome)
        self._came.set()

    def only(self) -> bytes | OrtolanError:
        assert self._came.wait(WAIT_S), "no answer came"
        assert len(self.all) == 1
        return self.all[0]


def signature(inputs: Mapping[str, tuple[str, Shape]], outputs: Mapping[str, tuple[str, Shape]]) -> Signature:
    specs = [tuple(TensorSpec(name, *rest) for name, rest in side.items()) for side in (inputs, outputs)]
    return Signature(*specs)


def simple(feeds: Mapping[str, Array], handle: RunHandle) -> Mapping[str, Array]:
    a, b = feeds["INPUT0"], feeds["INPUT1"]
    return {"OUTPUT0": np.add(a, b), "OUTPUT1": np.subtract(a, b)}


def echo(feeds: Mapping[str, Array], handle: RunHandle) -> Mapping[str, Array]:
    return {f"{name} out": array for name, array in feeds.items()}


def scores(feeds: Mapping[str, Array], handle: RunHandle) -> Mapping[str, Array]:
    # Three columns where one is declared: real models do that.
    return {"scores": np.asarray(feeds["x"]), "names": np.asarray([["a"]], object)}


def hang(feeds: Mapping[str, Array], handle: RunHandle) -> Mapping[str, Array]:
    while not handle.options.terminate:
        threading.Event().wait(0.001)
    raise RunCancelled("Exiting due to terminate flag being set to true.")


def unencodable(feeds: Mapping[str, Array], handle: RunHandle) -> Mapping[str, Array]:
    return {"y": np.asarray(["\ud800"], object)}


def make_targets() -> list[Target]:
    pair = ("INT32", (1, 16))
    return [
        Target("simple", signature({"INPUT0": pair, "INPUT1": pair}, {"OUTPUT0": pair, "OUTPUT1": pair}), simple),
        Target(
            "echo",
            signature(
                {name: (name, ("batch", None)) for name in DATATYPES},
                {f"{name} out": (name, ("batch", None)) for name in DATATYPES},
            ),
            echo,
        ),
        Target("scalar", signature({"x": ("FP32", ())}, {"x out": ("FP32", ())}), echo),
        Target(
            "scores",
            signature({"x": ("FP32", ("N", 3))}, {"scores": ("FP32", ("N", 1)), "names": ("BYTES", ("N", 1))}),
            scores,
        ),
        Target("hang", signature({}, {"y": ("FP32", ())}), hang),
        Target("unencodable", signature({}, {"y": ("BYTES", (1,))}), unencodable),
    ]
