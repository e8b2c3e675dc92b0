"""KServe's Python server with a model class of a few lines.

python -m benchmarks.peers.kserve_peer PORT MODELS THREADS
"""

import socket
import sys
from pathlib import Path

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

from benchmarks.peers.sessions import open_sessions


class OnnxModel(Model):  # type: ignore[misc]  # shipped without types
    def __init__(self, name: str, session: onnxruntime.InferenceSession) -> None:
        super().__init__(name)
        self._session = session
        self.ready = True

    def predict(self, payload: InferRequest, *_: object) -> InferResponse:
        (y,) = self._session.run(None, {tensor.name: tensor.as_numpy() for tensor in payload.inputs})
        output = InferOutput(name="y", shape=list(y.shape), datatype="FP32")
        output.set_data_from_numpy(y)
        return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[output])


def main() -> None:
    port, folder, threads = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    models = [OnnxModel(name, session) for name, session in open_sessions(folder, threads).items()]
    server = ModelServer(
        http_port=free_port(), grpc_port=port, workers=1, enable_docs_url=False, access_log_format=None
    )
    server.start(models)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
