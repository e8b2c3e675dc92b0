"""The `ortolan` script. It comes with the base install, which has no command line: then it says what to install."""

import os
import signal
import sys

__all__ = ["main"]

_MISSING = """\
ortolan: the command line is not installed. Pick one:
  pip install 'ortolan[cli]'        status, infer, health: for a server elsewhere
  pip install 'ortolan[batch]'      the same, and batch: all rows of a file
  pip install 'ortolan[cpu]'        also serve, doctor, plan, bench, with ONNX Runtime for CPUs
  pip install 'ortolan[gpu]'        the same for NVIDIA GPUs
  pip install 'ortolan[openvino]'   the same for Intel hardware
"""
_CLI_PACKAGES = {"rich", "typer"}
_USAGE = 2
# With gRPC's event engine other threads read the sockets, and have to wake the one that answers for each call. Its core
# decides as it is imported, which the commands do: hence here and not there.
# docs/decisions/0007-the-fast-lane.md has what this is worth.
_READ_WHERE_EVENTS_ARE_ASKED_FOR = (
    "GRPC_EXPERIMENTS",
    "-event_engine_listener,-event_engine_for_all_other_endpoints,-event_engine_callback_cq",
)


def main() -> None:
    """Runs the command line; without its packages prints which extras bring them and exits 2."""
    if os.getpid() == 1:
        # In a container. The kernel keeps from the first process what it does not handle: a SIGTERM while the imports
        # last would be lost, and the container killed at the end of its time.
        signal.signal(signal.SIGTERM, _end)
    if sys.argv[1:2] == ["serve"]:
        os.environ.setdefault(*_READ_WHERE_EVENTS_ARE_ASKED_FOR)  # whoever set it knows why
    try:
        from ortolan_server.commands import app  # noqa: PLC0415 (missing in the base install)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _CLI_PACKAGES:
            raise
        sys.stderr.write(_MISSING)
        raise SystemExit(_USAGE) from None
    app(prog_name="ortolan")


def _end(number: int, _frame: object) -> None:
    os._exit(128 + number)
