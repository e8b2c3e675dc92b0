"""What the engine knows of its calls, and who does what next. No threads, no clock: used under the engine's lock."""

import math
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import NamedTuple

from ortolan_server.deadlines import ran_out
from ortolan_server.engine.call import Pump
from ortolan_server.engine.entry import Batch, Entry, State
from ortolan_server.engine.pace import Pace
from ortolan_server.engine.queue import BatchLimits, Step, comes_too_late, next_step, overdue
from ortolan_server.engine.waiting import Bucket, Waiting
from ortolan_server.errors import CallCancelled, DeadlineExpired, OrtolanError, Overloaded

__all__ = ["Occupancy", "Schedule", "Wake", "expired_waiting"]

# Of work that waits: what comes on top of it is for workers. Some ten runs of the longest that are made on a pump.
_LONGEST_TURN_S = 3e-3
_RUNS_UNTIL_LARGER = 100


class Wake(Enum):
    """Who has to hear of a call that was added."""

    PUMP = auto()
    """Its work is to be put: it was not there yet."""
    WORKER = auto()
    NOBODY = auto()


class Occupancy(NamedTuple):
    """How busy an engine is at one moment."""

    waiting_calls: int = 0
    waiting_bytes: int = 0
    """Of their inputs."""
    running_calls: int = 0
    """Those of all runs that are being made."""
    running_runs: int = 0


class Schedule:
    """Runs are made by `concurrency` workers, or one less and a pump.

    While one is `reserved` for the pump, the calls that a pump may run are left to it. It is so from the first such
    call on until the pump's turn is over, unless workers make all runs, or calls wait that only they may run: these
    would starve otherwise.
    """

    def __init__(self, *, queue_limit: int, queue_bytes: float, concurrency: int, batching: BatchLimits | None) -> None:
        self.batching = batching
        """None: each call runs alone."""
        self.running: set[Batch] = set()
        self.held = False
        """No runs now: the device failed, and another session is awaited."""
        self.inline = True
        """May a pump run calls on the session that serves?"""
        self._queue_limit = queue_limit
        self._queue_bytes = queue_bytes
        self._concurrency = concurrency
        self._waiting = Waiting()
        self._pace = Pace()
        self._last_run_s = 0.0
        self._busy = 0
        """Runs of workers."""
        self._pump: Pump | None = None
        """The one that has our work and has not begun it."""
        self._reserved = False
        self._full_batching: BatchLimits | None = None
        """What `batching` is when memory is not short; None: it is not."""
        self._runs_until_larger = 0

    def begin_anew(self, *, inline: bool) -> None:
        """Another session serves, about which nothing is known."""
        self.inline = inline
        self.held = False
        self._pace = Pace()
        self._last_run_s = 0.0

    @property
    def has_waiting(self) -> bool:
        return self._waiting.calls > 0

    @property
    def occupancy(self) -> Occupancy:
        waiting, running = self._waiting, self.running
        # Calls of a batch that failed are in its own, and run one by one in others.
        calls = sum(entry.batch is batch for batch in running for entry in batch.entries)
        return Occupancy(waiting.calls, waiting.size_bytes, calls, len(running))

    def refusal(self, entry: Entry, now_s: float) -> OrtolanError | None:
        """Why a call that came now cannot wait; None: it can. Sets the entry's pace."""
        entry.pace = self._pace.of(entry.size_bytes)
        left_s = entry.deadline_s - now_s
        if left_s <= 0:
            return DeadlineExpired("the deadline had passed when the request came")
        waiting = self._waiting
        if waiting.calls >= self._queue_limit + self._concurrency - self._busy:
            return Overloaded(
                f"the queue of this model is full: {self._queue_limit} inferences wait already "
                "(model.toml, key `queue` in [limits])"
            )
        if not waiting.calls:
            return None  # one is always tried: else a size above the bound or a wrong estimate would shut it out
        if waiting.size_bytes + entry.size_bytes > self._queue_bytes:
            return Overloaded(
                f"the queue of this model is full: the inferences that wait have {waiting.size_bytes} bytes, and this "
                f"one has {entry.size_bytes} (model.toml, key `queue_size` in [limits])"
            )
        run_s = entry.pace.least_s
        ahead_s = waiting.expected_s / self._concurrency
        if run_s and comes_too_late(left_s, ahead_s, run_s):
            return DeadlineExpired(
                f"refused at once: the deadline is in {left_s:.3g} s, and this inference would end in about "
                f"{ahead_s + run_s:.3g} s, behind {waiting.calls} others"
            )
        return None

    def add(self, entry: Entry, pump: Pump | None) -> Wake:
        """Takes a call that `refusal()` let pass."""
        batching = self.batching
        waits = batching is not None and batching.max_delay_s > 0
        # A wait for more calls needs a thread that waits; and a pump has others to serve.
        entry.on_pump = (
            pump is not None and entry.pace.inline and not waits and self._waiting.expected_s < _LONGEST_TURN_S
        )
        entry.expected_s = entry.pace.least_s
        if batching is None:
            entry.bucket = None
        else:
            key = entry.call.bucket
            entry.bucket = entry if key is None else key
            if entry.rows < batching.max_rows:
                entry.expected_s *= entry.rows / batching.max_rows
        bucket = self._waiting.add(entry)
        if not entry.on_pump:
            return Wake.WORKER if not waits or self._may_go_earlier(bucket, entry) else Wake.NOBODY
        if not self._reserved:
            self._reserved = self._may_reserve
        wake = Wake.PUMP if self._pump is None else Wake.NOBODY
        self._pump = self._pump or pump
        entry.runs_on_pump = self._reserved and self._pump is pump
        return wake

    def step_of_worker(self, now_s: float) -> Step[Entry]:
        """What a free worker does now."""
        waiting = self._waiting
        if self.held or self._busy + self._reserved >= self._concurrency:
            return _NOTHING
        left_to_pump = self._reserved or (self._pump is not None and not waiting.buckets_for_workers)
        buckets = waiting.buckets_for_workers if left_to_pump else waiting.buckets
        return next_step(buckets, self.batching, now_s, self._last_run_s)

    def begin_pump(self) -> bool:
        """The pump has a turn. False when it leaves everything to the workers."""
        self._pump = None
        self._reserved = self.inline and not self.held and (self._reserved or self._may_reserve)
        return self._reserved

    def step_of_pump(self, began_s: float, now_s: float) -> Step[Entry]:
        """What the pump does now: with calls that came before its turn began. Nothing: its turn is over."""
        buckets = self._waiting.buckets_for_pump
        if buckets and self.inline and not self.held:
            step = next_step(buckets, self.batching, now_s, self._last_run_s)
            if step.expired or (step.run and step.run[0].arrived_s <= began_s):
                return step
        self._reserved = False
        return _NOTHING

    def take(self, step: Step[Entry], *, worker: bool) -> Batch | None:
        """Does the step's part here; its batch is to be run, and those it says are expired to be answered."""
        if step.expired:
            self._waiting.remove(step.expired)
            for entry in step.expired:
                entry.state = State.ENDED
        if not step.run:
            return None
        self._waiting.remove(step.run)
        batch = Batch(step.run, holds_slot=worker)
        self._busy += worker
        self.running.add(batch)
        return batch

    def take_alone(self, entry: Entry, now_s: float, parent: Batch) -> Batch | OrtolanError | None:
        """A call of a batch that failed, its `parent`, to be run by itself.

        Or why nobody waits for it any more: it has ended then, and is to be answered. None: it was answered before.
        """
        if entry.state is State.ENDED:
            return None
        cause = entry.cause or (_expired_running() if entry.deadline_s <= now_s else None)
        if cause is not None:
            entry.state = State.ENDED
            return cause
        batch = Batch([entry], holds_slot=False, parent=parent)
        self.running.add(batch)
        return batch

    def end(self, batch: Batch, run_s: float | None) -> list[Entry]:
        """A run is over, in so long if it gave a result. Returns the calls that are to be answered now."""
        if run_s is not None:
            batch.entries[0].pace.record(run_s)
            self._last_run_s = run_s
            if self._full_batching is not None:
                self._grow_batches(self._full_batching)
        self.running.remove(batch)
        self._busy -= batch.holds_slot
        ended = []
        for entry in batch.entries:
            if entry.state is State.RUNNING and entry.batch is batch:
                entry.state = State.ENDED
                ended.append(entry)
            entry.batch = None
        return ended

    def put_back(self, batch: Batch) -> list[tuple[Entry, OrtolanError]]:
        """A run came to nothing, by no fault of its calls: they wait again, ahead of those that came later.

        Returns those that nobody waits for any more, and why: they have ended, and are to be answered.
        """
        self.running.remove(batch)
        self._busy -= batch.holds_slot
        again: list[Entry] = []
        gone: list[tuple[Entry, OrtolanError]] = []
        for entry in batch.entries:
            if entry.state is not State.RUNNING or entry.batch is not batch:
                continue  # answered, or in another run
            entry.batch = None
            if entry.cause is None:
                entry.state = State.WAITING
                again.append(entry)
            else:
                entry.state = State.ENDED
                gone.append((entry, entry.cause))
        self._waiting.put_back(again)
        return gone

    def shrink_batches(self, rows: int) -> int:
        """There was no memory for a run of so many rows: batches are at most half as large for a while.

        Returns their size; 0: it is no smaller than it was.
        """
        batching = self.batching
        if batching is None or rows <= 1:
            return 0
        self._full_batching = self._full_batching or batching
        self._runs_until_larger = _RUNS_UNTIL_LARGER
        most = min(batching.max_rows, max(1, rows // 2))
        if most == batching.max_rows:
            return 0
        self.batching = batching.at_most(most)
        return most

    def cancel(self, entry: Entry, now_s: float) -> OrtolanError | None:
        """The caller left, or its time was over. The answer, if the call has ended by that."""
        cause: OrtolanError = CallCancelled("the caller cancelled this inference")
        if ran_out(entry.deadline_s - now_s, entry.deadline_s - entry.arrived_s):
            cause = expired_waiting() if entry.state is State.WAITING else _expired_running()
        return cause if self.leave(entry, cause) else None

    def leave(self, entry: Entry, cause: OrtolanError) -> bool:
        """Nobody waits for a call any more. True when it has ended by that, and is to be answered."""
        if entry.state is State.WAITING:
            self._waiting.remove((entry,))
            entry.state = State.ENDED
            return True
        return entry.batch is not None and entry.batch.leave(entry, cause)

    def stop(self, cause: OrtolanError) -> list[Entry]:
        """Stops all runs, and empties the queue. Returns the calls that are to be answered now."""
        for batch in self.running:
            batch.stop(cause)
        return self.empty()

    def empty(self) -> list[Entry]:
        """Empties the queue. Returns the calls that are to be answered now."""
        waiting = list(self._waiting)
        self._waiting.remove(waiting)
        for entry in waiting:
            entry.state = State.ENDED
        return waiting

    def end_overdue(self, now_s: float) -> tuple[list[tuple[Entry, OrtolanError]], float]:
        """Lets calls go whose time is over. Returns those to be answered now, and the nearest deadline of others."""
        waiting, nearest_waiting_s = overdue(self._waiting, now_s)
        running = [entry for batch in self.running for entry in batch.entries if entry.cause is None]
        late, nearest_running_s = overdue(running, now_s)
        gone = [*_with(waiting, expired_waiting()), *_with(late, _expired_running())]
        return [each for each in gone if self.leave(*each)], min(nearest_waiting_s, nearest_running_s)

    def _grow_batches(self, full: BatchLimits) -> None:
        """After so many runs without want of memory they may be twice as large."""
        self._runs_until_larger -= 1
        if self._runs_until_larger or self.batching is None:
            return
        self._runs_until_larger = _RUNS_UNTIL_LARGER
        most = 2 * self.batching.max_rows
        self.batching = full.at_most(most)
        if most >= full.max_rows:
            self._full_batching = None

    @property
    def _may_reserve(self) -> bool:
        return self._busy < self._concurrency and not self._waiting.buckets_for_workers

    def _may_go_earlier(self, bucket: Bucket, entry: Entry) -> bool:
        """May a batch go before the worker looks that waits for it to be due?"""
        batching = self.batching
        if batching is None or len(bucket) == 1:
            return True
        goal = min(batching.preferred_rows, default=batching.max_rows)
        return bucket.rows >= goal or entry.deadline_s - entry.arrived_s < 2 * batching.max_delay_s


_NOTHING: Step[Entry] = Step([], [], math.inf)


def expired_waiting() -> DeadlineExpired:
    return DeadlineExpired("the deadline passed while the inference waited for its turn")


def _expired_running() -> DeadlineExpired:
    return DeadlineExpired("the deadline passed while the inference ran")


def _with(entries: Iterable[Entry], cause: OrtolanError) -> Sequence[tuple[Entry, OrtolanError]]:
    return [(entry, cause) for entry in entries]
