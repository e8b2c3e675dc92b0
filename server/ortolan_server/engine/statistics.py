"""Counts and durations of one model version since it was loaded, in the protocol's terms."""

import threading
import time
from dataclasses import dataclass

__all__ = ["BatchStatistics", "Duration", "Snapshot", "Statistics"]

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
    """The runs with one batch size."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All counts at one moment."""

    last_inference_ms: int
    """Since 1970-01-01T00:00:00Z; 0: none yet."""
    inference_count: int
    """Rows inferred, those of a result that could not be sent included."""
    execution_count: int
    """Runs of the session that gave a result."""
    success: Duration
    """Calls answered with a result, from the reading of the request to the writing of the response."""
    fail: Duration
    """Calls answered with an error, those refused at the queue included."""
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    batches: tuple[BatchStatistics, ...]
    """By size, ascending; the first 256 sizes that were seen."""


class Statistics:
    """Counts as calls end. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_inference_ms = 0
        self._inference_count = 0
        self._success = _Sum()
        self._fail = _Sum()
        self._queue = _Sum()
        self._compute = _Compute()
        self._batches: dict[int, _Compute] = {}

    def record_run(self, *, rows: int, decode_s: float, queue_s: float, run_s: float) -> None:
        """One run that gave a result for one call, whose response may still fail."""
        now_ms = time.time_ns() // 1_000_000
        with self._lock:
            self._last_inference_ms = now_ms
            self._inference_count += rows
            self._queue.add(queue_s)
            for compute in self._computes(rows):
                compute.input.add(decode_s)
                compute.infer.add(run_s)

    def record_success(self, *, rows: int, encode_s: float, total_s: float) -> None:
        """The response to a call whose run was recorded; to be called before it is sent."""
        with self._lock:
            self._success.add(total_s)
            for compute in self._computes(rows):
                compute.output.add(encode_s)

    def record_failure(self, *, total_s: float) -> None:
        """One call answered with an error, whether or not it ran."""
        with self._lock:
            self._fail.add(total_s)

    def snapshot(self) -> Snapshot:
        with self._lock:
            return Snapshot(
                last_inference_ms=self._last_inference_ms,
                inference_count=self._inference_count,
                execution_count=self._compute.infer.count,
                success=self._success.freeze(),
                fail=self._fail.freeze(),
                queue=self._queue.freeze(),
                compute_input=self._compute.input.freeze(),
                compute_infer=self._compute.infer.freeze(),
                compute_output=self._compute.output.freeze(),
                batches=tuple(batch.freeze(size) for size, batch in sorted(self._batches.items())),
            )

    def _computes(self, rows: int) -> tuple["_Compute", ...]:
        batch = self._batches.get(rows)
        if batch is None:
            if len(self._batches) >= _MAX_BATCH_SIZES:
                return (self._compute,)
            batch = self._batches[rows] = _Compute()
        return (self._compute, batch)


class _Sum:
    __slots__ = ("count", "ns")

    def __init__(self) -> None:
        self.count = 0
        self.ns = 0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.ns += round(seconds * _NS)

    def freeze(self) -> Duration:
        return Duration(self.count, self.ns)


class _Compute:
    __slots__ = ("infer", "input", "output")

    def __init__(self) -> None:
        self.input = _Sum()
        self.infer = _Sum()
        self.output = _Sum()

    def freeze(self, size: int) -> BatchStatistics:
        return BatchStatistics(size, self.input.freeze(), self.infer.freeze(), self.output.freeze())
