"""Bulk inference: any number of rows through a model, in batches whose size and number find themselves."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ortolan.inference import inference_pb2, model_config_pb2
from ortolan_client._bulk.batch_size import LARGEST_BATCH, BatchSize
from ortolan_client._bulk.rows import Blocks, Columns, Dicts, RowSource, Tensors
from ortolan_client._bulk.run import BulkChunk, BulkRun
from ortolan_client._bulk.window import Window
from ortolan_client._connection import CallOptions
from ortolan_client._errors import InvalidInput, NotSupported, OrtolanClientError
from ortolan_client._messages import Outputs
from ortolan_client._signature import Signature, signature_of

__all__ = ["Bulk", "BulkOptions", "BulkProgress", "BulkRow", "Rows", "blocks_source", "bulk", "rows_source"]

_RETRY_FOR_S = 60.0

Rows = Mapping[str, ArrayLike] | Iterable[Mapping[str, ArrayLike]]
Auto = Literal["auto"]


class BulkClient(Protocol):
    """What is needed of a client."""

    def submit(
        self,
        model: str,
        inputs: Tensors,
        *,
        version: str = "",
        outputs: Outputs = None,
        **options: Unpack[CallOptions],
    ) -> Future[dict[str, NDArray[Any]]]: ...

    def metadata(
        self, model: str, version: str = "", **options: Unpack[CallOptions]
    ) -> inference_pb2.ModelMetadataResponse: ...

    def config(self, model: str, version: str = "", **options: Unpack[CallOptions]) -> model_config_pb2.ModelConfig: ...


@dataclass(frozen=True, slots=True)
class BulkProgress:
    """How far a bulk inference is."""

    rows: int
    """Given out, those that failed included."""
    failed: int
    total: int | None
    """None: nobody knows how many rows there are."""
    elapsed_s: float
    batch_size: int
    in_flight: int
    """Calls that may be under way now."""


class BulkRow:
    """One row's answer: `row["label"]`, or the error that it met, raised by `row["label"]`."""

    __slots__ = ("error", "index", "outputs")

    def __init__(self, index: int, outputs: Mapping[str, Any], error: OrtolanClientError | None = None) -> None:
        self.index = index
        """Its place among the rows, from 0."""
        self.outputs = outputs
        """Each output's part for this row; empty when it failed."""
        self.error = error

    def __getitem__(self, output: str) -> Any:  # noqa: ANN401 (an array, or numpy's scalar)
        if self.error is not None:
            raise self.error
        return self.outputs[output]

    def __repr__(self) -> str:
        return f"BulkRow({self.index}, {self.error or dict(self.outputs)!r})"


class Bulk:
    """A bulk inference, made by `Client.map`. It begins when it is iterated over, and each iteration does it all.

        for row in client.map("digits", {"X": images}):
            print(row.index, row["label"])

    Iterate over it for rows, over `chunks()` for arrays of many rows, or ask for all of them with `arrays()`.
    Calls are made while the next row or chunk is asked for, by the thread that asks: whoever is slow slows them down,
    and what is in memory stays bounded. Leaving early cancels what is under way.

    A row that the model does not take has its error and costs the others nothing. What no row can pass (no such
    model, no permission, no answer for `retry_for_s`) is raised.
    """

    def __init__(
        self, start: Callable[[], tuple[RowSource, BulkRun]], progress: Callable[[BulkProgress], None]
    ) -> None:
        self._start = start
        self._progress = progress

    def __iter__(self) -> Iterator[BulkRow]:
        for chunk in self.chunks():
            if chunk.error is not None:
                for index in range(chunk.start, chunk.start + chunk.rows):
                    yield BulkRow(index, {}, chunk.error)
                continue
            names = list(chunk.outputs)
            columns = chunk.outputs.values()
            for index, values in enumerate(zip(*columns, strict=True), chunk.start):
                yield BulkRow(index, dict(zip(names, values, strict=True)))

    def chunks(self) -> Iterator[BulkChunk]:
        """Rows as they were answered, many at a time: `start`, `rows`, and `outputs` or the `error` of all of them."""
        source, run = self._start()
        begun_s = time.monotonic()
        rows = failed = 0
        for chunk in run:
            yield chunk
            rows += chunk.rows
            failed += chunk.rows if chunk.error is not None else 0
            self._progress(
                BulkProgress(rows, failed, source.total, time.monotonic() - begun_s, run.batch.size, run.window.size)
            )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All answers in the order of the rows, one array for each output. Raises the first error of a row."""
        chunks = sorted(self.chunks(), key=lambda chunk: chunk.start)
        for chunk in chunks:
            if chunk.error is not None:
                raise chunk.error
        names = chunks[0].outputs if chunks else ()
        return {name: np.concatenate([chunk.outputs[name] for chunk in chunks]) for name in names}


class BulkOptions(CallOptions, total=False):
    """What `Client.map` takes by keyword, beside what every call takes."""

    outputs: Outputs
    """None, the default: all of them. As a mapping it says for each in which array of `Client.shared_memory()` its rows
    shall be written: one that has as many as there are. None: they come in the answers."""
    batch_size: int | Auto
    """Rows in one call. "auto", the default: grows while this brings more rows a second."""
    in_flight: int | Auto
    """Calls under way at once. "auto", the default: as many as the server answers without letting them wait."""
    ordered: bool
    """True, the default: in the order of the rows. False: as they are answered."""
    retry_for_s: float
    """How long to try again while the server gives no answer, or refuses all: 60 by default."""
    progress: Callable[[BulkProgress], None] | None
    """Called after each chunk, by the thread that iterates."""


def bulk(
    client: BulkClient, model: str, version: str, source: Callable[[Signature], RowSource], options: BulkOptions
) -> Bulk:
    """Asks the server what the model takes, and prepares the rest. The contract is `Client.map`'s."""
    size, calls = options.get("batch_size", "auto"), options.get("in_flight", "auto")
    for name, number in (("batch_size", size), ("in_flight", calls)):
        if number != "auto" and number < 1:
            raise ValueError(f'{name} is "auto" or at least 1, not {number}')
    call = CallOptions(timeout_s=options.get("timeout_s"), metadata=options.get("metadata"))
    outputs, retry_for_s = options.get("outputs"), options.get("retry_for_s", _RETRY_FOR_S)
    signature, largest = _read_model(client, model, version, call)

    def submit(first: int, inputs: Tensors) -> Future[dict[str, NDArray[Any]]]:
        wanted = rows_of_outputs(outputs, first, inputs)
        return client.submit(model, inputs, version=version, outputs=wanted, **call)

    def start() -> tuple[RowSource, BulkRun]:
        rows = source(signature)
        _require_rows(outputs, rows.total)
        batch = BatchSize(largest=largest) if size == "auto" else _always(min(size, largest))
        window = Window() if calls == "auto" else Window(smallest=calls, largest=calls)
        ordered = options.get("ordered", True)
        return rows, BulkRun(rows, submit, window, batch, ordered=ordered, retry_for_s=retry_for_s)

    return Bulk(start, options.get("progress") or _silent)


def rows_source(rows: Rows) -> Callable[[Signature], RowSource]:
    """Of columns or of dicts, whichever it is."""
    if isinstance(rows, Mapping):
        return lambda signature: Columns(rows, signature)
    return lambda signature: Dicts(rows, signature)


def blocks_source(blocks: Iterable[Tensors], total: int | None) -> Callable[[Signature], RowSource]:
    return lambda signature: Blocks(blocks, signature, total)


def _read_model(client: BulkClient, model: str, version: str, call: CallOptions) -> tuple[Signature, int]:
    """What the model takes, and how many rows at a time. Raises InvalidInput where rows cannot be joined."""
    metadata = client.metadata(model, version, **call)
    signature = signature_of(metadata, version)
    for name, spec in signature.inputs.items():
        if spec.shape[:1] not in ((-1,), (1,)):
            told = f"model {model!r}: input {name!r} {spec} has no first dimension that counts rows"
            raise InvalidInput(told, code="INVALID_ARGUMENT", model=model)
    if any(spec.shape[:1] == (1,) for spec in signature.inputs.values()):
        return signature, 1
    if any(key.startswith("ortolan.") for key in metadata.properties):
        return signature, LARGEST_BATCH  # a batch over `max_size` runs alone, as it is; Triton refuses it
    try:
        return signature, client.config(model, version, **call).max_batch_size or LARGEST_BATCH
    except NotSupported:
        return signature, LARGEST_BATCH


def rows_of_outputs(outputs: Outputs, first: int, inputs: Tensors) -> Outputs:
    """Where the answers to the rows of one batch go, which begins with row `first`."""
    if not isinstance(outputs, Mapping):
        return outputs
    last = first + len(next(iter(inputs.values())))
    return {name: None if array is None else array[first:last] for name, array in outputs.items()}


def _require_rows(outputs: Outputs, total: int | None) -> None:
    if not isinstance(outputs, Mapping):
        return
    for name, array in outputs.items():
        if array is not None and len(array) != total:
            rows = "so many as nobody knows" if total is None else total
            raise ValueError(f"output {name!r} has room for {len(array)} rows, and there are {rows}")


def _always(rows: int) -> BatchSize:
    return BatchSize(smallest=rows, largest=rows)


def _silent(_: BulkProgress) -> None:
    pass
