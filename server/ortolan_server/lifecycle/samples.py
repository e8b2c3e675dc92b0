"""Warm-up samples: from `[[warmup]]` to the inputs of runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from ortolan_server.errors import InvalidConfig, LoadFailed
from ortolan_server.repository import Batching, ModelToml
from ortolan_server.repository.external_data import location_fault
from ortolan_server.repository.tables import Warmup, WarmupInput
from ortolan_server.tensors import Signature
from ortolan_server.tensors.feeds import Arrays, MadeUp, Source, first_rows, make_inputs
from ortolan_server.units import counted

__all__ = ["Batch", "Sample", "made_up_to", "read_samples"]

log = structlog.get_logger()

_MAX_BYTES = 2**31 - 1  # Larger inputs cannot come over gRPC either.
_MOST_SIZES = 64


@dataclass(frozen=True, slots=True)
class Batch:
    """The inputs of one run."""

    feeds: Arrays
    rows: int | None
    """None: those that the sample has of its own."""

    def __str__(self) -> str:
        return "" if self.rows is None else f" at {counted(self.rows, 'row')}"


@dataclass(frozen=True, slots=True)
class Sample:
    """Inputs by their sources, and the sizes at which they are run."""

    label: str
    """As messages call it: `warm-up sample 'usual'`."""
    declared: bool
    """False: nobody wrote it, so a model may refuse it."""
    sources: Mapping[str, Source]
    rest: MadeUp
    sizes: tuple[int, ...] = ()
    """Rows of its runs, ascending; empty: those of its inputs."""
    runs: int = 1
    seed: int = 0

    @property
    def recorded(self) -> bool:
        """Whether any of its inputs is a recorded one."""
        return any(isinstance(source, Path) for source in self.sources.values())

    def require_fit(self, signature: Signature) -> None:
        """Raises LoadFailed, naming sample and input, where its inputs do not fit the model."""
        if self.sizes and not signature.has_batch_axis:
            raise LoadFailed(
                f"{self.label}: batch_sizes need a model whose inputs and outputs all have a first dimension that may "
                "vary; write the shapes of its inputs instead"
            )
        self.inputs(signature, None)

    def inputs(self, signature: Signature, rows: int | None) -> Arrays:
        """Read and made anew each time. Raises LoadFailed as `require_fit` does."""
        try:
            return make_inputs(signature, self.sources, rows=rows, seed=self.seed, rest=self.rest)
        except InvalidConfig as error:
            raise LoadFailed(f"{self.label}: {error}") from error

    def batches(self, signature: Signature) -> Iterator[Batch]:
        """From the smallest to the largest, which may share memory; what has too many bytes is left out, and the log
        says so.

        Raises LoadFailed as `inputs` does.
        """
        sizes = self.sizes if signature.has_batch_axis else ()
        one = self.inputs(signature, 1 if sizes else None)
        size_bytes = sum(array.nbytes for array in one.values())
        fitting = [size for size in sizes if size * size_bytes <= _MAX_BYTES]
        if size_bytes > _MAX_BYTES or len(fitting) < len(sizes):
            left_out = [size for size in sizes if size not in fitting]
            log.warning("warm_up_left_out", sample=self.label, batch_sizes=left_out, more_than_bytes=_MAX_BYTES)
        if not sizes and size_bytes <= _MAX_BYTES:
            yield Batch(one, None)
        if fitting:
            largest = self.inputs(signature, fitting[-1])
            for size in fitting:
                yield Batch(first_rows(signature, largest, size), size)


def read_samples(config: ModelToml, folder: Path) -> tuple[Sample, ...]:
    """The samples of a model; without `[[warmup]]` one of zeros, with 1 for every dimension that may vary.

    `folder` is that of model.toml. Raises LoadFailed for a file that does not lie in it.
    """
    sizes = made_up_to(config.batching)
    if not config.warmup:
        return (Sample("the first run", declared=False, sources={}, rest=MadeUp("zeros"), sizes=sizes),)
    return tuple(_sample(number, table, folder, sizes) for number, table in enumerate(config.warmup, start=1))


def made_up_to(batching: Batching | None) -> tuple[int, ...]:
    """Sizes at which batches are run: the powers of two, the largest, and those that are preferred."""
    if batching is None:
        return ()
    powers = [1 << power for power in range(batching.max_size.bit_length())]
    preferred = batching.preferred_sizes[: _MOST_SIZES - len(powers) - 1]
    return _ascending((*powers, *preferred, batching.max_size))


def _sample(number: int, table: Warmup, folder: Path, sizes: tuple[int, ...]) -> Sample:
    label = f"warm-up sample {table.name!r}" if table.name else f"warm-up sample {number}"
    return Sample(
        label,
        declared=True,
        sources={name: _source(label, name, given, table, folder) for name, given in table.inputs.items()},
        rest=MadeUp(table.data),
        sizes=_ascending(table.batch_sizes) or sizes,
        runs=table.runs,
        seed=number,
    )


def _source(label: str, name: str, given: WarmupInput, table: Warmup, folder: Path) -> Source:
    if given.file is None:
        return MadeUp(given.data or table.data, given.shape)
    if fault := location_fault(given.file, folder.resolve()):
        raise LoadFailed(f"{label}: input {name!r}: {given.file!r} {fault}")
    return folder / given.file


def _ascending(sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(set(sizes)))
