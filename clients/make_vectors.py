"""Writes the test vectors that the clients of every language share: `python clients/make_vectors.py [--check]`.

With `--check` nothing is written: exit 1 if vectors.json differs from what would be written. What the file says, and
the models that it talks to, stand in clients/README.md.
"""

import argparse
import base64
import json
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TARGET = Path(__file__).with_name("vectors.json")

Json = Mapping[str, object]

_AS_TEXT = ("INT64", "UINT64")
_RAW_ONLY = ("FP16", "BF16")

# Two rows for each datatype: the ends of its range, the steps next to zero, and what is lost when a byte goes astray.
# BF16 as bit patterns, for numpy has no such type.
_EDGES: Mapping[str, NDArray[Any]] = {
    "BOOL": np.array([[True, False, True], [False, False, True]]),
    "UINT8": np.array([[0, 1, 255], [127, 128, 2]], np.uint8),
    "UINT16": np.array([[0, 1, 2**16 - 1], [255, 256, 0x1234]], np.uint16),
    "UINT32": np.array([[0, 1, 2**32 - 1], [2**31 - 1, 2**31, 0x12345678]], np.uint32),
    "UINT64": np.array([[0, 1, 2**64 - 1], [2**53 + 1, 2**63, 0x123456789ABCDEF0]], np.uint64),
    "INT8": np.array([[-128, -1, 127], [0, 1, 2]], np.int8),
    "INT16": np.array([[-(2**15), -1, 2**15 - 1], [255, 256, 0x1234]], np.int16),
    "INT32": np.array([[-(2**31), -1, 2**31 - 1], [0, 65_536, 0x12345678]], np.int32),
    "INT64": np.array([[-(2**63), -1, 2**63 - 1], [2**53 + 1, -(2**53) - 1, 0x123456789ABCDEF0]], np.int64),
    "FP16": np.array([[-65504, -0.0, 65504], [2**-24, 2**-14, np.inf]], np.float16),
    "FP32": np.array(
        [[np.finfo(np.float32).min, -0.0, np.finfo(np.float32).max], [2.0**-149, 2.0**-126, 0.15625]], np.float32
    ),
    "FP64": np.array([[np.finfo(np.float64).min, -0.0, np.finfo(np.float64).max], [5e-324, 2.0**-1022, 0.1]]),
    "BF16": np.array([[0xFF7F, 0x8000, 0x7F7F], [0x0001, 0x0080, 0x7F80]], np.uint16),
    "BYTES": np.array([["", "plain", "Käse 🧀"], ["a\0b", "line\nbreak", "日本語 ' \" \\"]], object),
}


def tensor(name: str, datatype: str, array: NDArray[Any]) -> Json:
    """A tensor as the file has it."""
    fields: dict[str, object] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
    fields["raw"] = base64.b64encode(raw(array)).decode()
    if datatype not in _RAW_ONLY:
        flat = array.ravel().tolist()
        fields["values"] = [str(value) for value in flat] if datatype in _AS_TEXT else flat
    return fields


def raw(array: NDArray[Any]) -> bytes:
    """Little-endian and row-major; texts each behind their length."""
    if array.dtype.kind != "O":
        return array.astype(array.dtype.newbyteorder("<")).tobytes()
    texts = [text.encode() for text in array.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def echo(datatype: str) -> str:
    """The model that answers what it is sent, [N, 3] of that datatype."""
    return f"echo_{datatype.lower()}"


def inference(name: str, model: str, inputs: Sequence[Json], outputs: Sequence[Json], version: str = "") -> Json:
    return {"name": name, "model": model, "version": version, "inputs": inputs, "outputs": outputs}


def echoed(name: str, model: str, datatype: str, array: NDArray[Any], version: str = "") -> Json:
    return inference(name, model, [tensor("x", datatype, array)], [tensor("y", datatype, array)], version)


def inferences() -> list[Json]:
    """Every datatype with two rows and with none, and every kind of shape."""
    rows = [echoed(datatype.lower(), echo(datatype), datatype, array) for datatype, array in _EDGES.items()]
    rows += [
        echoed(f"{datatype.lower()} without rows", echo(datatype), datatype, array[:0])
        for datatype, array in _EDGES.items()
    ]
    texts = ["", "🧀" * 100, "x" * 255]  # lengths of one byte and of two
    a, b = np.arange(16, dtype=np.int32).reshape(1, 16), np.full((1, 16), 3, np.int32)
    grid = np.arange(2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2)
    return [
        *rows,
        echoed("long texts", "echo_bytes", "BYTES", np.array([texts], object)),
        echoed("many rows", "echo_int32", "INT32", np.arange(600, dtype=np.int32).reshape(200, 3)),
        echoed("a named version", "echo_fp32", "FP32", _EDGES["FP32"], version="1"),
        echoed("a scalar", "scalar", "FP32", np.array(0.5, np.float32)),
        echoed("four dimensions", "any_rank", "FP32", grid),
        inference(
            "two inputs and two outputs",
            "simple",
            [tensor("INPUT0", "INT32", a), tensor("INPUT1", "INT32", b)],
            [tensor("OUTPUT0", "INT32", a + b), tensor("OUTPUT1", "INT32", a - b)],
        ),
    ]


def failures() -> list[Json]:
    """What is refused, by gRPC's status and a part of its text."""
    x = tensor("x", "FP32", np.ones((1, 3), np.float32))
    no_text = struct.pack("<I2sII", 2, b"\xff\xfe", 0, 0)

    def spoilt(datatype: str, data: bytes) -> Json:
        return {"name": "x", "datatype": datatype, "shape": [1, 3], "raw": base64.b64encode(data).decode()}

    def bad(name: str, code: str, text: str, **parts: object) -> Json:
        request: dict[str, object] = {"rpc": "ModelInfer", "model": "echo_fp32", "version": "", "inputs": [x], **parts}
        return {"name": name, **request, "code": code, "text": text}

    def unknown(rpc: str) -> Json:
        return bad(f"{rpc} of an unknown model", "NOT_FOUND", "no model 'nobody'", rpc=rpc, model="nobody", inputs=[])

    invalid = "INVALID_ARGUMENT"
    return [
        bad("unknown model", "NOT_FOUND", "no model 'nobody'", model="nobody"),
        bad("unknown version", "NOT_FOUND", "no version 9", version="9"),
        bad("no version at all", invalid, "'one' is not a positive integer", version="one"),
        bad("a model that does not serve", "UNAVAILABLE", "broken", model="broken"),
        bad("no input", invalid, "missing input 'x'", inputs=[]),
        bad("another input", invalid, "no input 'z'", inputs=[{**x, "name": "z"}]),
        bad("another datatype", invalid, "wanted FP32", inputs=[tensor("x", "INT32", np.ones((1, 3), np.int32))]),
        bad("another shape", invalid, "dimension 1", inputs=[tensor("x", "FP32", np.ones((1, 2), np.float32))]),
        bad("another rank", invalid, "rank 1", inputs=[tensor("x", "FP32", np.ones(3, np.float32))]),
        bad("too few bytes", invalid, "8 bytes of data; wanted 12", inputs=[spoilt("FP32", bytes(8))]),
        bad("bytes that are no text", invalid, "UTF-8", model="echo_bytes", inputs=[spoilt("BYTES", no_text)]),
        *map(unknown, ("ModelMetadata", "ModelReady", "GetAssignment")),
    ]


def streams() -> list[Json]:
    """Answers in the order of the questions, errors among them."""

    def item(row: NDArray[Any]) -> Json:
        return {"inputs": [tensor("x", "INT64", row)], "outputs": [tensor("y", "INT64", row)]}

    def rows(count: int) -> list[Json]:
        return [item(np.array([[number, -number, 2**62 + number]], np.int64)) for number in range(count)]

    wrong = {"inputs": [tensor("z", "INT64", np.ones((1, 3), np.int64))], "error": "no input 'z'"}
    return [
        {"name": "in order", "model": "echo_int64", "items": rows(50)},
        {"name": "errors are items", "model": "echo_int64", "items": [wrong, *rows(2), wrong, *rows(1)]},
        {"name": "nothing is sent", "model": "echo_int64", "items": []},
    ]


def health() -> list[Json]:
    answers = {
        "": "SERVING",
        "echo_fp32": "SERVING",
        "echo_fp32/1": "SERVING",
        "echo_fp32#contract": "SERVING",
        "degraded": "SERVING",
        "degraded#contract": "NOT_SERVING",
        "broken": "NOT_SERVING",
    }
    known: list[Json] = [{"service": service, "status": status} for service, status in answers.items()]
    return [*known, {"service": "nobody", "code": "NOT_FOUND"}]


def ready() -> list[Json]:
    return [{"model": model, "ready": model != "broken"} for model in ("echo_fp32", "degraded", "broken")]


def metadata() -> list[Json]:
    def declared(datatype: str, shape: Sequence[int], *names: str) -> list[Json]:
        return [{"name": name, "datatype": datatype, "shape": list(shape)} for name in names]

    rows: list[Json] = [
        {
            "model": echo(datatype),
            "inputs": declared(datatype, [-1, 3], "x"),
            "outputs": declared(datatype, [-1, 3], "y"),
        }
        for datatype in _EDGES
    ]
    simple = [declared("INT32", [1, 16], f"{kind}0", f"{kind}1") for kind in ("INPUT", "OUTPUT")]
    return [*rows, {"model": "simple", "inputs": simple[0], "outputs": simple[1]}]


def assignments() -> list[Json]:
    """Of `AssignmentSummary`, without what differs from one ONNX Runtime to the next."""

    def row(model: str, state: str, verdict: str, **where: object) -> Json:
        return {"model": model, "version": "1", "state": state, "verdict": verdict, **where}

    nowhere: dict[str, str | int | dict[str, int]] = {"serving_provider": "", "serving_rung": 0, "nodes": {}}
    on_cpu = {**nowhere, "serving_provider": "cpu", "serving_rung": 1, "nodes": {"cpu": 1}}
    return [
        row("echo_fp32", "READY", "KEPT", **on_cpu),
        row("simple", "READY", "KEPT", **{**on_cpu, "nodes": {"cpu": 2}}),
        row("degraded", "DEGRADED", "DEGRADED", **on_cpu),
        row("broken", "FAILED", "BROKEN", **nowhere),
    ]


def written() -> str:
    """The file: a line for each vector, so that a change shows which."""
    groups = (inferences, failures, streams, health, ready, metadata, assignments)
    names = ("infer", "failures", "streams", "health", "ready", "metadata", "assignments")
    parts = []
    for name, group in zip(names, groups, strict=True):
        lines = ",\n".join(f"    {json.dumps(row, ensure_ascii=False, allow_nan=False)}" for row in group())
        parts.append(f'  "{name}": [\n{lines}\n  ]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    if not parser.parse_args().check:
        TARGET.write_text(written(), encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != written():
        sys.exit("clients/vectors.json is stale: run `python clients/make_vectors.py` and commit")


if __name__ == "__main__":
    main()
