"""What a bench and the process of one chain say to each other: one line of JSON a command, one an answer."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ortolan_server.bench.report import RowAssignment

__all__ = [
    "ANSWERS",
    "COMMANDS",
    "Answer",
    "Command",
    "Failed",
    "Measure",
    "Measured",
    "Open",
    "Opened",
    "Refused",
    "Warm",
    "Warmed",
]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Open(_Message):
    """Open the model on a chain; answered by Opened or Refused."""

    do: Literal["open"] = "open"
    model: str
    """The model file."""
    config: str
    """Its `model.toml` on the chain, as JSON."""
    inputs: str
    """A file of arrays: the model's inputs in its order, with the rows of the largest batch."""
    batch_axis: bool


class Warm(_Message):
    """The first runs at a batch size; answered by Warmed or Failed."""

    do: Literal["warm"] = "warm"
    batch_size: int
    save: str
    """The .npz file to write the outputs to, in the model's order; empty: nowhere."""


class Measure(_Message):
    """One turn; answered by Measured or Failed."""

    do: Literal["measure"] = "measure"
    batch_size: int
    seconds: float


class Refused(_Message):
    """The chain's first rung does not serve the model here."""

    kind: Literal["refused"] = "refused"
    reason: str
    mend: str
    verdict_reasons: tuple[str, ...]


class Opened(_Message):
    """A session is open at the chain's first rung. Fields as in the report's Row."""

    kind: Literal["opened"] = "opened"
    verdict: Literal["KEPT", "DEGRADED"]
    verdict_reasons: tuple[str, ...]
    provider: str
    assignment: RowAssignment | None
    hardware: Literal["cpu", "accelerator"]
    device: str
    threads: int
    load_s: float
    load_memory_bytes: int | None
    peak_memory_bytes: int | None


class Warmed(_Message):
    kind: Literal["warmed"] = "warmed"
    first_s: float
    second_s: float
    peak_memory_bytes: int | None


class Measured(_Message):
    kind: Literal["measured"] = "measured"
    durations_ns: tuple[int, ...]
    """Of each run."""
    elapsed_s: float
    """Of all of them and what is between."""
    cpu_s: float
    """Of the whole process meanwhile."""
    peak_memory_bytes: int | None


class Failed(_Message):
    """A run failed; the process goes on."""

    kind: Literal["failed"] = "failed"
    reason: str


Command = Open | Warm | Measure
Answer = Opened | Refused | Warmed | Measured | Failed
COMMANDS: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="do")])
ANSWERS: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="kind")])
