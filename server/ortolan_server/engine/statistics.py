"""Counts and durations of one model version since it was loaded."""

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ortolan_server.errors import OrtolanError

__all__ = ["LATENCY_BOUNDS_S", "BatchStatistics", "Duration", "Snapshot", "Stages", "Statistics"]

LATENCY_BOUNDS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""`Snapshot.latencies` counts the calls up to each of them, and those above the last."""

_NS = 1_000_000_000
# Sizes come from callers: without a bound each new one would cost memory for good.
_MAX_BATCH_SIZES = 256


@dataclass(frozen=True, slots=True)
class Duration:
    """How often, and how long in sum."""

    count: int = 0
    ns: int = 0


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """The runs with one batch size; the counts are of runs."""

    batch_size: int
    """Rows of a run, all its calls together."""
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


@dataclass(frozen=True, slots=True)
class Stages:
    """Where the time went. Only work that led to a result; nothing is counted twice."""

    decode: Duration
    """Reading and checking requests, by calls."""
    queue: Duration
    """Waiting for a run, by calls."""
    batch: Duration
    """Joining inputs and splitting outputs, by runs; 0 ns for runs of one call."""
    run: Duration
    """The session's runs, by runs."""
    encode: Duration
    """Writing responses, by calls."""
    send: Duration
    """From a response's hand-over to gRPC until it has left for the network, by calls. Not part of the others, nor of
    `success`: a slow reader makes it long."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All counts at one moment. Down to `batches` in the protocol's terms, as Triton counts."""

    last_inference_ms: int
    """Since 1970-01-01T00:00:00Z; 0: none yet."""
    inference_count: int
    """Rows inferred, those of a result that could not be sent included."""
    execution_count: int
    """Runs of the session that gave a result; less than calls where these are joined."""
    success: Duration
    """Calls answered with a result, from the reading of the request to the writing of the response."""
    fail: Duration
    """Calls answered with an error, those refused at the queue included."""
    failures: Mapping[type[OrtolanError], int]
    """Those of `fail`, by what became of them."""
    latencies: tuple[int, ...]
    """Those of `success`, by duration: how many above the bound before and up to that of `LATENCY_BOUNDS_S`."""
    queue: Duration
    compute_input: Duration
    """By calls: the reading of the request, and the joining and splitting of the batch that it was part of."""
    compute_infer: Duration
    """By calls: the run of the batch that it was part of. So a run of 16 calls counts 16 times."""
    compute_output: Duration
    """By calls: the writing of the response."""
    batches: tuple[BatchStatistics, ...]
    """By size, ascending; the first 256 sizes that were seen."""
    stages: Stages
    inline: bool
    """Was the last run made on the thread that had received its calls, and not on a worker? So with tiny models."""
    inline_execution_count: int
    """Runs made so, of `execution_count`."""
    batching: bool
    """Are calls joined? False too once outputs have come that could not be split."""


class Statistics:
    """Counts as calls end. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_inference_ns = 0
        self._calls = 0
        self._inference_count = 0
        self._success = _Sum()
        self._fail = _Sum()
        self._failures: Counter[type[OrtolanError]] = Counter()
        self._latencies = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self._sent = _Sum()
        self._compute_input_s = 0.0
        self._compute_infer_s = 0.0
        self._decode_s = 0.0
        self._queue_s = 0.0
        self._batch_s = 0.0
        self._encode_s = 0.0
        self._runs = _Sum()
        self._inline = False
        self._inline_runs = 0
        self._batches: dict[int, _Batch] = {}
        self.batching = False
        """Are calls joined? Set by the engine."""

    def record_run(  # noqa: PLR0913 - what there is to say of a run
        self, *, calls: int, rows: int, decode_s: float, queue_s: float, batch_s: float, run_s: float, inline: bool
    ) -> None:
        """One run that gave a result for `calls` with `rows` in all, whose responses may still fail.

        `decode_s` and `queue_s` are the calls' sums. `inline`: it was made on the thread that received the calls.
        """
        now_ns = time.time_ns()
        with self._lock:
            self._last_inference_ns = now_ns
            self._calls += calls
            self._inference_count += rows
            self._decode_s += decode_s
            self._queue_s += queue_s
            self._batch_s += batch_s
            self._compute_input_s += decode_s + calls * batch_s
            self._compute_infer_s += calls * run_s
            self._runs.add(run_s)
            self._inline = inline
            self._inline_runs += inline
            batch = self._batches.get(rows)
            if batch is None and len(self._batches) < _MAX_BATCH_SIZES:
                batch = self._batches[rows] = _Batch()
            if batch is not None:
                batch.runs += 1
                batch.input_s += decode_s + batch_s
                batch.infer_s += run_s

    def record_success(self, *, batch_rows: int, encode_s: float, total_s: float) -> None:
        """The response to a call whose run of `batch_rows` was recorded; to be called before it is sent."""
        bucket = bisect_left(LATENCY_BOUNDS_S, total_s)
        with self._lock:
            self._latencies[bucket] += 1
            success = self._success
            success.count += 1
            success.seconds += total_s
            self._encode_s += encode_s
            batch = self._batches.get(batch_rows)
            if batch is not None:
                batch.output_s += encode_s

    def record_failure(self, error: OrtolanError, *, total_s: float) -> None:
        """One call answered with `error`, whether or not it ran."""
        with self._lock:
            self._fail.add(total_s)
            self._failures[type(error)] += 1

    def record_send(self, seconds: float) -> None:
        """The response to a call whose success was recorded has left, so long after it was handed to gRPC."""
        with self._lock:
            sent = self._sent
            sent.count += 1
            sent.seconds += seconds

    def snapshot(self) -> Snapshot:
        with self._lock:
            runs = self._runs.count
            answered = self._success.count
            queue = _duration(self._calls, self._queue_s)
            encode = _duration(answered, self._encode_s)
            return Snapshot(
                last_inference_ms=self._last_inference_ns // 1_000_000,
                inference_count=self._inference_count,
                execution_count=runs,
                success=self._success.freeze(),
                fail=self._fail.freeze(),
                failures=dict(self._failures),
                latencies=tuple(self._latencies),
                queue=queue,
                compute_input=_duration(self._calls, self._compute_input_s),
                compute_infer=_duration(self._calls, self._compute_infer_s),
                compute_output=encode,
                batches=tuple(batch.freeze(size) for size, batch in sorted(self._batches.items())),
                stages=Stages(
                    decode=_duration(self._calls, self._decode_s),
                    queue=queue,
                    batch=_duration(runs, self._batch_s),
                    run=self._runs.freeze(),
                    encode=encode,
                    send=self._sent.freeze(),
                ),
                inline=self._inline,
                inline_execution_count=self._inline_runs,
                batching=self.batching,
            )


class _Sum:
    __slots__ = ("count", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds

    def freeze(self) -> Duration:
        return _duration(self.count, self.seconds)


class _Batch:
    __slots__ = ("infer_s", "input_s", "output_s", "runs")

    def __init__(self) -> None:
        self.runs = 0
        self.input_s = 0.0
        self.infer_s = 0.0
        self.output_s = 0.0

    def freeze(self, size: int) -> BatchStatistics:
        seconds = (self.input_s, self.infer_s, self.output_s)
        return BatchStatistics(size, *(_duration(self.runs, sum_s) for sum_s in seconds))


def _duration(count: int, seconds: float) -> Duration:
    return Duration(count, round(seconds * _NS))
