"""The TLS flags of every command that talks to a server."""

from pathlib import Path
from typing import Annotated

import typer

from ortolan_client import Tls
from ortolan_server.commands._console import USAGE, complain

__all__ = ["TlsCa", "TlsCert", "TlsKey", "TlsOn", "TlsServerName", "tls_of"]

_PANEL = "TLS"

TlsOn = Annotated[
    bool,
    typer.Option(
        "--tls",
        envvar="ORTOLAN_TLS",
        rich_help_panel=_PANEL,
        help="Talk TLS, and trust the public roots that grpcio brings. Each of the flags below switches it on too.",
    ),
]
TlsCa = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca",
        envvar="ORTOLAN_TLS_CA",
        rich_help_panel=_PANEL,
        metavar="FILE",
        help="Trust these authorities instead (PEM).",
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        envvar="ORTOLAN_TLS_CERT",
        rich_help_panel=_PANEL,
        metavar="FILE",
        help="Certificate to show to a server that demands one (PEM).",
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option(
        "--tls-key",
        envvar="ORTOLAN_TLS_KEY",
        rich_help_panel=_PANEL,
        metavar="FILE",
        help="Private key of --tls-cert (PEM, not encrypted).",
    ),
]
TlsServerName = Annotated[
    str,
    typer.Option(
        "--tls-server-name",
        envvar="ORTOLAN_TLS_SERVER_NAME",
        rich_help_panel=_PANEL,
        metavar="NAME",
        show_default=False,
        help="Host name in the server's certificate, where ADDRESS has another.",
    ),
]


def tls_of(on: bool, ca: Path | None, cert: Path | None, key: Path | None, server_name: str) -> Tls | None:  # noqa: FBT001 - in the flags' order
    """What the flags ask for; None: no TLS. A certificate without its key is a usage error."""
    if not (on or ca or cert or key or server_name):
        return None
    if (cert is None) is not (key is None):
        complain("--tls-cert and --tls-key go together: a client's certificate needs its private key")
        raise typer.Exit(USAGE)
    return Tls(ca=ca, cert=cert, key=key, server_name=server_name)
