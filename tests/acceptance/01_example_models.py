"""`make serve` serves the example models, grpcurl finds its way, and magika's own pipeline says what a file is."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ortolan_client import Client

ROOT = Path(__file__).resolve().parents[2]
REFLECTION = "ortolan.v1.ProviderReflection"
MODELS = {"digits", "magika", "ppocr_cls", "ppocr_det", "ppocr_rec", "silero_vad", "simple"}
FILES = {"tests/serving.py": "python", "README.md": "markdown", "Makefile": "makefile", "pyproject.toml": "toml"}


class OverTheWire:
    """Takes the place of magika's session: the same `run`, answered by a server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def run(self, outputs: Sequence[str], feeds: dict[str, Any]) -> list[Any]:
        # Magika gives lists, which ONNX Runtime turns into what the model declares: INT32.
        arrays = {name: np.asarray(value, np.int32) for name, value in feeds.items()}
        answer = self._client.infer("magika", arrays, outputs=outputs)
        return [answer[name] for name in outputs]


def labels(client: Client) -> dict[str, str]:
    """What magika's own pre- and post-processing makes of our answers."""
    from magika import Magika  # noqa: PLC0415 - imports an ONNX Runtime of its own

    pipeline = Magika()
    pipeline._onnx_session = OverTheWire(client)  # there is no public way
    return {path: pipeline.identify_path(ROOT / path).output.label for path in FILES}


def grpc_tool(*arguments: str) -> str:
    """`grpcurl`, or where it is missing `buf curl`, which speaks gRPC through the same reflection."""
    tool = shutil.which("grpcurl")
    if tool is None:
        if os.environ.get("ORTOLAN_REQUIRE_TOOLCHAINS") == "1":
            sys.exit("grpcurl is not installed, and ORTOLAN_REQUIRE_TOOLCHAINS=1 requires it")
        return buf_curl(*arguments)
    return subprocess.run([tool, "-plaintext", *arguments], capture_output=True, text=True, check=True).stdout


def buf_curl(address: str, method: str) -> str:
    buf = [str(Path(sys.executable).with_name("buf")), "curl", "--protocol", "grpc", "--http2-prior-knowledge"]
    target = ["--list-services"] if method == "list" else []
    path = "" if method == "list" else f"/{method}"
    command = [*buf, *target, f"http://{address}{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def check(address: str) -> list[str]:
    """What is not as promised."""
    faults = []
    services = grpc_tool(address, "list").split()
    faults += [f"not listed: {name}" for name in (REFLECTION, "inference.GRPCInferenceService") if name not in services]
    answer = json.loads(grpc_tool(address, f"{REFLECTION}/ListAssignments"))
    rows = {row["model"]: row for row in answer["assignments"]}
    if rows.keys() != MODELS:
        faults.append(f"models are {sorted(rows)}, not {sorted(MODELS)}")
    for name, row in rows.items():
        print(f"{name}: {row['state']} {row['verdict']} on {row.get('serving_provider', row.get('servingProvider'))}")
        faults += [f"{name} is {row}"] if (row["state"], row["verdict"]) != ("READY", "KEPT") else []
    with Client(address) as client:
        for path, label in labels(client).items():
            print(f"{path}: {label}")
            faults += [f"{path} is {label}, not {FILES[path]}"] if label != FILES[path] else []
    return faults


def main() -> int:
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "ARGS")}
    command = [shutil.which("make") or "make", "serve", "ARGS=--grpc-address 127.0.0.1:0 --http-address 127.0.0.1:0"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            faults = check(address_of(process))
        finally:
            os.killpg(process.pid, signal.SIGINT)  # what a terminal's Ctrl-C does
            rest = process.communicate(timeout=60)[0]
    faults += [] if "server_stopped" in rest else [f"the server did not stop: {rest}"]
    for fault in faults:
        print(f"BAD {fault}")
    print(f"{len(MODELS)} example models serve, and magika names {len(FILES)} files right; {len(faults)} faults")
    return 1 if faults else 0


def address_of(process: subprocess.Popen[str]) -> str:
    """From the line that the server prints when everything is loaded."""
    for line in process.stdout or ():
        if line.startswith("Ortolan serves "):
            return line.split()[-1]
        print(line, end="")
    sys.exit(f"`make serve` ended with status {process.wait()}")


if __name__ == "__main__":
    sys.exit(main())
