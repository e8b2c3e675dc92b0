"""What is measured: each case with its load, the figure that counts, and what that figure is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.samples import SAMPLES
from benchmarks.servers import ECHO, IN_PROCESS, LANE_ECHO, OURS, PLAIN, PUBLIC, SERVERS

__all__ = ["CASES", "MANY_MODELS", "PEAK", "Case", "Figure", "Flow"]

PEAK = "tiny-64"
"""The case whose rate is a server's peak."""

MANY_MODELS = 50


@dataclass(frozen=True)
class Figure:
    """One of the figures of a round: its key there, and how it is shown."""

    key: str
    unit: str
    scale: float = 1.0
    more_is_better: bool = True


@dataclass(frozen=True)
class Flow:
    """Calls of one kind: which samples, over how many connections, how many in flight on each.

    `rate_per_s`: open loop at that rate; `share_of_peak`: at this share of the server's own peak.
    """

    samples: str
    connections: int = 1
    in_flight: int = 1
    stream: bool = False
    rate_per_s: float = 0.0
    share_of_peak: float = 0.0


@dataclass(frozen=True)
class Case:
    """`limit` says what bounds the figure. `flows[0]` is the one that is measured, others go on beside it.

    Servers of a case serve the models of its flows, and no others.
    """

    name: str
    title: str
    limit: str
    figure: Figure
    reference: str
    servers: Sequence[str]
    flows: Sequence[Flow] = ()
    kind: Literal["load", "h2load", "shared-memory", "many"] = "load"
    cores: Literal["apart", "shared"] = "apart"
    """Server and load generator each on their own, or both on the cores of both. So where a run of the model takes all
    that there is, and the load next to nothing: what runs in process gets the same cores, and the same threads."""
    seconds_factor: float = 1.0
    """Slow calls need longer to be counted."""
    rounds_of: str = ""
    """This figure comes from the rounds of another case."""

    @property
    def models(self) -> frozenset[str]:
        return frozenset(sample.model for flow in self.flows for sample in SAMPLES[flow.samples])


_RATE = Figure("per_second", "calls/s")
_MEDIAN = Figure("p50_us", "µs", more_is_better=False)
_P99 = Figure("p99_us", "ms", scale=1e-3, more_is_better=False)

# All peers where a goal or a reader asks for them; elsewhere the limits, and what one writes first.
_ALL = tuple(SERVERS)
_WITH_MODELS = tuple(name for name in _ALL if name not in {ECHO, LANE_ECHO, IN_PROCESS, PUBLIC})
_RUNS = (OURS, IN_PROCESS, *_WITH_MODELS[1:])
_STREAMING = (OURS, PUBLIC, *(name for name in (ECHO, *_WITH_MODELS[1:]) if SERVERS[name].streams != "none"))
_CALLS = (OURS, PUBLIC, ECHO, PLAIN)


CASES: Mapping[str, Case] = {
    case.name: case
    for case in (
        Case(
            "tiny-1",
            "tiny MLP, batch 1, one at a time",
            "two wake-ups and two crossings of the loopback interface for each call",
            _MEDIAN,
            ECHO,
            _ALL,
            (Flow("tiny-1"),),
        ),
        Case(
            "tiny-8",
            "tiny MLP, batch 1, 8 in flight on 4 connections",
            "the server's work for each call",
            _RATE,
            ECHO,
            _CALLS,
            (Flow("tiny-1", connections=4, in_flight=2),),
        ),
        Case(
            PEAK,
            "tiny MLP, batch 1, 64 in flight on 4 connections",
            "the server's work for each call: gRPC's own in C++ is the echo's",
            _RATE,
            ECHO,
            _ALL,
            (Flow("tiny-1", connections=4, in_flight=16),),
        ),
        Case(
            "tiny-64-h2load",
            "the same, asked by h2load",
            "as above; the two load generators should agree",
            _RATE,
            ECHO,
            (OURS, ECHO),
            (Flow("tiny-1", connections=4, in_flight=16),),
            kind="h2load",
        ),
        Case(
            "tiny-rows",
            "tiny MLP, batch 64, 8 in flight on 4 connections",
            "the server's work for each call, and 3 KB each way",
            _RATE,
            ECHO,
            (*_CALLS, IN_PROCESS),
            (Flow("tiny-64", connections=4, in_flight=2),),
        ),
        Case(
            "tiny-streams",
            "tiny MLP, batch 1, 4 streams with 16 in flight each",
            "the server's work for each message; no call is opened or closed",
            _RATE,
            ECHO,
            _STREAMING,
            (Flow("tiny-1", connections=4, in_flight=16, stream=True),),
        ),
        Case(
            "tiny-open-loop",
            "tiny MLP, batch 1, open loop at 70 % of the server's own peak (the echo: of Ortolan's), p99",
            "the longest hold-up: a thread switch, a garbage collection, a batch that is running",
            _P99,
            ECHO,
            _CALLS,
            (Flow("tiny-1", connections=4, share_of_peak=0.7),),
            seconds_factor=2,
        ),
        Case(
            "tiny-beside-16mb",
            "tiny MLP, 500/s in open loop, beside 16 MB tensors one after another, p99",
            "how long the server's one core is taken by a large message at a time",
            _P99,
            ECHO,
            _CALLS,
            (Flow("tiny-1", rate_per_s=500), Flow("16mb")),
            seconds_factor=2,
        ),
        Case(
            "convnet-1",
            "ResNet-50-shaped convnet, 224 × 224, batch 1, 2 in flight",
            "the model",
            _RATE,
            IN_PROCESS,
            _RUNS,
            (Flow("convnet-1", connections=2),),
            cores="shared",
            seconds_factor=2,
        ),
        Case(
            "convnet-8",
            "ResNet-50-shaped convnet, 224 × 224, batch 8, 2 in flight",
            "the model",
            _RATE,
            IN_PROCESS,
            (OURS, IN_PROCESS, PLAIN),
            (Flow("convnet-8", connections=2),),
            cores="shared",
            seconds_factor=4,
        ),
        Case(
            "transformer",
            "MiniLM-shaped transformer, texts of 8 to 128 tokens in turns, 32 in flight on 4 connections",
            "the model; runs of several texts of one length cost less than runs of one",
            _RATE,
            IN_PROCESS,
            _RUNS,
            (Flow("texts", connections=4, in_flight=8),),
            cores="shared",
            seconds_factor=3,
        ),
        Case(
            "identity-1mb",
            "1 MB in, 1 MB out, 2 in flight on 2 connections",
            "copies: in the kernel, in gRPC, in the server",
            _RATE,
            ECHO,
            _ALL,
            (Flow("1mb", connections=2),),
        ),
        Case(
            "identity-16mb",
            "16 MB in, 16 MB out, one at a time",
            "copies, and memory taken from the system and given back for each call",
            _RATE,
            ECHO,
            (*_CALLS, IN_PROCESS),
            (Flow("16mb"),),
            seconds_factor=2,
        ),
        Case(
            "identity-16mb-shm",
            "16 MB in, 16 MB out, in shared memory, 2 in flight",
            "one copy, which is the model",
            _RATE,
            IN_PROCESS,
            (OURS, PUBLIC, IN_PROCESS),
            (Flow("16mb", in_flight=2),),
            kind="shared-memory",
            cores="shared",
            seconds_factor=2,
        ),
        Case(
            "idle-50",
            f"idle with {MANY_MODELS} models loaded, CPU time",
            "timers and polling",
            Figure("idle_cpu_percent", "%", more_is_better=False),
            PLAIN,
            _WITH_MODELS,
            (Flow("tiny-1"),),
            kind="many",
        ),
        Case(
            "start-up",
            "from the start of the process to the first right answer, tiny MLP",
            "Python's imports",
            Figure("start_s", "s", more_is_better=False),
            PLAIN,
            _WITH_MODELS,
            rounds_of="idle-50",
        ),
        Case(
            "memory",
            f"memory for each further model, of {MANY_MODELS}",
            "ONNX Runtime's session; the weights of the tiny MLP are 7 KB",
            Figure("model_mib", "MiB", more_is_better=False),
            PLAIN,
            _WITH_MODELS,
            rounds_of="idle-50",
        ),
    )
}
"""By name, in the order of the report; what a case takes from another stands behind that one."""
