"""Models that are broken or meant to do harm: each refused with its reason, on demand, by poll and as files that a
client sends, while clients go on calling another model. None of their calls may fail. Models of which bytes or fields
were changed by a seed are sent meanwhile too: each is served, or refused with a reason that is no "internal error".
"""

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from ortolan_client import Client, HealthStatus
from tests import models
from tests.conformance.hostile import GOOD, HOSTILE, write_outside
from tests.conformance.mutations import mutated
from tests.conformance.verdicts import log_faults
from tests.load import Load
from tests.serving import RunningServer, running_server

THREADS = 8
MUTATIONS = 400
GOOD_ONES = (models.add_one(), models.convolution("Softmax"), models.countdown(), models.constant_of_shape())
X = np.ones((1, 2), np.float32)
EXPLICIT = ("--model-control", "explicit", "--load-model", "good")
POLL = ("--model-control", "poll", "--poll-interval", "1s")
# What a client sends: model, path, content, and what must be said.
SENT = (
    ("sent", "../../good/1/model.onnx", GOOD, r"has '\.\.'; it must stay in the model's folder"),
    ("sent", "/etc/cron.d/ortolan", b"x", "is an absolute path"),
    ("sent", "..\\model.onnx", GOOD, r"has '\.\.'; it must stay in the model's folder"),
    ("../outside", "1/model.onnx", GOOD, "a model's name cannot have '/'"),
    ("good", "1/model.onnx", GOOD[:-1], "version 1: model.onnx is not a readable ONNX model"),
    ("good", "1/model.onnx", b"", "version 1: model.onnx is empty"),
)


def main() -> int:
    faults: list[str] = []
    refused = mutations_refused = 0
    loads = []
    for flags, attack in ((EXPLICIT, on_demand), (POLL, by_poll)):
        with tempfile.TemporaryDirectory() as folder:
            repository, outside = Path(folder) / "models", Path(folder) / "outside"
            write_outside(outside)
            models.save(models.add_one(), repository / "good")
            with running_server(repository, *flags) as server, ExitStack() as opened:
                load = load_on(server.address, opened)
                with load.going_on(), Client(server.address) as client:
                    wrong = dict(attack(server, repository, outside))
                    if attack is on_demand:
                        mutations_refused, wrongly = mutations(server)
                        faults += wrongly
                    if client.health() is not HealthStatus.SERVING:
                        faults.append(f"{attack.__name__}: the server says that it does not serve")
                loads.append(load)
            refused += sum(not said for said in wrong.values())
            faults += [f"{attack.__name__}: {name}: {said}" for name, said in wrong.items() if said]
            # ONNX Runtime calls an error what it found wrong with a model.
            told = [fault for fault in log_faults(server) if "'onnxruntime_logged'" not in fault]
            faults += [f"{attack.__name__}: the log: {fault}" for fault in told]
            faults += [f"{attack.__name__}: {count} × {failure}" for failure, count in load.failures.items()]
    for fault in faults:
        print(fault)
    failed = sum(load.failed for load in loads)
    calls = failed + sum(load.answered for load in loads)
    print(f"{mutations_refused} of {MUTATIONS} mutated models refused, the others served")
    print(f"{refused} hostile models refused with their reason, {failed} of {calls:,} calls to another one failed")
    return 1 if faults or not calls else 0


def load_on(address: str, opened: ExitStack) -> Load:
    """Calls of the model that is fine; `opened` closes the clients."""
    clients = [opened.enter_context(Client(address, timeout_s=30)) for _ in range(THREADS)]

    def call(number: int) -> str:
        return "" if (clients[number].infer("good", {"x": X})["y"] == X + 1).all() else "a wrong answer"

    return Load(call, THREADS)


def mutations(server: RunningServer) -> tuple[int, list[str]]:
    """How many of them were refused, and what went wrong."""
    refused, faults = 0, []
    with triton.InferenceServerClient(server.address) as client:
        for seed in range(MUTATIONS):
            content = mutated(GOOD_ONES[seed % len(GOOD_ONES)], seed)
            try:
                client.load_model("mutated", config="", files={"file:1/model.onnx": content})
            except InferenceServerException as error:
                refused += 1
                if error.status() != "StatusCode.FAILED_PRECONDITION" or "internal error" in str(error.message()):
                    faults.append(f"mutation {seed}: {error.status()} {error.message()}")
    return refused, faults


Attack = Callable[[RunningServer, Path, Path], Iterator[tuple[str, str]]]


def on_demand(server: RunningServer, repository: Path, outside: Path) -> Iterator[tuple[str, str]]:
    """Each model, and what is wrong with how it was refused."""
    with triton.InferenceServerClient(server.address) as client:
        for hostile in HOSTILE:
            hostile.make(repository / hostile.name, outside)
            yield hostile.name, _fault(hostile.reason, partial(client.load_model, hostile.name))
        yield "../outside", _fault("no model '../outside/model'", partial(client.load_model, "../outside/model"))
        for model, path, content, reason in SENT:
            said = _fault(reason, partial(client.load_model, model, config="", files={f"file:{path}": content}))
            yield f"{model} with {path} of {len(content)} bytes", said


def by_poll(server: RunningServer, repository: Path, outside: Path) -> Iterator[tuple[str, str]]:
    aside = repository.with_name("aside")
    aside.mkdir()
    for hostile in HOSTILE:
        hostile.make(aside / hostile.name, outside)
        (aside / hostile.name).rename(repository / hostile.name)  # whole: a poll must not meet half of it
    for hostile in HOSTILE:
        told = str(server.wait_for("model_refused", model=hostile.name)["reason"])
        yield hostile.name, "" if re.search(hostile.reason, told) else f"{told!r}; wanted {hostile.reason!r}"


def _fault(reason: str, load: Callable[[], object]) -> str:
    try:
        load()
    except InferenceServerException as error:
        told = str(error.message())
        return "" if re.search(reason, told) else f"{told!r}; wanted {reason!r}"
    return "it was loaded"


if __name__ == "__main__":
    sys.exit(main())
