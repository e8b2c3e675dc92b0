"""The sessions of all peers: the same threads, which wait without spinning, as our server opens its own."""

from pathlib import Path

import onnxruntime

__all__ = ["open_session", "open_sessions"]


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def open_sessions(folder: Path, threads: int) -> dict[str, onnxruntime.InferenceSession]:
    """By model, for each `<folder>/<model>/1/model.onnx`."""
    return {path.parts[-3]: open_session(path, threads) for path in sorted(folder.glob("*/1/model.onnx"))}
