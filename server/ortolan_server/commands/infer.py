"""`ortolan infer`: one inference from the command line."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ortolan.inference import inference_pb2 as pb
from ortolan_server.commands._console import FAILURE, answers, complain, connect, print_json, reported_errors
from ortolan_server.commands._styles import BAD, DOUBTFUL, GOOD, QUIET
from ortolan_server.commands._tensor_files import (
    float_values,
    json_values,
    named,
    preview,
    random_tensor,
    read_npy,
    write_npy,
)
from ortolan_server.commands._tls import TlsCa, TlsCert, TlsKey, TlsOn, TlsServerName, tls_of
from ortolan_server.commands._token import TokenFile, token_of

__all__ = ["infer"]

Tensors = Mapping[str, NDArray[Any]]


def infer(  # noqa: PLR0913 (the options of the command)
    address: Annotated[str, typer.Argument(help="HOST:PORT of the server.")],
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    *,
    inputs: Annotated[
        list[str], typer.Option("--input", "-i", metavar="NAME=FILE.npy", help="A tensor saved by numpy.save; repeat.")
    ] = [],  # noqa: B006 (typer copies it)
    outputs: Annotated[
        list[str], typer.Option("--output", "-o", metavar="NAME=FILE.npy", help="Write this output there; repeat.")
    ] = [],  # noqa: B006
    random: Annotated[bool, typer.Option("--random", "-r", help="Make up every input that has no --input.")] = False,
    shapes: Annotated[
        list[str],
        typer.Option("--shape", "-s", metavar="NAME=1,3,224,224", help="Shape of a made-up input; repeat."),
    ] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="Seed of --random: the same seed, the same tensors.")] = 0,
    version: Annotated[str, typer.Option(help="Version; without it the one that serves by default.")] = "",
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.01, help="Seconds to wait for the answer.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every element of every output.")] = False,
    tls: TlsOn = False,
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_server_name: TlsServerName = "",
    token_file: TokenFile = None,
) -> None:
    """Run a model once, and say what came out, how long it took, and which provider served it.

    For example:

    - `ortolan infer 127.0.0.1:8001 digits --random`: made-up inputs; dimensions that may vary are 1
    - `ortolan infer 127.0.0.1:8001 resnet --random --shape x=8,3,224,224`: a batch of 8
    - `ortolan infer 127.0.0.1:8001 digits -i X=images.npy -o probabilities=scores.npy`: from and to files

    Text goes in as a .npy file of strings. Floats are made up in [0, 1), integers from 0 to 9.

    Exit codes: 0 fine, 1 the server refused or cannot be reached, 2 usage.
    """
    security = tls_of(tls, tls_ca, tls_cert, tls_key, tls_server_name)
    with connect(address, timeout_s, security, token_of(token_file)) as client, reported_errors(address):
        metadata = client.metadata(model, version)
        try:
            feeds = _read_inputs(named(inputs, "--input"))
            targets = _output_files(named(outputs, "--output"), metadata)
            wanted = _shapes(named(shapes, "--shape"), metadata)
            if random:
                feeds = {**_made_up(metadata, feeds, wanted, np.random.default_rng(seed)), **feeds}
            _require_inputs(feeds, metadata)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        start_s = time.perf_counter()
        results = client.infer(model, feeds, version=version)
        took_s = time.perf_counter() - start_s
    for name, path in targets.items():
        try:
            write_npy(path, results[name])
        except OSError as error:
            complain(f"{path}: cannot be written: {error.strerror}")
            raise typer.Exit(FAILURE) from error
    if as_json:
        print_json(_document(metadata, results, took_s), indent=None)
    else:
        answers().print(_report(metadata, feeds, results, took_s))


def _read_inputs(files: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    feeds = {}
    for name, file in files.items():
        try:
            feeds[name] = read_npy(Path(file))
        except (OSError, ValueError) as error:
            raise ValueError(f"--input {name}={file}: {error}") from error
    return feeds


def _output_files(files: Mapping[str, str], metadata: pb.ModelMetadataResponse) -> dict[str, Path]:
    _require_known(files, [tensor.name for tensor in metadata.outputs], "output")
    return {name: Path(file) for name, file in files.items()}


def _shapes(texts: Mapping[str, str], metadata: pb.ModelMetadataResponse) -> dict[str, tuple[int, ...]]:
    _require_known(texts, [tensor.name for tensor in metadata.inputs], "input")
    try:
        return {name: tuple(int(size) for size in text.split(",")) for name, text in texts.items()}
    except ValueError as error:
        raise ValueError(f"--shape takes sizes with commas between, e.g. x=1,3,224,224: {error}") from error


def _made_up(
    metadata: pb.ModelMetadataResponse,
    given: Tensors,
    shapes: Mapping[str, tuple[int, ...]],
    generator: np.random.Generator,
) -> dict[str, NDArray[Any]]:
    made = {}
    for tensor in metadata.inputs:
        if tensor.name not in given:
            shape = shapes.get(tensor.name, tuple(1 if size < 0 else size for size in tensor.shape))
            try:
                made[tensor.name] = random_tensor(tensor, shape, generator)
            except ValueError as error:
                raise ValueError(f"input {tensor.name!r}: {error}") from error
    return made


def _require_inputs(feeds: Tensors, metadata: pb.ModelMetadataResponse) -> None:
    known = [tensor.name for tensor in metadata.inputs]
    _require_known(feeds, known, "input")
    missing = [name for name in known if name not in feeds]
    if missing:
        raise ValueError(f"no --input for {', '.join(missing)}; --random makes them up")


def _require_known(names: Mapping[str, object], known: list[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"model {what}s are {', '.join(known)}; there is no {name!r}")


def _document(metadata: pb.ModelMetadataResponse, results: Tensors, took_s: float) -> dict[str, object]:
    datatypes = {tensor.name: tensor.datatype for tensor in metadata.outputs}
    return {
        "model": metadata.name,
        "seconds": round(took_s, 6),
        "provider": metadata.properties.get("ortolan.provider", ""),
        "properties": dict(metadata.properties),
        "outputs": [
            {
                "name": name,
                "datatype": datatypes.get(name, ""),
                "shape": list(array.shape),
                "data": json_values(float_values(array, datatypes.get(name, ""))),
            }
            for name, array in results.items()
        ],
    }


def _report(metadata: pb.ModelMetadataResponse, feeds: Tensors, results: Tensors, took_s: float) -> Group:
    table = Table.grid(padding=(0, 2, 0, 0))
    for label, tensors, declared in (("in", feeds, metadata.inputs), ("out", results, metadata.outputs)):
        datatypes = {tensor.name: tensor.datatype for tensor in declared}
        for name, array in tensors.items():
            datatype = datatypes.get(name, "")
            shape = f"[{', '.join(str(size) for size in array.shape)}]"
            shown = preview(float_values(array, datatype) if array.dtype == np.uint16 else array)
            table.add_row(Text(label, QUIET), Text(name, "bold"), Text(datatype), Text(shape), Text(shown))
    return Group(_headline(metadata, took_s), Text(), table)


def _headline(metadata: pb.ModelMetadataResponse, took_s: float) -> Text:
    line = Text.assemble((metadata.name, "bold"), f"  {took_s * 1000:.1f} ms")
    served = metadata.properties.get("ortolan.provider", "")
    if served:
        line.append("  on ").append(served, "bold")
    verdict, nodes = (metadata.properties.get(f"ortolan.{key}", "") for key in ("verdict", "nodes"))
    style = {"KEPT": GOOD, "DEGRADED": DOUBTFUL, "BROKEN": BAD}.get(verdict, "")
    line.append("  ").append(verdict, style)
    return line.append(f"  nodes: {nodes}" if nodes else "", QUIET)
