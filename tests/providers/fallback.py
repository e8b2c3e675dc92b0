"""The silent fallback, and what we make of it: `python -m tests.providers.fallback`, on onnxruntime-gpu without a GPU.

Two models ask for CUDA and then the CPU. One's contract fails without CUDA, the other's lets it serve and say so.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_client import Client, HealthStatus, Unavailable
from tests import models
from tests.serving import ENTRY, RunningServer, running_server

CHAIN = '[[chain]]\nprovider = "cuda"\n\n[[chain]]\nprovider = "cpu"\n\n[require]\nprovider = "cuda"\n'
MISSING = "libcuda.so.1"
NAIVE = """
import os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
print(session.get_providers())
"""

Finding = tuple[str, object, object]
"""What was looked at, what came, what is right."""


def naive_session(model: Path) -> str:
    """What ONNX Runtime alone does when it is asked for CUDA: the providers it ends with."""
    done = subprocess.run([sys.executable, "-c", NAIVE, str(model)], capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def findings(server: RunningServer, client: Client, repository: Path) -> Iterator[Finding]:
    """Everywhere the two verdicts must show."""
    strict, lenient = client.assignment("strict"), client.assignment("lenient")
    one = np.zeros((1, 2), np.float32)
    not_serving, serving = HealthStatus.NOT_SERVING, HealthStatus.SERVING

    yield "strict: state", strict.state, "FAILED"
    yield "strict: verdict", pb.Verdict.State.Name(strict.verdict.state), "BROKEN"
    yield "strict: ModelReady", client.model_ready("strict"), False
    yield "strict: ServerReady", client.server_ready(), False
    yield "strict: health of the server", client.health(""), not_serving
    yield "strict: health of the model", client.health("strict"), not_serving
    yield "strict: health of the version", client.health("strict/1"), not_serving
    yield "strict: health of the contract", client.health("strict#contract"), not_serving
    yield "strict: reason names the library", MISSING in " ".join(strict.verdict.reasons), True
    yield "strict: reason in the index", MISSING in {it.name: it.reason for it in client.index()}["strict"], True
    yield "strict: reason in the log", MISSING in str(server.wait_for("model_failed", model="strict")["reason"]), True
    try:
        client.infer("strict", {"x": one})
    except Unavailable as error:
        yield "strict: reason in the answer", MISSING in error.message, True
    else:
        yield "strict: inference", "answered", "refused"

    yield "lenient: state", lenient.state, "DEGRADED"
    yield "lenient: verdict", pb.Verdict.State.Name(lenient.verdict.state), "DEGRADED"
    yield "lenient: served by", lenient.serving_provider, "cpu"
    yield "lenient: rung", lenient.serving_rung, 2
    yield "lenient: answer", client.infer("lenient", {"x": one})["y"].tolist(), [[1.0, 1.0]]
    yield "lenient: ModelReady", client.model_ready("lenient"), True
    yield "lenient: health of the model", client.health("lenient"), serving
    yield "lenient: health of the contract", client.health("lenient#contract"), not_serving
    yield "lenient: ModelMetadata", client.metadata("lenient").properties["ortolan.verdict"], "DEGRADED"
    yield "lenient: index", {it.name: it.state for it in client.index()}["lenient"], "DEGRADED"
    yield "lenient: log", server.wait_for("model_degraded", model="lenient")["verdict"], "DEGRADED"
    yield "lenient: ortolan status", "DEGRADED" in ortolan("status", server.address).stdout, True

    cuda = client.providers(["cuda"])[0]
    yield "cuda: availability", pb.Provider.Availability.Name(cuda.availability), "UNAVAILABLE"
    yield "cuda: reason", MISSING in cuda.reason, True
    for model, status in (("strict", 3), ("lenient", 0)):
        yield f"ortolan plan {model}: exit status", ortolan("plan", str(repository / model)).returncode, status
    yield "ortolan doctor --json", MISSING in json.dumps(json.loads(ortolan("doctor", "--json").stdout)), True


def ortolan(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", ENTRY, *arguments], capture_output=True, text=True, check=False)


def check(folder: Path) -> list[Finding]:
    """All findings, of a server started for them."""
    path = models.save(models.add_one(), folder / "strict", toml=CHAIN)
    models.save(models.add_one(), folder / "lenient", toml=CHAIN + 'otherwise = "degrade"\n')
    found: list[Finding] = [
        ("ONNX Runtime alone, asked for CUDA", naive_session(path), "['CPUExecutionProvider']"),
    ]
    with running_server(folder) as server, Client(server.address) as client:
        found += findings(server, client, folder)
    with running_server(folder / "strict", "--exit-on-broken") as server:
        found.append(("--exit-on-broken: exit status", server.process.wait(60), 3))
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = check(Path(folder))
    for what, came, right in found:
        print(f"{'ok ' if came == right else 'BAD'} {what}: {came}{'' if came == right else f', not {right}'}")
    good = sum(came == right for _, came, right in found)
    print(f"{good} of {len(found)} places tell the fallback from the real thing")
    return 0 if good == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
