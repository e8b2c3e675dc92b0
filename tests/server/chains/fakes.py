"""Backends that each do one thing at the edge of ONNX Runtime; those that work are the CPU under another name."""

import gc
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from itertools import count
from typing import Any

from ortolan_backends.catalog import ENTRY_POINT_GROUP, Catalog
from ortolan_backends.contract import Check, Device, Outcome, Probe
from ortolan_backends.cpu import CpuBackend
from ortolan_backends.options import ProviderOptions, option
from ortolan_backends.runtime.session import Session

__all__ = [
    "CPU",
    "LIBRARY_LINE",
    "NOWHERE",
    "Fake",
    "FakeOptions",
    "Gated",
    "QuickCpu",
    "catalog",
    "gated",
    "sessions_open",
]

CPU = "CPUExecutionProvider"
NOWHERE = "NowhereExecutionProvider"
LIBRARY_LINE = "libfake.so.1: cannot open shared object file"

_looks = count(1)


class FakeOptions(ProviderOptions):
    level: int = option(0, key="fake_level", ge=0, le=9, doc="How much.")
    fast: bool = option(False, key="fake_fast", doc="Whether to hurry.")


def take_all(session_options: Any) -> None:
    session_options.add_provider(CPU, {})


def refuse(session_options: Any) -> None:
    line = f"2026-01-01 00:00:00.000000001 [E:onnxruntime:Default, provider.cc:1 Load] {LIBRARY_LINE}\n"
    os.write(2, f"\x1b[1;31m{line.rstrip()}\x1b[m\n".encode())
    raise RuntimeError("Provider configuration is not supported.")


def warn_and_refuse(session_options: Any) -> None:
    for logid in (session_options.logid, "another-session"):
        os.write(
            2,
            f"2026-01-01 00:00:00.000000001 [W:onnxruntime:{logid}, graph.cc:1 Clean] Removing initializer\n".encode(),
        )
    raise RuntimeError("No.")


def contradict(session_options: Any) -> None:
    session_options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session_options.add_provider(CPU, {})


def sessions_open() -> int:
    """In this process, those of other tests too."""
    gc.collect()
    return sum(isinstance(thing, Session) for thing in gc.get_objects())


def count_sessions(session_options: Any) -> None:
    """Tells as a warning how many sessions are open while this one is attached."""
    text = f"{sessions_open()} sessions are open"
    os.write(
        2, f"2026-01-01 00:00:00.000000001 [W:onnxruntime:{session_options.logid}, fake:1 Count] {text}\n".encode()
    )
    session_options.add_provider(CPU, {})


FINE = Probe((Check("device", Outcome.OK, "one found"),))
ABSENT = Probe((Check("libabsent.so.1", Outcome.FAILED, "libabsent.so.1 is missing", "apt install libabsent1"),))
AILING = Probe((Check("driver", Outcome.DEGRADED, "the driver is old", "update it"),))


@dataclass
class Fake:  # not frozen: `Backend` has plain attributes
    """A backend whose findings and whose doing are given."""

    name: str
    provider: str = CPU
    found: Probe = FINE
    doing: Callable[[Any], None] = take_all
    summary: str = "For tests."
    compiles: bool = False
    options: type[ProviderOptions] = field(default=FakeOptions)

    def probe(self) -> Probe:
        """Tells in its versions how often it looked."""
        return Probe(self.found.checks, self.found.devices, {"looks": str(next(_looks))})

    def attach(self, session_options: Any, options: ProviderOptions) -> None:
        self.doing(session_options)


class Crashing(Fake):
    """One that breaks its promise."""

    def probe(self) -> Probe:
        raise ZeroDivisionError("the third party divides by zero")


class Gated(Fake):
    """One whose sessions wait at a gate, which stands open unless a test closes it."""

    def __init__(self, name: str) -> None:
        super().__init__(name, doing=self._wait)
        self._open = threading.Event()
        self._open.set()
        self.arrived = threading.Event()

    def close(self) -> None:
        self.arrived.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def _wait(self, session_options: Any) -> None:
        self.arrived.set()
        self._open.wait()
        take_all(session_options)


class QuickCpu(CpuBackend):
    """Our own, without the process that its probe starts."""

    def probe(self) -> Probe:
        return FINE


cpu = QuickCpu()
first = Fake("first")
second = Fake("second")
ailing = Fake("ailing", found=AILING)
absent = Fake("absent", found=ABSENT)
rootless = Fake("rootless", doing=refuse)
warning = Fake("warning", doing=warn_and_refuse)
contradicting = Fake("contradicting", doing=contradict)
crashing = Crashing("crashing")
counting = Fake("counting", doing=count_sessions)
gated = Gated("gated")
cramped = Fake("cramped", found=Probe(FINE.checks, (Device("gpu", "0", "a GPU of 10 bytes", 10),)))
idle = Fake("idle", provider=NOWHERE, doing=lambda _session_options: None)


def catalog() -> Catalog:
    """All of them, as if a package published them."""
    published = [name for name, value in globals().items() if isinstance(value, Fake | QuickCpu)]
    return Catalog({name: EntryPoint(name, f"{__name__}:{name}", ENTRY_POINT_GROUP) for name in published})
