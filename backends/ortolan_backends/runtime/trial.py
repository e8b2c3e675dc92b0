"""A tiny session on one backend, opened and run: `python -m ortolan_backends.runtime.trial BACKEND_JSON`.

BACKEND_JSON is `{"backend": "cuda", "options": {"device_id": 0}}`, with the options as in `model.toml`. The backend
attaches itself, as it does when a model is opened. It runs as a subprocess of its own, since a provider may crash;
`try_backend` starts it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ortolan_backends.catalog import Catalog
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.child import ask, respond

__all__ = ["Trial", "try_backend"]

_TIMEOUT_S = 120.0  # a first CUDA context on a busy machine with cold disks takes tens of seconds
_LOG_LINE = re.compile(r"^\S+ \S+ \[([EF]):[^\]]*\] (.*)$", re.MULTILINE)
_CUDA_FAILURE = re.compile(r"CUDA failure \d+: [^;\n]*")
_MISSING_LIBRARY = re.compile(r"with error: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Trial:
    """How the tiny session went."""

    ran: bool
    finding: str
    """A sentence without a full stop."""
    log: str
    """Everything the subprocess wrote to standard error: ONNX Runtime's own log."""
    out_of_memory: bool = False
    """Whether it failed for want of memory, which others may hold now and give back later."""


def try_backend(name: str, options: Mapping[str, object], *, timeout_s: float = _TIMEOUT_S) -> Trial:
    """Opens and runs a session of two nodes with the backend `name` on top, in a subprocess. Never raises."""
    question = {"backend": name, "options": dict(options)}
    answer = ask("ortolan_backends.runtime.trial", question, timeout_s=timeout_s)
    if answer.value is None:
        last = answer.log.splitlines()[-1:] or [""]
        return Trial(ran=False, finding=f"a tiny session {answer.ending} ({last[0]})", log=answer.log)
    if answer.value["error"]:
        finding = _failure(answer.value, answer.log)
        return Trial(ran=False, finding=finding, log=answer.log, out_of_memory=answer.value["out_of_memory"])
    provider, nodes = answer.value["provider"], answer.value["nodes"]
    if nodes and not nodes.get(provider):
        return Trial(ran=False, finding=f"a tiny session ran, but not one node of it on {provider}", log=answer.log)
    return Trial(ran=True, finding="a tiny session opened and ran", log=answer.log)


def _failure(value: Mapping[str, Any], log: str) -> str:
    """The reason, out of the error and of the log: often only the log names the library."""
    error = value["error"]
    details = [
        *_CUDA_FAILURE.findall(error),
        *_MISSING_LIBRARY.findall(log),
        *(text for _, text in _LOG_LINE.findall(log)),
    ]
    reason = details[0].strip() if details else error
    return f"a tiny session failed to {value['stage']}: {reason}"


def _try(question: Mapping[str, Any]) -> dict[str, object]:
    """The child's side."""
    import numpy as np  # noqa: PLC0415 - only the child needs these
    from onnx import TensorProto, helper  # noqa: PLC0415

    from ortolan_backends.errors import OutOfMemory  # noqa: PLC0415
    from ortolan_backends.runtime.failures import classify_run, plain  # noqa: PLC0415
    from ortolan_backends.runtime.ort import onnxruntime  # noqa: PLC0415

    shape = [2, 2]
    weight = helper.make_tensor("w", TensorProto.FLOAT, shape, [1.0, 2.0, 3.0, 4.0])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Relu", ["z"], ["y"])],
        "trial",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [weight],
    )
    # Old on purpose: every version we support reads them.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)

    stage = "attach"
    nodes: dict[str, int] = {}
    try:
        backend = Catalog.from_entry_points().get(question["backend"])
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        backend.attach(options, parse_options(backend, question["options"]))
        stage = "open"
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, enable_fallback=0)
        for subgraph in session.get_provider_graph_assignment_info():
            nodes[subgraph.ep_name] = nodes.get(subgraph.ep_name, 0) + len(subgraph.get_nodes())
        stage = "run"
        result = session.run(None, {"x": np.array([[1, 0], [0, -1]], np.float32)})[0]
        if not np.allclose(result, [[1, 2], [0, 0]], rtol=1e-2):
            return {"stage": stage, "error": f"wrong numbers: {result.tolist()}", "out_of_memory": False}
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeError and worse
        out_of_memory = isinstance(classify_run(error), OutOfMemory)
        return {"stage": stage, "error": plain(str(error)) or type(error).__name__, "out_of_memory": out_of_memory}
    return {"stage": "", "error": "", "provider": backend.provider, "nodes": nodes}


if __name__ == "__main__":
    respond(_try)
