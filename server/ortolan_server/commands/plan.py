"""`ortolan plan`: open a model's chain here without serving it."""

from pathlib import Path
from typing import Annotated

import typer

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_backends.catalog import Catalog
from ortolan_backends.errors import BackendError
from ortolan_backends.runtime.log import LogLine, RuntimeLog
from ortolan_server.chains.registry import Registry
from ortolan_server.commands._console import (
    BROKEN,
    FAILURE,
    USAGE,
    answers,
    complain,
    message_dict,
    others_on_stderr,
    print_json,
)
from ortolan_server.commands._models import only_model
from ortolan_server.commands._render import render_assignment
from ortolan_server.errors import InvalidConfig
from ortolan_server.lifecycle.opening import open_model
from ortolan_server.repository import ChainRung, ModelToml, wanted_versions
from ortolan_server.services.reports import report_message

__all__ = ["plan"]


def plan(
    model: Annotated[Path, typer.Argument(help="A model's folder or a .onnx file.")],
    chain: Annotated[
        str, typer.Option(help="Providers from the top down, as in tensorrt,cuda,cpu; instead of model.toml's chain.")
    ] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the assignment as JSON.")] = False,
) -> None:
    """Open a model on its chain on this machine, and show what would be served.

    Prints each attempt and why it was refused, which node went to which provider, and the verdict of the contract.
    Meant for a model's own CI too: exit status 3 when the contract is broken.

    For example:

    - `ortolan plan models/resnet`
    - `ortolan plan resnet.onnx --chain cuda,cpu --json`
    """
    runtime_log = RuntimeLog(_quiet)
    runtime_log.start()
    try:
        entry = only_model(model)
        config = _on_chain(entry.config, chain) if chain else entry.config
        registry = Registry(Catalog.from_entry_points(), runtime_log)
        where = "--chain" if chain else str(entry.config_path or entry.folder)
        version = max(wanted_versions(config.versions, entry.versions))
        composed = registry.compose(config, where)
        with others_on_stderr():
            report = open_model(registry, entry.versions[version], composed, config, entry.folder).report
        message = report_message(report, omit_nodes=False)
        message.model, message.version = entry.name, str(version)
    except (InvalidConfig, BackendError) as error:
        complain(str(error))
        raise typer.Exit(USAGE if chain and isinstance(error, InvalidConfig) else FAILURE) from error
    finally:
        runtime_log.stop()
    if as_json:
        print_json(message_dict(message))
    else:
        answers().print(render_assignment(message))
    if message.verdict.state == pb.Verdict.BROKEN:
        raise typer.Exit(BROKEN)
    if not message.serving_rung:
        raise typer.Exit(FAILURE)


def _quiet(_line: LogLine) -> None:
    """What ONNX Runtime logs during an attempt is kept with the attempt."""


def _on_chain(config: ModelToml, chain: str) -> ModelToml:
    """The model's configuration with its rungs replaced; rungs of the same name keep their options."""
    options = {rung.provider: rung.options for rung in config.chain}
    names = [name.strip() for name in chain.split(",")]
    rungs = tuple(ChainRung.of(name, options.get(name, {})) for name in names if name)
    if not rungs:
        raise InvalidConfig("--chain names no provider")
    return config.on_chain(rungs)
