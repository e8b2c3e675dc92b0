"""PyTriton: Triton's core in C++, which hands each batch to a callback in Python over shared memory.

    python -m benchmarks.peers.pytriton_peer PORT MODELS THREADS

Not Triton's own ONNX Runtime backend: the model runs in the callback.
"""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from benchmarks.peers.sessions import open_sessions

_DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
_LARGEST_BATCH = 64


def callback(session: onnxruntime.InferenceSession) -> Callable[..., object]:
    @batch  # type: ignore[untyped-decorator]  # shipped without types
    def run(**feeds: object) -> dict[str, object]:
        (y,) = session.run(None, feeds)
        return {"y": y}

    return cast("Callable[..., object]", run)


def tensor(declared: onnxruntime.NodeArg) -> Tensor:
    shape = tuple(size if isinstance(size, int) else -1 for size in declared.shape[1:])
    return Tensor(name=declared.name, dtype=_DTYPES[declared.type], shape=shape)


def main() -> None:
    port, folder, threads = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    config = TritonConfig(grpc_port=port, http_port=free_port(), metrics_port=free_port(), grpc_address="127.0.0.1")
    with Triton(config=config) as triton:
        for name, session in open_sessions(folder, threads).items():
            triton.bind(
                model_name=name,
                infer_func=callback(session),
                inputs=[tensor(declared) for declared in session.get_inputs()],
                outputs=[tensor(declared) for declared in session.get_outputs()],
                config=ModelConfig(max_batch_size=_LARGEST_BATCH, batcher=DynamicBatcher()),
            )
        triton.serve()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
