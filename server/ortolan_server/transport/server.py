"""The gRPC server: listening, options, pools, draining."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import structlog
from grpc_channelz.v1 import channelz, channelz_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ortolan_server.errors import CannotListen
from ortolan_server.services.inference import InferenceService
from ortolan_server.services.metadata import MetadataService
from ortolan_server.services.metrics import ServerOccupancy
from ortolan_server.services.reflection import ReflectionService
from ortolan_server.services.rejections import Rejections
from ortolan_server.services.repository import RepositoryService
from ortolan_server.services.shared_memory import SharedMemoryService
from ortolan_server.services.statistics import StatisticsService
from ortolan_server.settings import Settings
from ortolan_server.telemetry.access import AccessLog
from ortolan_server.transport.certificates import TlsFiles
from ortolan_server.transport.health import Health
from ortolan_server.transport.inference import StreamInfer, UnaryInfer
from ortolan_server.transport.interceptors import AccessInterceptor, GuardInterceptor
from ortolan_server.transport.pools import ByteBudget, CallPool
from ortolan_server.transport.reflection import reflection_handlers
from ortolan_server.transport.routes import (
    INFERENCE,
    MODEL_INFER,
    MODEL_STREAM_INFER,
    REFLECTION,
    Handler,
    Router,
    cold_handlers,
    serialize,
    shared_memory_handlers,
    slow_handlers,
)
from ortolan_server.transport.tls import ServerCertificates
from ortolan_server.transport.tokens import BearerTokens
from ortolan_server.transport.watching import WatchAssignments

if TYPE_CHECKING:
    from ortolan_server.transport.lane.lane import FastLane

__all__ = ["GrpcServer"]

log = structlog.get_logger()

# Short calls: metadata, health, reflection. Long ones have pools of their own.
_COLD_THREADS = 16
_REFLECTION_STREAMS = 64
_SLOW_CALLS = 8
_SERVICES = (
    INFERENCE,
    REFLECTION,
    *(
        file.services_by_name[name].full_name
        for file in (health_pb2.DESCRIPTOR, channelz_pb2.DESCRIPTOR)
        for name in file.services_by_name
    ),
)
# gRPC drops a message over its own limit without naming a setting. Up to twice our limit it is read and
# refused by us, with the flag's name; above that gRPC's plain answer must do.
_HARD_LIMIT_FACTOR = 2
_INT32_MAX = 2**31 - 1
# Clients behind load balancers ping every 10 s; gRPC's default calls that abuse and closes the connection.
_MIN_PING_INTERVAL_MS = 5_000
# Cancelled calls end within milliseconds; one that gRPC has lost track of must not keep the process.
_CLOSE_S = 5.0
# For clients that balance by health to go elsewhere: gRPC cancels calls that come while a server begins to close, and
# what is CANCELLED nobody tries again.
_LEAVE_S = 1.0
# For those who watch assignments to hear why that ends: some read nothing.
_TELL_S = 1.0
# For calls that gRPC has taken and not given to the pools yet: it does not tell of them.
_SETTLE_S = 0.25


class GrpcServer:
    """Every service on one address. `start()` binds; `stop()` drains."""

    def __init__(  # noqa: PLR0913 - one parameter a service
        self,
        settings: Settings,
        health: Health,
        inference: InferenceService,
        metadata: MetadataService,
        repository: RepositoryService,
        statistics: StatisticsService,
        shared_memory: SharedMemoryService,
        reflection: ReflectionService,
        *,
        fast_lane: bool,
    ) -> None:
        """`fast_lane`: it works here, so inferences take it."""
        limit = settings.max_message_bytes
        self._settings = settings
        self._health = health
        self._calls = CallPool(settings.max_in_flight, "infer")
        self._streams = CallPool(settings.max_streams, "stream")
        budget = self._budget = ByteBudget(max(limit, settings.max_in_flight_bytes))
        self._stream_infer = StreamInfer(inference, self._streams, budget, limit)
        self._senders = CallPool(settings.max_streams, "watch")
        self._watch = WatchAssignments(reflection, self._senders, limit)
        looking = CallPool(_REFLECTION_STREAMS, "reflection")
        looking_up = reflection_handlers(_SERVICES, looking, limit)
        self._slow = CallPool(_SLOW_CALLS, "control")
        slow = slow_handlers(repository, reflection, self._slow, limit)
        handlers = {
            **cold_handlers(metadata, repository, statistics, reflection, limit),
            **shared_memory_handlers(shared_memory, limit),
            **self._hot_handlers(UnaryInfer(inference, self._calls, budget, limit)),
            **looking_up,
            **slow,
        }
        bounded = {
            MODEL_INFER: (
                self._calls,
                "{} inferences are in flight, the most this server takes (ortolan serve --max-in-flight)",
            ),
            MODEL_STREAM_INFER: (
                self._streams,
                "{} streams are open, the most this server takes (ortolan serve --max-streams)",
            ),
            **dict.fromkeys(
                slow, (self._slow, "{} calls that load, plan or probe are running, the most this server takes")
            ),
            **dict.fromkeys(looking_up, (looking, "{} reflection streams are open, the most this server takes")),
        }
        self._router = Router(handlers, bounded, inference.rejections)
        self.tokens = BearerTokens(settings.auth_tokens) if settings.auth_tokens else None
        """The guard of every call; None: everybody may call."""
        self._access = AccessLog() if settings.access_log else None
        self.certificates = _certificates(settings)
        """None without TLS."""
        self._server = self._build(inference.rejections)
        self._lane = self._open_lane(inference, budget) if fast_lane else None

    def start(self) -> str:
        """Binds and serves. Returns the address with the port that was really taken.

        Raises CannotListen, and InvalidConfig for files of TLS or tokens that cannot be used.
        """
        address = self._settings.grpc_address
        credentials = self.certificates.credentials() if self.certificates else None
        if self.tokens:
            self.tokens.load()
        try:
            if credentials:
                port = self._server.add_secure_port(address, credentials)
            else:
                port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise CannotListen(
                f"cannot listen on {address}: it is in use or not an address of this host "
                "(--grpc-address names another)"
            ) from error
        if self._access:
            self._access.start()
        if self._lane is None:
            self._server.start()
        else:
            self._lane.start()
        return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"

    @property
    def occupancy(self) -> ServerOccupancy:
        """What is in flight at this moment."""
        lane = self._lane
        return ServerOccupancy(
            inferences=self._calls.pending if lane is None else lane.in_flight,
            streams=self._streams.pending if lane is None else lane.open_streams,
            bytes=self._budget.held,
        )

    def stop(self, timeout_s: float) -> bool:
        """Takes nothing new, finishes what is in flight for at most `timeout_s`, then closes.

        False when a call went on for longer, and with it its thread.
        """
        deadline = time.monotonic() + timeout_s
        self._health.stop()
        if self._health.is_watched:
            time.sleep(min(_LEAVE_S, timeout_s))
        closed = self._server.stop(timeout_s)
        self._stream_infer.drain()
        self._watch.drain()
        if self._lane is not None:
            self._lane.drain(deadline)
        else:
            closed.wait(min(_SETTLE_S, timeout_s))
        for pool in (self._calls, self._streams, self._slow):
            pool.wait_idle(max(0.0, deadline - time.monotonic()))
        self._senders.wait_idle(min(_TELL_S, max(0.0, deadline - time.monotonic())))
        self._server.stop(0)  # health watches would stay as long as their clients do
        if not closed.wait(_CLOSE_S):
            log.warning("grpc_close_timed_out", waited_s=_CLOSE_S)
        if self._access:
            self._access.stop()
        lane_idle = self._lane is None or self._lane.idle
        return lane_idle and all(pool.idle for pool in (self._calls, self._streams, self._slow))

    def _hot_handlers(self, infer: UnaryInfer) -> dict[str, Handler]:
        return {
            MODEL_INFER: grpc.unary_unary_rpc_method_handler(infer),
            MODEL_STREAM_INFER: grpc.stream_stream_rpc_method_handler(self._stream_infer),
            f"/{REFLECTION}/WatchAssignments": grpc.unary_stream_rpc_method_handler(
                self._watch, response_serializer=serialize
            ),
        }

    def _build(self, rejections: Rejections) -> grpc.Server:
        server = grpc.server(
            ThreadPoolExecutor(_COLD_THREADS, thread_name_prefix="grpc"),
            handlers=[self._router],
            interceptors=[
                *([AccessInterceptor(self._access)] if self._access else ()),
                *([GuardInterceptor(self.tokens, rejections)] if self.tokens else ()),
            ],
            options=_options(self._settings.max_message_bytes),
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        channelz.add_channelz_servicer(server)
        return server

    def _open_lane(self, inference: InferenceService, budget: ByteBudget) -> "FastLane":
        from ortolan_server.transport.lane.lane import FastLane  # noqa: PLC0415 - grpcio may lack a name it imports

        return FastLane(self._server, inference, budget, self._settings, self.tokens, self._access)


def _certificates(settings: Settings) -> ServerCertificates | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return ServerCertificates(TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca))


def _options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", min(_INT32_MAX, max_message_bytes * _HARD_LIMIT_FACTOR)),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # a second server on the same port is a mistake, and must not start
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _MIN_PING_INTERVAL_MS),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _MIN_PING_INTERVAL_MS),
        # A client that is gone without a word must not keep its streams open for ever.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.http2.ping_timeout_ms", 20_000),
        ("grpc.enable_channelz", 1),
    ]
