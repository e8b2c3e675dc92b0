"""What a bench found: the model behind `ortolan bench --json`, its table and its plot.

Durations are seconds, memory is bytes, rates are rows a second. A field that a row has no figure for is None: the
chain was refused, its process ended, or this host does not tell.
"""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ortolan_server.tensors.difference import Difference

__all__ = [
    "BatchFigures",
    "BenchReport",
    "Host",
    "Plan",
    "Recommendation",
    "Row",
    "RowAssignment",
    "RowState",
    "Tensor",
]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Host(_Record):
    """Where the figures are from: they hold for no other machine."""

    name: str
    system: str
    """As in `Linux 6.1 x86_64`."""
    cpu: str
    cores: int
    """Those this process may use, not those of the machine."""
    memory_bytes: int | None
    ortolan_version: str
    runtime: str
    """ONNX Runtime's distribution and version: `onnxruntime-openvino 1.24.1`."""


class Tensor(_Record):
    """One input, as it was fed at batch size 1."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    source: str
    """`random`, or the file it was read from."""


class Plan(_Record):
    """What was asked to be measured."""

    inputs: tuple[Tensor, ...]
    batch_sizes: tuple[int, ...]
    """Rows a run. Only (1,) when the model has no batch axis: then one row is one run."""
    batch_axis: bool
    """Whether the first dimension of every input and output may vary."""
    rounds: int
    """Chains take turns so many times, so that a noisy minute falls on all of them."""
    seconds: float
    """How long each chain runs at each batch size in each round."""
    seed: int
    """Of random inputs."""
    random_operators: tuple[str, ...] = ()
    """Operators of the model that draw random numbers. With any of them no two runs agree: differences then mean
    nothing, and are not held against a chain."""


class RowState(StrEnum):
    """MEASURED: it has figures. REFUSED: here its first rung serves nothing, as it did not open or failed to run
    the inputs. CRASHED: its process ended or hung; what was measured before stands.
    """

    MEASURED = "MEASURED"
    REFUSED = "REFUSED"
    CRASHED = "CRASHED"


class BatchFigures(_Record):
    """One batch size on one chain, one run at a time."""

    batch_size: int
    runs: int
    p50_s: float
    """Of all runs of all rounds, as p99_s; the time of one `Session.run`, inputs and outputs in host memory."""
    p99_s: float
    rows_per_s: float
    """Median over the rounds."""
    rows_per_s_low: float
    """The slowest round."""
    rows_per_s_high: float
    """The fastest round."""
    cpu_s_per_row: float
    """Processor time of the whole process, all threads, for one row."""


class RowAssignment(_Record):
    """Which nodes went where, by short names of providers."""

    nodes: dict[str, int]
    node_share: float
    """Of the chain's first provider, shape operators not counted."""
    fragments: int
    crossings: int
    """-1: not known."""


class Row(_Record):
    """One chain."""

    chain: tuple[str, ...]
    """Short names from the top down."""
    options: tuple[dict[str, str], ...]
    """Of each rung, as text; empty: defaults."""
    state: RowState
    reason: str
    """Why it was refused or how its process ended. Of a measured row: which batch sizes failed, and why; empty when
    none did."""
    mend: str
    """What would make it open here, where that is known."""
    serving_provider: str
    verdict: Literal["KEPT", "DEGRADED", "BROKEN", ""]
    verdict_reasons: tuple[str, ...]
    assignment: RowAssignment | None
    hardware: Literal["cpu", "accelerator", ""]
    """What the serving session keeps busy: `accelerator` is hardware that a CPU service would not need."""
    load_s: float | None
    """From the file to an open session whose assignment was judged, compilation included. Without the providers'
    checks, which a server makes once."""
    first_run_s: float | None
    """At the smallest batch size: what a provider puts off until then."""
    peak_memory_bytes: int | None
    """Most resident memory of the row's process, the interpreter included."""
    load_memory_bytes: int | None
    """Resident memory that opening added."""
    batches: tuple[BatchFigures, ...]
    """By batch size, ascending."""
    differences: tuple[Difference, ...]
    """At the smallest and the largest batch size. Empty for the reference itself and for rows without a session."""
    device: str = ""
    """What its first provider found to run on, as its check names it; empty: it does not tell."""
    threads: int | None = None
    """That work on one operator: as a server of this model alone would have it. None: it was not opened."""

    @property
    def name(self) -> str:
        """The chain as it is typed: `openvino,cpu`."""
        return ",".join(self.chain)


class Recommendation(_Record):
    """The rule of `ortolan_server.bench.rule` applied to the rows."""

    chain: tuple[str, ...]
    """The chain to serve on."""
    sentence: str
    """Why, with the figures that decided."""
    findings: dict[str, tuple[str, ...]]
    """For each row but the reference by its name: what speaks against it; empty: it qualified."""
    latency_chain: tuple[str, ...] = ()
    """The chain for callers who wait for single rows, where another than `chain` at least halves the CPU's latency;
    empty: there is none."""


class BenchReport(_Record):
    """One bench of one model on one machine."""

    schema_version: Literal[1] = 1
    model: str
    """The model's name."""
    version: int
    model_sha256: str
    started_at: str
    """ISO 8601, UTC."""
    host: Host
    plan: Plan
    rows: tuple[Row, ...]
    """In the order given; the first with the chain `cpu` is the reference."""
    recommendation: Recommendation | None
    """None: the reference itself could not be measured."""
