"""Who is measured: our server in both lanes, the limits above and below it, and its peers."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from benchmarks.environments import built, environment

__all__ = ["ECHO", "IN_PROCESS", "LANE_ECHO", "OURS", "PLAIN", "PUBLIC", "SERVERS", "Program", "Server"]

OURS, PUBLIC, PLAIN = "ortolan", "ortolan-public", "plain-aio"
IN_PROCESS, ECHO, LANE_ECHO = "in-process", "echo", "lane-echo"

_ENTRY = "from ortolan_server.entry import main; main()"
_LARGEST_MESSAGE = str(2**28)


@dataclass(frozen=True)
class Program:
    """A command that serves the models of a folder on a port, when `arguments(port, models, threads)` follow it."""

    command: tuple[str, ...]
    arguments: Callable[[int, Path, int], tuple[str, ...]]
    env: Mapping[str, str]

    def on(self, port: int, models: Path, threads: int) -> list[str]:
        return [*self.command, *self.arguments(port, models, threads)]


@dataclass(frozen=True)
class Server:
    """`find` installs or builds what is needed; it raises NotHere with the reason where that cannot be done.

    `streams`: the answers of its ModelStreamInfer, as Triton's clients know them (`wrapped`), without their wrapper, or
    none. `speaks` False: takes what comes for no more than bytes (the echo).
    """

    name: str
    title: str
    find: Callable[[], Program]
    streams: Literal["wrapped", "bare", "none"] = "wrapped"
    speaks: bool = True


def _ortolan(lane: str) -> Callable[[], Program]:
    def find() -> Program:
        def arguments(port: int, models: Path, threads: int) -> tuple[str, ...]:
            del threads  # model.toml has them
            bounds = ("--max-in-flight", "16384", "--max-in-flight-size", "4GiB", "--max-message-size", "256MiB")
            addresses = ("--grpc-address", f"127.0.0.1:{port}", "--http-address", "127.0.0.1:0")
            return (str(models), *addresses, lane, "--shared-memory", *bounds)

        return Program((sys.executable, "-c", _ENTRY, "serve"), arguments, os.environ)

    return find


def _module(python: str | Path, name: str, env: Mapping[str, str], *flags: str) -> Program:
    def arguments(port: int, models: Path, threads: int) -> tuple[str, ...]:
        return (str(port), str(models), str(threads), *flags)

    return Program((str(python), "-m", f"benchmarks.peers.{name}"), arguments, env)


def _plain_aio() -> Program:
    return _module(sys.executable, "plain_aio", os.environ)


def _in_process() -> Program:
    def arguments(port: int, models: Path, threads: int) -> tuple[str, ...]:
        del port
        return (str(models), str(threads))

    return Program((sys.executable, "-m", "benchmarks.peers.in_process"), arguments, os.environ)


def _echo() -> Program:
    return Program((str(built("echo")),), lambda port, _models, _threads: (str(port),), os.environ)


def _lane_echo() -> Program:
    command = (sys.executable, "-m", "benchmarks.peers.lane_echo")
    return Program(command, lambda port, _models, _threads: (str(port),), os.environ)


def _peer(name: str, requirement: str, *flags: str) -> Callable[[], Program]:
    def find() -> Program:
        # The same ONNX Runtime as ours.
        python = environment(name, (requirement, f"onnxruntime=={metadata.version('onnxruntime')}"))
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        env["ORT_DISABLE_TELEMETRY"] = "1"
        # PyTriton's stub is linked with libpython: it must find this interpreter's, not the system's.
        env["LD_LIBRARY_PATH"] = str(Path(sys.base_prefix) / "lib")
        return _module(python, f"{name}_peer", env, *flags)

    return find


_KSERVE_FLAGS = ("--grpc_max_receive_message_length", "--grpc_max_send_message_length")

SERVERS: Mapping[str, Server] = {
    server.name: server
    for server in (
        Server(OURS, "Ortolan, fast lane", _ortolan("--fast-lane")),
        Server(PUBLIC, "Ortolan, public lane", _ortolan("--public-lane")),
        Server(IN_PROCESS, "ONNX Runtime in process", _in_process, streams="none"),
        Server(ECHO, "C++ gRPC echo", _echo, speaks=False),
        Server(LANE_ECHO, "Python echo on our lane", _lane_echo, streams="none", speaks=False),
        Server(PLAIN, "plain grpc.aio", _plain_aio),
        Server("mlserver", "MLServer", _peer("mlserver", "mlserver==1.7.1"), streams="bare"),
        Server(
            "kserve",
            "KServe's Python server",
            _peer("kserve", "kserve==0.21.0", *(word for flag in _KSERVE_FLAGS for word in (flag, _LARGEST_MESSAGE))),
            streams="none",
        ),
        Server("pytriton", "PyTriton", _peer("pytriton", "nvidia-pytriton==0.7.0")),
    )
}
"""By name, in the order of the report."""
