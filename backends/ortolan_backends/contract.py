"""What a backend is: the one interface a provider family implements.

A backend holds no state of a model. It says which options its provider takes, whether the provider can
work on this machine, and how it is put into a session's options. Everything else (the chain, the session,
the assignment, the verdict) is done by others, the same way for every family.

A third party publishes a backend as an entry point of the group `ortolan.backends` whose name is the
backend's short name and whose value is an object of this shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ortolan_backends.options import ProviderOptions

__all__ = ["Availability", "Backend", "Caches", "Check", "Device", "NotCached", "Outcome", "Probe"]


class Outcome(StrEnum):
    """How one check ended."""

    OK = "ok"
    DEGRADED = "degraded"
    """Works, but less well or not for everything."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not looked at, because an earlier check failed."""


class Availability(StrEnum):
    """Whether a provider can work here, as far as it can be known without a model."""

    AVAILABLE = "available"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    looked_at: str
    """The subject, e.g. `libcublas.so.13`."""
    outcome: Outcome
    finding: str
    """What was found, as a sentence without a full stop."""
    mend: str = ""
    """What the reader can do about it; empty when there is nothing to mend."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device that the provider can use."""

    kind: str
    """`cpu`, `gpu` or `npu`."""
    id: str
    name: str
    memory_bytes: int = 0
    """0: not known."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a backend found out about its provider on this machine."""

    checks: tuple[Check, ...]
    devices: tuple[Device, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the parts that matter: `{"cuda": "13.0", "driver": "580.82"}`."""

    @property
    def availability(self) -> Availability:
        outcomes = {check.outcome for check in self.checks}
        if Outcome.FAILED in outcomes:
            return Availability.UNAVAILABLE
        if Outcome.DEGRADED in outcomes:
            return Availability.DEGRADED
        return Availability.AVAILABLE

    @property
    def reason(self) -> str:
        """The findings that keep it from being available, in one sentence; empty when there are none."""
        worst = {Availability.UNAVAILABLE: Outcome.FAILED, Availability.DEGRADED: Outcome.DEGRADED}
        outcome = worst.get(self.availability)
        return "; ".join(check.finding for check in self.checks if check.outcome is outcome)

    @property
    def mend(self) -> str:
        """What to do about the first check that is not fine; empty when there is nothing to do."""
        broken = (Outcome.FAILED, Outcome.DEGRADED)
        return next((check.mend for check in self.checks if check.outcome in broken and check.mend), "")


@runtime_checkable
class Backend(Protocol):
    """One provider family.

    `name` is the short name (`cuda`), `provider` ONNX Runtime's name (`CUDAExecutionProvider`), `summary` one
    sentence that says when to choose it.

    `compiles` is true for providers that fuse their nodes into compiled subgraphs: fragments are then the
    subgraphs ONNX Runtime reports, and not the switches of provider in topological order.

    `options` is the schema of its options: a frozen pydantic model whose fields carry their documentation.
    """

    name: str
    provider: str
    summary: str
    compiles: bool
    options: "type[ProviderOptions]"

    def probe(self) -> Probe:
        """Looks at this machine. Never raises, and never crashes the process: what can is done in a subprocess."""
        ...

    def attach(self, session_options: Any, options: "ProviderOptions") -> None:  # noqa: ANN401 - it has no types
        """Puts the provider behind those already in `session_options`, an `onnxruntime.SessionOptions`.

        `options` is an instance of `self.options`. Raises ONNX Runtime's own exceptions: the caller
        wraps them.
        """
        ...


@dataclass(frozen=True, slots=True)
class NotCached:
    """Why what a provider compiles is not kept."""

    reason: str
    """A clause without a full stop."""
    by_choice: bool = False
    """The options say so themselves: there is nothing to complain of."""


@runtime_checkable
class Caches(Protocol):
    """What a backend has beside `Backend` when its provider can keep what it compiles in a folder."""

    def cache_in(self, options: "ProviderOptions", folder: Path) -> "ProviderOptions | NotCached":
        """The options with the provider's own cache switched on and `folder` for its place.

        NotCached when they place a cache themselves, or when this provider could not read what it kept. Raises nothing
        and writes nothing.
        """
        ...

    def compiles_for(self, options: "ProviderOptions", devices: tuple[Device, ...]) -> tuple[Device, ...]:
        """Those of the probe's `devices` that what is compiled with these options depends on."""
        ...

    def writes_while_running(self, options: "ProviderOptions") -> bool:
        """Whether files are written, or written again, after the session is open.

        So it is where a shape that was not seen before is compiled for, or where the session writes when it closes.
        """
        ...
