"""One run of a job: from the rows that are not done to the output."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal, Protocol, TypeVar

from ortolan_client import Bulk, Cancelled, Client, DeadlineExceeded, Model, Overloaded, Unavailable
from ortolan_server.commands._batch.feed import Feed
from ortolan_server.commands._batch.formats import STDIO, BatchFailed, Format
from ortolan_server.commands._batch.job import Asked, Done, InputIdentity, Job, difference, job_path
from ortolan_server.commands._batch.parts import Parts
from ortolan_server.commands._batch.plan import Plan, check_types, make_plan, text_types
from ortolan_server.commands._batch.sinks import DirectSink, PartsSink, Sink, join_parts, schema_of
from ortolan_server.commands._batch.sources import Source, blocks, open_source
from ortolan_server.commands._durable import replaced

__all__ = ["BatchOrder", "BatchResult", "run_batch"]

_Result = TypeVar("_Result")
_PAUSE_S = 0.5


class Watcher(Protocol):
    """Is told how far a job is."""

    def waiting(self, reason: str, for_s: float) -> None:
        """There is no server to begin with; it is waited for, so long at most."""

    def begin(self, rows: int) -> None:
        """Earlier runs did so many."""

    def show(self, rows: int, total: int | None) -> None:
        """So many are done now."""


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """What the command line asks for."""

    model: str
    version: str
    source: str
    in_format: Format
    target: str
    out_format: Format
    maps: tuple[str, ...]
    outputs: tuple[str, ...]
    keep: tuple[str, ...]
    bad_rows: Path | None
    """None: beside the output, or standard error where that is a pipe."""
    batch_size: int | Literal["auto"]
    in_flight: int | Literal["auto"]
    retry_for_s: float
    commit_every_s: float
    restart: bool


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of the job, all its runs together."""

    model: str
    version: str
    rows: int
    bad_rows: int
    rows_of_this_run: int


def run_batch(client: Client, order: BatchOrder, watcher: Watcher) -> BatchResult:
    """Does what is not done yet.

    Raises ValueError for an order that does not fit file and model, BatchFailed where the job cannot go on, and
    OrtolanClientError for what the server says; what is done by then is kept, unless rows come or go through a pipe.
    """
    if STDIO in (order.source, order.target):
        return _run_piped(client, order, watcher)
    output = Path(order.target)
    with Parts(output.with_name(f"{output.name}.parts")) as parts:
        return _run_kept(client, order, output, parts, watcher)


def _run_kept(client: Client, order: BatchOrder, output: Path, parts: Parts, watcher: Watcher) -> BatchResult:
    record = job_path(output)
    asked, before = _asked(order), None
    if not order.restart:
        before = Job.read(record)
        _require_same(asked, before, output)
    if before is not None and before.done is not None and output.exists():
        parts.remove()
        return BatchResult(order.model, before.version, before.done.rows, before.done.bad_rows, 0)
    if before is not None and before.done is not None:
        before = None  # somebody took the output away
    with closing(_Work(client, order, before.version if before else order.version, watcher)) as work:
        job = Job(asked, work.model.version, _signature(work.model))
        if before is None:
            parts.clear()
            job.write(record, parts.folder)
        elif job != before:
            raise BatchFailed(f"model {_called(work.model)} has changed since the job began; --restart begins anew")
        chain = parts.chain()
        start = chain[-1].stop if chain else 0
        watcher.begin(start)
        sink = PartsSink(parts, start, schema_of(chain), commit_every_s=order.commit_every_s)
        feed = work.run(start, sink)
        declared = feed.declared_schema(work.source.schema)
    if _asked(order) != asked:
        raise BatchFailed(f"{order.source} was changed while it was read; --restart begins anew")
    bad_rows = order.bad_rows or output.with_name(f"{output.name}.bad.jsonl")
    bad = join_parts(parts.chain(), order.out_format, output, bad_rows, declared=declared, folder=parts.folder)
    done = Done(feed.rows_read, bad, output.stat().st_size)
    replace(job, done=done).write(record, parts.folder)
    parts.remove()
    return BatchResult(order.model, job.version, done.rows, bad, done.rows - start)


def _require_same(asked: Asked, before: Job | None, output: Path) -> None:
    """Raises BatchFailed where the output would not be what one run alone would make."""
    if before is None:
        if output.exists():
            raise BatchFailed(f"{output} is there already, and no job wrote it; --restart replaces it")
        return
    if changed := difference(before.asked, asked):
        raise BatchFailed(f"{output} was begun otherwise: {changed}; --restart begins anew")
    if before.done is not None and output.exists() and output.stat().st_size != before.done.output_bytes:
        raise BatchFailed(f"{output} has changed since its job was done; --restart replaces it")


def _run_piped(client: Client, order: BatchOrder, watcher: Watcher) -> BatchResult:
    """A pipe gives and takes each row once: nothing is kept, and a file is there at the end or not at all."""
    if order.target != STDIO and Path(order.target).exists() and not order.restart:
        raise BatchFailed(f"{order.target} is there already; --restart replaces it")
    if order.out_format in (Format.NPY, Format.NPZ):
        raise ValueError(f"{order.out_format} begins with the number of rows, which is not known of a pipe")
    with ExitStack() as files:
        work = files.enter_context(closing(_Work(client, order, order.version, watcher)))
        streaming = order.target == STDIO
        file = sys.stdout.buffer if streaming else files.enter_context(replaced(Path(order.target)))
        bad: IO[bytes] = sys.stderr.buffer
        if order.bad_rows is not None:
            bad = files.enter_context(order.bad_rows.open("wb"))
        sink = DirectSink(order.out_format, file, bad, streaming=streaming)
        feed = work.run(0, sink)
        sink.close(feed.declared_schema(work.source.schema))
    return BatchResult(order.model, work.model.version, feed.rows_read, sink.bad_rows, feed.rows_read)


class _Work:
    """The model, the file, and what goes where."""

    def __init__(self, client: Client, order: BatchOrder, version: str, watcher: Watcher) -> None:
        """`version` empty: the one that serves by default, from now on."""
        self._client = client
        self._order = order
        self._watcher = watcher
        self.model = _patiently(lambda: _pinned(client, order.model, version), order.retry_for_s, watcher)
        self.source, self._plan = self._open()

    def _open(self) -> tuple[Source, Plan]:
        order, model = self._order, self.model
        source = open_source(order.source, order.in_format, {})
        try:
            plan = make_plan(source.schema.names, model, order.maps, order.outputs, order.keep)
            types = text_types(plan, source.schema, model.inputs, order.in_format)
            if types and order.source != STDIO:
                source.close()
                source = open_source(order.source, order.in_format, types)
            check_types(plan, source.schema, model.inputs)
        except BaseException:
            source.close()
            raise
        return source, plan

    def close(self) -> None:
        self.source.close()

    def run(self, start: int, sink: Sink) -> Feed:
        """All rows from `start` on. What came by the time of an error is committed."""
        order, plan, model = self._order, self._plan, self.model
        rows = blocks(self.source, order.source, start, plan.columns)
        feed = Feed(rows, start, plan, model.inputs, model.outputs)
        tensors = feed.tensors()

        def prepared() -> Bulk:
            return self._client.map_blocks(
                model.name,
                tensors,
                version=model.version,
                outputs=list(plan.outputs),
                batch_size=order.batch_size,
                in_flight=order.in_flight,
                retry_for_s=order.retry_for_s,
            )

        bulk = _patiently(prepared, order.retry_for_s, self._watcher)  # it asks the server what the model takes
        try:
            for chunk in bulk.chunks():
                answered = feed.answered(chunk)
                sink.add(answered)
                self._watcher.show(answered.stop, self.source.total())
            sink.add(feed.rest())
        finally:
            sink.commit()
        return feed


def _pinned(client: Client, name: str, version: str) -> Model:
    if version:
        return client.model(name, version)
    versions = client.metadata(name).versions
    numbered = [number for number in versions if number.isdecimal()]
    return client.model(name, max(numbered, key=int, default=""))


def _signature(model: Model) -> dict[str, str]:
    return {name: str(spec) for name, spec in (*model.inputs.items(), *model.outputs.items())}


def _asked(order: BatchOrder) -> Asked:
    try:
        identity = InputIdentity.of(Path(order.source))
    except OSError as error:
        raise BatchFailed(f"{order.source}: {error.strerror}") from error
    return Asked(
        input=identity,
        in_format=order.in_format,
        out_format=order.out_format,
        model=order.model,
        version=order.version,
        map=list(order.maps),
        output=list(order.outputs),
        keep=list(order.keep),
    )


def _called(model: Model) -> str:
    return f"{model.name}/{model.version}" if model.version else model.name


def _patiently(call: Callable[[], _Result], retry_for_s: float, watcher: Watcher) -> _Result:
    """The call's result, tried again while there is no server, or none that serves."""
    until_s = time.monotonic() + retry_for_s
    told = ""
    while True:
        try:
            return call()
        except (Unavailable, Overloaded, Cancelled, DeadlineExceeded) as error:
            if time.monotonic() >= until_s:
                raise
            if error.message != told:
                watcher.waiting(error.message, retry_for_s)
            told = error.message
            time.sleep(_PAUSE_S)
