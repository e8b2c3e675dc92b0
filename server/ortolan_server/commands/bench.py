"""`ortolan bench`: one model on several chains of this machine, measured and compared."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ortolan_backends.catalog import Catalog
from ortolan_backends.checks import probe_safely
from ortolan_backends.contract import Availability
from ortolan_backends.errors import BackendError
from ortolan_server.bench.report import BenchReport, RowState
from ortolan_server.bench.rule import REFERENCE
from ortolan_server.bench.runner import Bench, BenchJob
from ortolan_server.commands._bench_progress import BenchProgress
from ortolan_server.commands._bench_table import render_bench
from ortolan_server.commands._console import FAILURE, USAGE, answers, complain
from ortolan_server.commands._models import only_model
from ortolan_server.commands._tensor_files import named
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import ModelEntry
from ortolan_server.repository.rungs import check_chain

__all__ = ["bench"]

_INTERRUPTED = 130  # as shells count: 128 and SIGINT

ChainNames = tuple[str, ...]
WritePlot = Callable[[BenchReport, Path], None]


def bench(  # noqa: PLR0913 (the options of the command)
    model: Annotated[Path, typer.Argument(help="A model's folder or a .onnx file.")],
    *,
    chains: Annotated[
        list[str], typer.Option("--chain", "-c", metavar="PROVIDER,…", help="Providers from the top down; repeat.")
    ] = [],  # noqa: B006 (typer copies it)
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input", "-i", metavar="NAME=FILE.npy", help="A tensor saved by numpy.save, random without; repeat."
        ),
    ] = [],  # noqa: B006
    batch: Annotated[str, typer.Option(help="Batch sizes, as in 1,8,32, which is the default.")] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Chains take turns so many times.")] = 5,
    seconds: Annotated[
        float, typer.Option(min=0.001, help="How long each chain runs at each batch size in each round.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of random inputs: the same seed, the same tensors.")] = 0,
    load_timeout_s: Annotated[
        float, typer.Option("--timeout", min=1.0, help="Seconds a chain may take to open, and for a first run.")
    ] = 600.0,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw it too; needs the extra 'ortolan\\[plot]'.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, every figure of it.")] = False,
) -> None:
    """Measure a model on several chains of this machine, and say on which one to serve it.

    Each chain runs in a process of its own, and they take turns. The plain `cpu` is always among them: the others are
    held against its speed and its answers. A chain that cannot be opened keeps its row, with the reason.

    Without `--chain`: `cpu`, the chain of its model.toml, and every provider that works here with `cpu` below.

    For example:

    - `ortolan bench models/resnet`
    - `ortolan bench resnet.onnx --chain cpu --chain cuda,cpu --batch 1,16 --plot resnet.svg`
    - `ortolan bench resnet.onnx -c openvino,cpu -i x=image.npy --json > resnet.json`

    Exit codes: 0 measured, even if some chains were refused; 1 when cpu was not, or none of the chains that are named,
    and for a model that cannot be read; 2 for what cannot be measured as asked; 130 after Ctrl-C.
    """
    with _ending(FAILURE):
        entry = only_model(model)
        _ = entry.wanted  # where no version is on disk that model.toml wants, that is its fault and no flag's
        if not chains:  # as is its chain, when it is measured
            check_chain(entry.config, Catalog.from_entry_points(), entry.where)
    with _ending(USAGE):
        write_plot = _plotter(plot) if plot else None
        files = _files(inputs)
        sizes = _batch_sizes(batch) if batch else None
        # Last: it may look at every provider, which takes seconds.
        wanted = tuple(map(_chain, chains)) if chains else _usual_chains(entry)
    job = BenchJob(
        entry=entry,
        chains=wanted,
        inputs=files,
        batch_sizes=sizes,
        rounds=rounds,
        seconds=seconds,
        seed=seed,
        load_timeout_s=load_timeout_s,
    )
    with _ending(USAGE):
        report = _measure(job)
    if as_json:
        print(report.model_dump_json(indent=2), flush=True)
    else:
        answers().print(render_bench(report))
    if write_plot and plot:
        _draw(write_plot, report, plot)
    if report.recommendation is None or not _measured(report, wanted):
        raise typer.Exit(FAILURE)


@contextmanager
def _ending(status: int) -> Iterator[None]:
    """What is wrong becomes one line on stderr and this exit status; an unreadable model or no ONNX Runtime is 1."""
    try:
        yield
    except (InvalidConfig, BackendError) as error:
        complain(str(error))
        raise typer.Exit(status if isinstance(error, InvalidConfig) else FAILURE) from error


def _measure(job: BenchJob) -> BenchReport:
    with BenchProgress(max(len(",".join(chain)) for chain in job.chains)) as progress:
        try:
            return Bench(job, progress.show).run()
        except KeyboardInterrupt:
            raise typer.Exit(_INTERRUPTED) from None


def _chain(text: str) -> ChainNames:
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def _usual_chains(entry: ModelEntry) -> tuple[ChainNames, ...]:
    """`cpu`, the model's own chain, and each provider that works here with `cpu` below it."""
    chains = [REFERENCE, tuple(rung.provider for rung in entry.config.chain)]
    catalog = Catalog.from_entry_points()
    for name in catalog.names():
        try:
            works = probe_safely(catalog.get(name)).availability is not Availability.UNAVAILABLE
        except BackendError:  # of a third party; `ortolan doctor` tells
            continue
        if works and name not in REFERENCE:
            chains.append((name, *REFERENCE))
    found = tuple(dict.fromkeys(chains))
    if found == (REFERENCE,):
        complain("only cpu works here, so there is nothing to compare; `ortolan doctor` says what the others miss")
    return found


def _files(pairs: list[str]) -> dict[str, Path]:
    try:
        return {name: Path(file) for name, file in named(pairs, "--input").items()}
    except ValueError as error:
        raise InvalidConfig(str(error)) from error


def _batch_sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(size) for size in text.split(","))
    except ValueError:
        message = f"--batch takes whole numbers with commas between, as in 1,8,32, not {text!r}"
        raise InvalidConfig(message) from None


def _plotter(path: Path) -> WritePlot:
    """What is missing for the plot is said before anything is measured."""
    if path.suffix.lower() != ".svg":
        raise InvalidConfig(f"--plot writes an SVG: name a file that ends in .svg, not {path}")
    if not path.parent.is_dir():
        raise InvalidConfig(f"--plot {path}: there is no folder {path.parent}")
    try:
        module = importlib.import_module("ortolan_server.commands._bench_plot")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise InvalidConfig("--plot needs matplotlib: pip install 'ortolan[plot]'") from error
    write_plot: WritePlot = module.write_plot
    return write_plot


def _draw(write_plot: WritePlot, report: BenchReport, path: Path) -> None:
    try:
        write_plot(report, path)
    except OSError as error:
        complain(f"{path}: cannot be written: {error.strerror}")
        raise typer.Exit(FAILURE) from error


def _measured(report: BenchReport, chains: tuple[ChainNames, ...]) -> bool:
    """Whether one of these chains was."""
    return any(row.state is RowState.MEASURED and row.chain in chains for row in report.rows)
