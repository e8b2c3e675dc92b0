"""`ortolan batch`: all rows of a file through a model."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from ortolan_server.commands._batch.formats import STDIO, BatchFailed, format_of
from ortolan_server.commands._batch.run import BatchOrder, BatchResult, run_batch
from ortolan_server.commands._batch_progress import BatchProgress
from ortolan_server.commands._console import FAILURE, answers, complain, connect, print_json, reported_errors
from ortolan_server.commands._tls import TlsCa, TlsCert, TlsKey, TlsOn, TlsServerName, tls_of
from ortolan_server.commands._token import TokenFile, token_of

__all__ = ["batch"]

_INTERRUPTED = 130
_AUTO: Literal["auto"] = "auto"


def batch(  # noqa: PLR0913 (the options of the command)
    address: Annotated[str, typer.Argument(help="HOST:PORT of the server.")],
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    *,
    source: Annotated[str, typer.Option("--in", "-i", metavar="FILE", help="Rows to read; - is standard input.")],
    target: Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="Where to; - is standard output.")],
    maps: Annotated[
        list[str],
        typer.Option(
            "--map",
            "-m",
            metavar="COLUMN=INPUT",
            help="Which column goes into which input; several, or a pattern, as in `x_*=X`: one number each.",
        ),
    ] = [],  # noqa: B006 (typer copies it)
    outputs: Annotated[
        list[str],
        typer.Option("--output", metavar="NAME[=COLUMN]", help="Write this output only, under that name; repeat."),
    ] = [],  # noqa: B006
    keep: Annotated[
        list[str],
        typer.Option("--keep", "-k", metavar="COLUMN[=NAME]", help="Copy this column of the input file; repeat."),
    ] = [],  # noqa: B006
    in_format: Annotated[
        str, typer.Option(metavar="FORMAT", help="parquet, arrow, csv, jsonl, npy or npz; the suffix says it, too.")
    ] = "",
    out_format: Annotated[str, typer.Option(metavar="FORMAT", help="Likewise.")] = "",
    bad_rows: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where rows without an answer go; by default OUT.bad.jsonl.")
    ] = None,
    batch_size: Annotated[str, typer.Option(metavar="ROWS", help="Rows in a call; `auto` finds out.")] = _AUTO,
    in_flight: Annotated[str, typer.Option(metavar="CALLS", help="Calls at once; `auto` finds out.")] = _AUTO,
    retry_for_s: Annotated[
        float, typer.Option("--retry-for", min=0, help="Seconds to try again while no server answers.")
    ] = 300.0,
    commit_every_s: Annotated[
        float, typer.Option("--commit-every", min=0, help="Seconds of work that a kill may cost.")
    ] = 1.0,
    restart: Annotated[bool, typer.Option("--restart", help="Forget what is done, and replace the output.")] = False,
    version: Annotated[str, typer.Option(help="Version; without it the one that serves when the job begins.")] = "",
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.01, help="Seconds to wait for an answer.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    tls: TlsOn = False,
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_server_name: TlsServerName = "",
    token_file: TokenFile = None,
) -> None:
    """Run a model on every row of a file, and write the answers in the same order.

    For example:

    - `ortolan batch 127.0.0.1:8001 digits --in digits.parquet --out answers.parquet --keep id`
    - `ortolan batch 127.0.0.1:8001 digits -i pixels.csv -o answers.csv --map 'pixel_*=X' --output label`
    - `cat rows.jsonl | ortolan batch 127.0.0.1:8001 digits -i - -o - --in-format jsonl --out-format csv`

    Whatever ends it, the client or the server: run it again, and it goes on where it was. The output is there when
    all rows are, each once. Rows that the model does not take go to the side file with the reason.

    Exit codes: 0 fine, some rows may be bad; 1 it could not go on, and what is done is kept; 2 usage; 130 after
    Ctrl-C.
    """
    try:
        order = BatchOrder(
            model=model,
            version=version,
            source=source,
            in_format=format_of(source, in_format, "--in-format"),
            target=target,
            out_format=format_of(target, out_format, "--out-format"),
            maps=tuple(maps),
            outputs=tuple(outputs),
            keep=tuple(keep),
            bad_rows=bad_rows,
            batch_size=_number(batch_size, "--batch-size"),
            in_flight=_number(in_flight, "--in-flight"),
            retry_for_s=retry_for_s,
            commit_every_s=commit_every_s,
            restart=restart,
        )
        _require_there(order)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    security = tls_of(tls, tls_ca, tls_cert, tls_key, tls_server_name)
    begun_s = time.monotonic()
    with (
        connect(address, timeout_s, security, token_of(token_file)) as client,
        _ended(order),
        reported_errors(address, _kept(order)),
        BatchProgress(model) as progress,
    ):
        result = run_batch(client, order, progress)
    _report(result, order, time.monotonic() - begun_s, as_json=as_json)


def _require_there(order: BatchOrder) -> None:
    """Raises ValueError for a source that is not there, and for an output in a folder that is not."""
    if order.source != STDIO and not Path(order.source).exists():
        raise ValueError(f"--in {order.source}: does not exist")
    if order.target != STDIO and not Path(order.target).parent.is_dir():
        raise ValueError(f"--out {order.target}: there is no folder {Path(order.target).parent}")


@contextmanager
def _ended(order: BatchOrder) -> Iterator[None]:
    """What ends a job becomes a line on stderr and an exit status."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    except BatchFailed as error:
        complain(str(error))
        raise typer.Exit(FAILURE) from error
    except OSError as error:
        complain(f"{error.filename or order.target}: {error.strerror}{_kept(order)}")
        raise typer.Exit(FAILURE) from error
    except KeyboardInterrupt:
        complain(f"interrupted{_kept(order)}")
        raise typer.Exit(_INTERRUPTED) from None


def _kept(order: BatchOrder) -> str:
    piped = STDIO in (order.source, order.target)
    return "" if piped else "; what is done is kept: the same command goes on with it"


def _number(text: str, flag: str) -> int | Literal["auto"]:
    if text == _AUTO:
        return _AUTO
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{flag} is auto or a whole number from 1 on, not {text!r}")
    return int(text)


def _report(result: BatchResult, order: BatchOrder, took_s: float, *, as_json: bool) -> None:
    side_file = (
        "" if order.target == STDIO and order.bad_rows is None else str(order.bad_rows or f"{order.target}.bad.jsonl")
    )
    if result.bad_rows:
        complain(f"{result.bad_rows:,} of {result.rows:,} rows are bad{side_file and f': see {side_file}'}")
    if order.target == STDIO:
        return
    if as_json:
        document = {**asdict(result), "seconds": round(took_s, 3), "output": order.target}
        print_json({**document, "bad_rows_file": side_file if result.bad_rows else ""})
        return
    called = f"{result.model}/{result.version}" if result.version else result.model
    line = f"{called}  {result.rows:,} rows, {result.bad_rows:,} of them bad → {order.target}"
    if result.rows_of_this_run == result.rows:
        line += f"  in {took_s:.1f} s, {result.rows / took_s:,.0f} rows/s"
    elif result.rows_of_this_run:
        line += (
            f"  the last {result.rows_of_this_run:,} in {took_s:.1f} s, {result.rows_of_this_run / took_s:,.0f} rows/s"
        )
    else:
        line += "  (it was done already)"
    answers().print(line, markup=False, soft_wrap=True)
