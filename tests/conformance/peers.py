"""The clients that must work unchanged, each with the calls that are made through it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conformance import ortolan_calls, triton_aio_calls, triton_calls, triton_loads, triton_streams

__all__ = ["Outcome", "call_all", "kserve_outcomes"]

ROOT = Path(__file__).resolve().parents[2]
KSERVE = "kserve InferenceGRPCClient"
LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    client: str
    call: str
    fault: str
    """Empty: as expected."""


def call_all(address: str) -> Iterator[Outcome]:
    """Every call of every client, in order; some of them change what is loaded, and put it back.

    The server is one of `--model-control explicit`: some send models with their loads.
    """
    for module in (triton_calls, triton_loads, triton_streams, triton_aio_calls, ortolan_calls):
        for call in module.CALLS:
            yield Outcome(module.CLIENT, call.__name__, _fault(call, address))
    yield from kserve_outcomes(address)


def kserve_outcomes(address: str) -> Iterator[Outcome]:
    """In a process of its own: KServe's package registers the same messages as Triton's, in the same pool."""
    command = [sys.executable, "-m", "tests.conformance.kserve_calls", address]
    came = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    for line in came.stdout.splitlines():
        call, _, fault = line.partition("\t")
        yield Outcome(KSERVE, call, fault)
    if came.returncode != 0:
        yield Outcome(KSERVE, "its process", came.stderr[-2000:])


def _fault(call: Callable[[str], None], address: str) -> str:
    try:
        call(address)
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the finding
        return f"{type(error).__name__}: {error}"
    return ""
