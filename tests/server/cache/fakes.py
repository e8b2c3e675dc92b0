"""Backends that keep what they "compile": the CPU, whose optimised graph is the artefact, written by ONNX Runtime."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from ortolan_backends.caching import placed_by_its_options, with_options
from ortolan_backends.catalog import ENTRY_POINT_GROUP, Catalog
from ortolan_backends.contract import Check, Device, NotCached, Outcome, Probe
from ortolan_backends.options import ProviderOptions, encode, option
from tests.server.chains.fakes import CPU, QuickCpu

__all__ = ["CPU", "DEVICE", "Keeping", "KeepingOptions", "catalog", "probe"]

DEVICE = Device("cpu", "0", "a processor")


class KeepingOptions(ProviderOptions):
    level: int = option(0, key="level", ge=0, le=9, doc="How much.")
    cache_dir: str | None = option(None, key="cache_dir", doc="Where it is kept.")


def probe(**versions: str) -> Probe:
    return Probe((Check("device", Outcome.OK, "one found"),), (DEVICE,), versions or {"driver": "1.0"})


def once(session_options: Any, artefact: Path) -> None:
    """As a provider should: what is there is not written again. Loading it is not shown, but refused where damaged."""
    if not artefact.exists():
        session_options.optimized_model_filepath = str(artefact)
    elif artefact.read_bytes().startswith(b"damaged"):
        raise RuntimeError("the artefact cannot be read")


def always(session_options: Any, artefact: Path) -> None:
    """As OpenVINO without its reader: written at every load."""
    artefact.unlink(missing_ok=True)
    session_options.optimized_model_filepath = str(artefact)


def nothing(session_options: Any, artefact: Path) -> None:
    """As a provider that took none of the nodes."""


def refuse(session_options: Any, artefact: Path) -> None:
    artefact.write_text("begun")
    raise RuntimeError("no memory for the build")


@dataclass
class Keeping:  # not frozen: `Backend` has plain attributes
    """A backend whose provider is the CPU, and whose doing is given."""

    name: str
    doing: Callable[[Any, Path], None] = once
    late: bool = False
    unreadable: str = ""
    provider: str = CPU
    summary: str = "For tests."
    compiles: bool = False
    options: type[ProviderOptions] = field(default=KeepingOptions)
    built: list[str] = field(default_factory=list)
    """The folder of each opening."""

    def probe(self) -> Probe:
        return probe()

    def attach(self, session_options: Any, options: ProviderOptions) -> None:
        folder = encode(options).get("cache_dir", "")
        self.built.append(folder)
        if folder:
            self.doing(session_options, Path(folder, "optimised.onnx"))
        session_options.add_provider(CPU, {})

    def cache_in(self, options: ProviderOptions, folder: Path) -> ProviderOptions | NotCached:
        if self.unreadable:
            return NotCached(self.unreadable)
        return placed_by_its_options(options, ("cache_dir",)) or with_options(options, cache_dir=str(folder))

    def compiles_for(self, options: ProviderOptions, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        return devices

    def writes_while_running(self, options: ProviderOptions) -> bool:
        return self.late


def _wait_for_the_test(session_options: Any, artefact: Path) -> None:
    """Tells that it builds, and goes on when the test says so."""
    if not artefact.exists():
        os.write(1, b"building\n")
        Path(os.environ["GATE"]).open().close()
    once(session_options, artefact)


@dataclass
class Absent(Keeping):
    """One whose probe fails."""

    def probe(self) -> Probe:
        return Probe((Check("device", Outcome.FAILED, "no such device", "buy one"),))


keeping = Keeping("keeping")
absent = Absent("absent")
refusing = Keeping("refusing", doing=refuse)
unreadable = Keeping("unreadable", unreadable="its reader is missing")
cpu = QuickCpu()
gated = Keeping("gated", doing=_wait_for_the_test)


def catalog() -> Catalog:
    published = [name for name, value in globals().items() if isinstance(value, Keeping | QuickCpu)]
    return Catalog({name: EntryPoint(name, f"{__name__}:{name}", ENTRY_POINT_GROUP) for name in published})
