"""What gRPC's core costs a server in Python at the least: our loop on its completion queue, every message sent back.

No protobuf, no tensor, no model. python -m benchmarks.peers.lane_echo PORT
"""

import os
import sys

# As `ortolan serve` has it: gRPC decides as it is imported.
os.environ["GRPC_EXPERIMENTS"] = (
    "-event_engine_listener,-event_engine_for_all_other_endpoints,-event_engine_callback_cq"
)

from concurrent.futures import ThreadPoolExecutor

import grpc

from ortolan_server.transport.lane.core import CoreCall, Lane
from ortolan_server.transport.lane.pump import LanePump
from ortolan_server.transport.routes import MODEL_INFER

_DEAD = 1


class Echo:
    """One message in, the same out."""

    def opened(self, call: CoreCall) -> None:
        call.receive()

    def received(self, call: CoreCall, data: bytes | None) -> None:
        call.answer(data or b"")

    def sent(self, call: CoreCall) -> None:
        """Unary calls send no message apart from their answer."""

    def closed(self, call: CoreCall) -> None:
        """It is answered at once."""

    def ended(self, call: CoreCall) -> None:
        """Nothing is held for it."""


def main(port: int) -> None:
    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.max_receive_message_length", -1)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    Lane(server, {MODEL_INFER: Echo()}, LanePump(), lambda: os._exit(_DEAD)).start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]))
