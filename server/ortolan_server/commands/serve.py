"""`ortolan serve`: load a repository and answer until told to stop."""

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import structlog
import typer

from ortolan_backends.errors import BackendError
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_server.allocation import Allocation
from ortolan_server.app import App
from ortolan_server.commands._cache_dir import CacheDir, cache_folder
from ortolan_server.commands._console import BROKEN, DEVICE_LOST, FAILURE, USAGE, complain
from ortolan_server.commands._stop import Stop
from ortolan_server.commands._tuning import settle, tune
from ortolan_server.commands._what_to_try import say_what_to_try
from ortolan_server.errors import CannotListen, InvalidConfig
from ortolan_server.repository import Repository
from ortolan_server.settings import Settings
from ortolan_server.telemetry.logs import configure, foreign_line, runtime_line

__all__ = ["serve"]

_DEFAULTS = Settings()
_LOOK_S = 1.0
_LOADER_S = 5.0
"""In which a load that was cancelled ends, where its provider lets it."""


def _flag(field: str, *names: str) -> object:
    info = Settings.model_fields[field]
    return typer.Option(*(names or (info.title,)), help=info.description)


def serve(  # noqa: PLR0913 - one parameter a flag
    path: Annotated[
        Path, typer.Argument(help="A repository (`<model>/<version>/model.onnx`), one model's folder, or a .onnx file.")
    ],
    grpc_address: Annotated[str, _flag("grpc_address")] = _DEFAULTS.grpc_address,
    http_address: Annotated[str, _flag("http_address")] = _DEFAULTS.http_address,
    tls_cert: Annotated[Path | None, _flag("tls_cert")] = _DEFAULTS.tls_cert,
    tls_key: Annotated[Path | None, _flag("tls_key")] = _DEFAULTS.tls_key,
    tls_client_ca: Annotated[Path | None, _flag("tls_client_ca")] = _DEFAULTS.tls_client_ca,
    auth_tokens: Annotated[Path | None, _flag("auth_tokens")] = _DEFAULTS.auth_tokens,
    access_log: Annotated[bool, _flag("access_log")] = _DEFAULTS.access_log,
    max_message_size: Annotated[str, _flag("max_message_bytes")] = "256MiB",
    default_deadline: Annotated[str, _flag("default_deadline_s")] = "60s",
    drain_timeout: Annotated[str, _flag("drain_timeout_s")] = "30s",
    max_in_flight: Annotated[int, _flag("max_in_flight")] = _DEFAULTS.max_in_flight,
    max_in_flight_size: Annotated[str, _flag("max_in_flight_bytes")] = "1GiB",
    max_streams: Annotated[int, _flag("max_streams")] = _DEFAULTS.max_streams,
    fast_lane: Annotated[bool, _flag("fast_lane", "--fast-lane/--public-lane")] = _DEFAULTS.fast_lane,
    shared_memory: Annotated[bool, _flag("shared_memory")] = _DEFAULTS.shared_memory,
    shared_memory_size: Annotated[str, _flag("shared_memory_bytes")] = "1GiB",
    model_control: Annotated[str, _flag("model_control")] = _DEFAULTS.model_control,
    poll_interval: Annotated[str | None, _flag("poll_interval_s")] = None,
    load_model: Annotated[list[str] | None, _flag("load_models")] = None,
    max_load_size: Annotated[str, _flag("max_load_bytes")] = "4GiB",
    cache_dir: CacheDir = "",
    cache_size: Annotated[str, _flag("cache_size_bytes")] = "10GiB",
    memory_limit: Annotated[str | None, _flag("memory_limit_bytes")] = None,
    device_memory_limit: Annotated[str | None, _flag("device_memory_limit_bytes")] = None,
    allow_control: Annotated[
        bool | None, _flag("allow_control", "--allow-control/--deny-control")
    ] = _DEFAULTS.allow_control,
    allow_degraded: Annotated[bool, _flag("allow_degraded")] = _DEFAULTS.allow_degraded,
    exit_on_broken: Annotated[bool, _flag("exit_on_broken")] = _DEFAULTS.exit_on_broken,
    exit_on_device_loss: Annotated[bool, _flag("exit_on_device_loss")] = _DEFAULTS.exit_on_device_loss,
    ready_when_empty: Annotated[bool, _flag("ready_when_empty")] = _DEFAULTS.ready_when_empty,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Serve models over gRPC, and prove where they run.

    Each model is opened on the chain of its model.toml, from the first provider down. ONNX Runtime's own node
    assignment decides whether the contract is kept; a model whose contract is broken does not serve, and says why.

    Ends once what was in flight is finished, after SIGTERM or SIGINT; a second signal ends it at once.

    For example:

    - `ortolan serve models/`
    - `ortolan serve resnet.onnx --grpc-address 0.0.0.0:8001`
    - `ortolan serve models/ --grpc-address 0.0.0.0:8001 --tls-cert server.pem --tls-key server.key`
    - `ortolan serve models/ --model-control poll` to follow what changes in the folder
    - `ortolan serve models/ --allow-degraded` on a laptop without the GPU

    Exit codes: 0 after a signal; 1 it cannot listen; 2 usage, such as a path without models or a certificate that
    cannot be read; 3 with --exit-on-broken, when a contract is; 4 with --exit-on-device-loss, when only a new process
    can get a device back. A model that cannot be served does not end it.
    """
    values: dict[str, object] = {
        "grpc_address": grpc_address,
        "http_address": http_address,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "tls_client_ca": tls_client_ca,
        "auth_tokens": auth_tokens,
        "access_log": access_log,
        "max_message_bytes": max_message_size,
        "default_deadline_s": default_deadline,
        "drain_timeout_s": drain_timeout,
        "max_in_flight": max_in_flight,
        "max_in_flight_bytes": max_in_flight_size,
        "max_streams": max_streams,
        "fast_lane": fast_lane,
        "shared_memory": shared_memory,
        "shared_memory_bytes": shared_memory_size,
        "model_control": model_control,
        "poll_interval_s": poll_interval,
        "load_models": tuple(load_model or ()),
        "max_load_bytes": max_load_size,
        "cache_dir": cache_folder(cache_dir),
        "cache_size_bytes": cache_size,
        "memory_limit_bytes": memory_limit,
        "device_memory_limit_bytes": device_memory_limit,
        "allow_control": allow_control,
        "allow_degraded": allow_degraded,
        "exit_on_broken": exit_on_broken,
        "exit_on_device_loss": exit_on_device_loss,
        "ready_when_empty": ready_when_empty,
    }
    if log_level not in ("debug", "info", "warning", "error"):
        raise typer.BadParameter(f"'{log_level}' is not one of debug, info, warning, error", param_hint="--log-level")
    try:
        settings = Settings.parse(values)
    except InvalidConfig as error:
        raise typer.BadParameter(str(error).removeprefix("settings: ")) from error
    tune()
    try:
        status = _run_logged(path, settings, log_level)
    except InvalidConfig as error:
        complain(str(error))
        raise typer.Exit(USAGE) from error
    except (CannotListen, BackendError) as error:
        complain(str(error))
        raise typer.Exit(FAILURE) from error
    raise typer.Exit(status)


def _run_logged(path: Path, settings: Settings, log_level: str) -> int:
    """`_run` while standard error is a log; what it raises is told when it is none any more."""
    runtime_log = RuntimeLog(runtime_line, foreign_line)
    configure(runtime_log.start(), log_level)
    try:
        repository = Repository.scan(path, allow_empty=True)
        app = App(settings, repository, runtime_log, Allocation.of_this_machine())
        status, finished = _run(app, settings)
    finally:
        runtime_log.stop()
    if not finished:
        os._exit(status)  # a kernel or a load that cannot be stopped must not hold the process
    return status


def _run(app: App, settings: Settings) -> tuple[int, bool]:
    """Serves until a signal. Returns the exit status, and whether no thread is left at work."""
    stop = Stop(_LOOK_S)
    _on_signals(stop)
    address = app.start()
    if settings.exit_on_device_loss:
        app.manager.subscribe(lambda _version: _end_when_lost(app, stop))
    broken: list[str] = []
    # Aside, since a load is deaf to signals.
    loader = threading.Thread(target=_load, args=(app, address, stop, settings, broken), name="loader", daemon=True)
    loader.start()
    stop.wait()
    finished = app.stop()
    loader.join(_LOADER_S)
    lost = settings.exit_on_device_loss and app.lost_devices
    status = BROKEN if broken else DEVICE_LOST if lost else 0
    return status, finished and not loader.is_alive()


def _load(app: App, address: str, stop: Stop, settings: Settings, broken: list[str]) -> None:
    try:
        app.load()
    except Exception:  # noqa: BLE001 - the process ends of it
        structlog.get_logger().exception("loading_crashed")
        os._exit(FAILURE)  # a server with some of its models, and nobody told, would be worse
    settle()
    if settings.exit_on_broken and (models := app.manager.broken):
        structlog.get_logger().error("contract_broken", models=models)
        broken += models
        stop.ask()
    elif not stop.asked:
        say_what_to_try(address, app, settings)


def _end_when_lost(app: App, stop: Stop) -> None:
    """Heard at each change of a version, such as the one that its device's loss makes."""
    if app.lost_devices and not stop.asked:
        lost = dict(app.lost_devices)
        structlog.get_logger().error("device_lost", providers=lost, text="only a new process gets it back: ending")
        stop.ask()


def _on_signals(stop: Stop) -> None:
    seen: list[int] = []

    def handle(number: int, _frame: object) -> None:
        if seen:
            os._exit(128 + number)  # the second one: whatever is in flight
        seen.append(number)
        stop.ask()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
