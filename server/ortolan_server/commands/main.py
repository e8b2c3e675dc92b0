"""`ortolan`: the commands by name. Each one's module is imported when it is called, not before."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer
from google.protobuf.runtime_version import VersionError

from ortolan_backends.errors import BackendError
from ortolan_server.commands._console import USAGE, complain

__all__ = ["app"]


@dataclass(frozen=True, slots=True)
class _Command:
    name: str
    summary: str
    panel: str
    parts: tuple[str, ...] = ()
    """Commands of its own, each a function of the module; without any the command's is called as the command."""
    file: str = ""
    """Of the module, where it is not the command's name."""

    @property
    def module(self) -> str:
        return f"ortolan_server.commands.{self.file or self.name}"


_HERE = "On this machine"
_SERVER = "With a running server"
_COMMANDS = (
    _Command("serve", "Serve a model repository over gRPC.", _HERE),
    _Command("plan", "Open a model on its chain without serving it: where would it run?", _HERE),
    _Command("lock", "Write down where a model's nodes run, so that a change is noticed.", _HERE),
    _Command("warm", "Build what providers compile ahead of time, into the cache.", _HERE),
    _Command("cache", "What is kept of what providers compiled.", _HERE, parts=("list", "prune")),
    _Command("bench", "Measure a model on several chains: which one is worth serving on?", _HERE),
    _Command("doctor", "Which providers work here, and how to mend those that do not.", _HERE),
    _Command("import", "Repositories of other servers, as ours.", _HERE, parts=("triton",), file="import_triton"),
    _Command("status", "Models of a server, where they run, and whether their contracts are kept.", _SERVER),
    _Command("infer", "Run a model once.", _SERVER),
    _Command("batch", "Run a model on every row of a file.", _SERVER),
    _Command("health", "Does a server, or one of its models, serve? As an exit status, for probes.", _SERVER),
)

# What the extras with a server bring, beyond [cli].
_SERVER_PACKAGES = {
    "grpc_channelz",
    "grpc_health",
    "grpc_reflection",
    "onnx",
    "onnxruntime",
    "pydantic",
    "structlog",
}


_BATCH_PACKAGES = {"pyarrow"}

_PROTOBUF = (
    "pip check names them; what needs an older protobuf, as tritonclient does, goes into an environment of its own"
)
_EXTRAS = "pip install 'ortolan[cpu]', 'ortolan[gpu]' (NVIDIA) or 'ortolan[openvino]' (Intel)"


def _run(command: _Command, arguments: list[str], called: str) -> None:
    """Imports the command's functions and runs it as an app of its own; `called` is its name in the help."""
    module = import_module(command.module)
    settings = {"help_option_names": ["-h", "--help"]}
    alone = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        no_args_is_help=bool(command.parts),
        context_settings=settings,
    )
    for name in command.parts or (command.name,):
        function: Callable[..., None] = getattr(module, name)
        alone.command(name, context_settings=settings)(function)
    if command.parts:
        alone.callback(help=command.summary)(_no_options)
    alone(args=arguments, prog_name=called)


def _no_options() -> None:
    """Of a command that has others: it makes Typer keep their names, one alone too."""


def _register(app: typer.Typer, command: _Command) -> None:
    """Puts a stand-in under the command's name, which passes on all that follows."""

    def forward(context: typer.Context) -> None:
        try:
            _run(command, context.args, context.command_path)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package in _BATCH_PACKAGES:
                complain(f"`ortolan {command.name}` needs {package}: pip install 'ortolan[batch]'")
                raise typer.Exit(USAGE) from error
            if package not in _SERVER_PACKAGES:
                raise
            complain(f"`ortolan {command.name}` needs a server extra: {_EXTRAS} ({error.name} is missing)")
            raise typer.Exit(USAGE) from error
        except VersionError as error:  # pip lets a package pull protobuf below what our own packages were made for
            complain(f"protobuf and the packages generated for it do not fit: {error} ({_PROTOBUF})")
            raise typer.Exit(USAGE) from error
        except BackendError as error:  # of this environment, met while the command's module was imported
            complain(str(error))
            raise typer.Exit(USAGE) from error

    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
    app.command(
        command.name,
        help=command.summary,
        rich_help_panel=command.panel,
        add_help_option=False,
        context_settings=settings,
    )(forward)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (the shape of an option's callback)
    if wanted:
        print(f"ortolan {version('ortolan')}")
        raise typer.Exit


app = typer.Typer(
    name="ortolan",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _main(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Serve ONNX models over gRPC, and prove where they run.

    Start with `ortolan doctor`, then `ortolan serve PATH`, then `ortolan status`.

    Exit codes: 0 fine, 1 failure, 2 usage, 3 a contract is broken, 4 a device was lost that a new process gets back.
    """


for _command in _COMMANDS:
    _register(app, _command)
