"""What one writes first: `grpc.aio`, protobuf objects, and a run of the model in the handler.

python -m benchmarks.peers.plain_aio PORT MODELS THREADS
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np

from benchmarks.peers.sessions import open_sessions
from ortolan.inference import inference_pb2 as pb
from ortolan.inference import inference_pb2_grpc as pb_grpc

_DTYPES = {"FP32": np.float32, "INT64": np.int64}


class Servicer(pb_grpc.GRPCInferenceServiceServicer):
    def __init__(self, folder: Path, threads: int) -> None:
        self._sessions = open_sessions(folder, threads)

    async def ModelInfer(  # noqa: N802 - the protocol's name
        self, request: pb.ModelInferRequest, context: object
    ) -> pb.ModelInferResponse:
        del context
        session = self._sessions[request.model_name]
        feeds = {
            tensor.name: np.frombuffer(raw, _DTYPES[tensor.datatype]).reshape(tensor.shape)
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        (y,) = session.run(None, feeds)
        response = pb.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        response.outputs.add(name="y", datatype="FP32", shape=y.shape)
        response.raw_output_contents.append(y.tobytes())
        return response

    async def ModelStreamInfer(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.ModelInferRequest], context: object
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        async for request in request_iterator:
            yield pb.ModelStreamInferResponse(infer_response=await self.ModelInfer(request, context))


async def serve(port: int, folder: Path, threads: int) -> None:
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.aio.server(options=unlimited)
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(folder, threads), server)  # type: ignore[abstract]  # other methods answer UNIMPLEMENTED
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
