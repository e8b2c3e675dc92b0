"""What a server prints once it serves: a few commands that work when pasted."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence

from ortolan_server.app import App
from ortolan_server.commands._console import answers
from ortolan_server.settings import Settings

__all__ = ["say_what_to_try"]

_REFLECTION = "ortolan.v1.ProviderReflection"


def say_what_to_try(address: str, app: App, settings: Settings) -> None:
    """On a terminal or not: whoever starts it by hand reads them."""
    serving = [model.entry.name for model in app.manager.models if model.serving]
    console = answers()
    console.print(f"\n[bold]Ortolan serves {len(serving)} of {len(list(app.manager.models))} models on {address}[/]\n")
    ours, grpcurls, stand_ins = _tls_flags(address, app, settings)
    if settings.auth_tokens:
        ours = f"{ours} --token-file {settings.auth_tokens}"
        grpcurls = f'{grpcurls} -H "authorization: Bearer $ORTOLAN_TOKEN"'
    if stand_ins:
        console.print(f"  [dim]# In place of {stand_ins}[/]", soft_wrap=True)
    for command, meaning in _commands(address, app.http_address, serving, ours, grpcurls):
        console.print(f"  [dim]# {meaning}[/]\n  {command}", soft_wrap=True)
    console.print()


def _commands(
    address: str, http_address: str, serving: Sequence[str], ours: str, grpcurls: str
) -> Iterator[tuple[str, str]]:
    # make runs us from an environment that the reader's shell need not know.
    ortolan = "ortolan" if shutil.which("ortolan") else os.path.relpath(sys.argv[0])
    grpcurl = f"grpcurl {grpcurls}"
    yield f"{ortolan} status {address}{ours}", "models, verdicts, providers"
    if serving:
        yield f"{ortolan} infer {address} {serving[0]} --random{ours}", "one inference"
    if http_address:
        yield f"curl http://{http_address}/metrics", "metrics for Prometheus"
    yield f"{grpcurl} {address} list", "the services"
    yield f"{grpcurl} {address} {_REFLECTION}/ListAssignments", "where each model runs"
    if serving:
        body = f'{{"model": "{serving[0]}"}}'
        yield f"{grpcurl} -d '{body}' {address} {_REFLECTION}/GetAssignment", "node by node"


def _tls_flags(address: str, app: App, settings: Settings) -> tuple[str, str, str]:
    """The flags of `ortolan` and of `grpcurl`, and what the names of files in them stand for that we cannot know."""
    certificate = app.certificate
    if certificate is None:
        return "", "-plaintext", ""
    stand_ins = []
    ca = str(settings.tls_cert)
    if not certificate.self_signed:
        ca = "CA.pem"
        stand_ins.append("CA.pem: the authority that signed the server's certificate")
    ours, grpcurls = f" --tls-ca {ca}", f"-cacert {ca}"
    host = "localhost" if settings.grpc_address.startswith("unix:") else address.rpartition(":")[0].strip("[]")
    name = next((name for name in certificate.names if "*" not in name), "")
    if name and host not in certificate.names:
        ours, grpcurls = f"{ours} --tls-server-name {name}", f"{grpcurls} -authority {name}"
    if settings.tls == "mtls":
        ours, grpcurls = f"{ours} --tls-cert ME.pem --tls-key ME.key", f"{grpcurls} -cert ME.pem -key ME.key"
        stand_ins.append(f"ME.pem, ME.key: a certificate that {settings.tls_client_ca} signed")
    return ours, grpcurls, "; ".join(stand_ins)
