"""`ortolan health`: one word of `grpc.health.v1` as an exit status, for probes and scripts."""

from typing import Annotated

import typer

from ortolan_client import HealthStatus, NotFound
from ortolan_server.commands._console import FAILURE, complain, connect, print_json, reported_errors
from ortolan_server.commands._tls import TlsCa, TlsCert, TlsKey, TlsOn, TlsServerName, tls_of

__all__ = ["health"]


def health(  # noqa: PLR0913 (the options of the command)
    address: Annotated[str, typer.Argument(help="HOST:PORT of the server.")] = "127.0.0.1:8001",
    service: Annotated[
        str,
        typer.Argument(
            help="What to ask for: a model, `model/version` or `model#contract`; the server itself if left out.",
            show_default=False,
        ),
    ] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.01, help="Seconds to wait for an answer.")] = 3.0,
    tls: TlsOn = False,
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_server_name: TlsServerName = "",
) -> None:
    """What a server says of its health: SERVING or NOT_SERVING. Made for a container's health check.

    For example:

    - `ortolan health`: does every required model of the server on this machine serve?
    - `ortolan health gpu-7:8001 magika`: does this model serve?
    - `ortolan health gpu-7:8001 'magika#contract'`: does it run where its owner wants it?

    Exit codes: 0 SERVING; 1 anything else, and no answer; 2 usage, such as a PEM file that is not there.
    """
    security = tls_of(tls, tls_ca, tls_cert, tls_key, tls_server_name)
    with connect(address, timeout_s, security) as client, reported_errors(address):
        try:
            status = client.health(service)
        except NotFound as error:
            complain(f"{address} knows no '{service}'; ask for a model, `model/version` or `model#contract`")
            raise typer.Exit(FAILURE) from error
    if as_json:
        print_json({"address": address, "service": service, "status": status.name})
    else:
        print(status.name)
    if status is not HealthStatus.SERVING:
        raise typer.Exit(FAILURE)
