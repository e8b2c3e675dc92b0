"""MLServer with a runtime for ONNX of a few lines.

    python -m benchmarks.peers.mlserver_peer PORT MODELS THREADS

Models run in the server's own process (`parallel_workers = 0`): for small models another process costs more.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.peers.sessions import open_session


class OnnxModel(MLModel):  # type: ignore[misc]  # shipped without types that mypy sees here
    async def load(self) -> bool:
        extra = self.settings.parameters.extra
        self._session = open_session(Path(self.settings.parameters.uri), extra["threads"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        (y,) = self._session.run(None, feeds)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", y)])

    async def predict_stream(self, payloads: AsyncIterator[InferenceRequest]) -> AsyncIterator[InferenceResponse]:
        async for payload in payloads:
            yield await self.predict(payload)


def main() -> None:
    port, folder, threads = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    settings = Settings(
        host="127.0.0.1",
        grpc_port=port,
        http_port=free_port(),
        metrics_port=free_port(),
        parallel_workers=0,
        grpc_max_message_length=-1,
        debug=False,
    )
    models = [
        ModelSettings(
            name=path.parts[-3],
            implementation=OnnxModel,
            parameters=ModelParameters(uri=str(path), extra={"threads": threads}),
        )
        for path in sorted(folder.glob("*/1/model.onnx"))
    ]
    asyncio.run(MLServer(settings).start(models))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
