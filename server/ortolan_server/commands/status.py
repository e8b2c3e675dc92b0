"""`ortolan status`: what a server serves, where it runs, and whether its contracts are kept."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_client import Client
from ortolan_server.commands._console import (
    BROKEN,
    FAILURE,
    answers,
    connect,
    message_dict,
    print_json,
    reported_errors,
)
from ortolan_server.commands._render import render_assignment
from ortolan_server.commands._render_summaries import render_summaries
from ortolan_server.commands._styles import BAD, GOOD, QUIET
from ortolan_server.commands._tls import TlsCa, TlsCert, TlsKey, TlsOn, TlsServerName, tls_of
from ortolan_server.commands._token import TokenFile, token_of

__all__ = ["status"]


def status(  # noqa: PLR0913 (the options of the command)
    address: Annotated[str, typer.Argument(help="HOST:PORT of the server.")] = "127.0.0.1:8001",
    model: Annotated[str, typer.Argument(help="Show one model in full.", show_default=False)] = "",
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and show every change.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch one line a change.")] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.01, help="Seconds to wait for an answer.")] = 10.0,
    tls: TlsOn = False,
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_server_name: TlsServerName = "",
    token_file: TokenFile = None,
) -> None:
    """Which models a server has, which provider serves each, and whether its contract is kept.

    For example:

    - `ortolan status`: all models of the server on this machine
    - `ortolan status gpu-7:8001 magika`: one model in full, with chain, attempts, nodes and verdict
    - `ortolan status --watch`: follow loads, failures and changes of verdict
    - `ortolan status --json | jq '.assignments[].reason'`: for scripts

    VERDICT: KEPT, the contract is satisfied; DEGRADED, it is not, and the owner allowed serving all the same;
    BROKEN, it is not, and the model is not served. NODES and SHARE say where ONNX Runtime really put the nodes.

    Exit codes: 0 every model serves; 1 no answer, or a model failed to load; 3 a contract is broken.
    """
    security = tls_of(tls, tls_ca, tls_cert, tls_key, tls_server_name)
    with connect(address, timeout_s, security, token_of(token_file)) as client, reported_errors(address):
        if watch:
            _follow(client, model, as_json=as_json)
        elif model:
            _show_model(client, model, as_json=as_json)
        else:
            _show_all(client, as_json=as_json)


def _show_all(client: Client, *, as_json: bool) -> None:
    server, ready, summaries = client.server(), client.server_ready(), client.assignments()
    if as_json:
        assignments = [message_dict(summary) for summary in summaries]
        print_json({"server": message_dict(server), "ready": ready, "assignments": assignments})
    else:
        answers().print(Group(_headline(client.address, server, ready=ready), Text(), render_summaries(summaries)))
    _exit_with(_exit_code(summary.state, summary.verdict) for summary in summaries)


def _show_model(client: Client, model: str, *, as_json: bool) -> None:
    assignment = client.assignment(model)
    if as_json:
        print_json(message_dict(assignment))
    else:
        answers().print(render_assignment(assignment))
    _exit_with([_exit_code(assignment.state, assignment.verdict.state)])


def _follow(client: Client, model: str, *, as_json: bool) -> None:
    """Until the reader has enough: an interrupt is the way out, not a failure."""
    console = answers()
    changes = client.watch(model)
    try:
        if as_json:
            for change in changes:
                print_json(message_dict(change), indent=None)
        elif console.is_terminal:
            _follow_live(console, _headline(client.address, client.server()), changes)
        else:
            for change in changes:
                console.print(_line(change), soft_wrap=True)
    except KeyboardInterrupt:
        return


def _follow_live(console: Console, headline: RenderableType, changes: Iterable[pb.AssignmentSummary]) -> None:
    latest: dict[tuple[str, str], pb.AssignmentSummary] = {}
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        for change in changes:
            latest[change.model, change.version] = change
            rows = [latest[key] for key in sorted(latest)]
            live.update(Group(headline, Text(), render_summaries(rows)), refresh=True)


def _headline(address: str, server: pb.GetServerResponse, *, ready: bool | None = None) -> Text:
    line = Text.assemble((address, "bold"))
    if ready is not None:
        line.append("  ").append("ready" if ready else "not ready", GOOD if ready else BAD)
    runtime = f"ONNX Runtime {server.onnxruntime_version} ({server.onnxruntime_package})"
    return line.append(f"  Ortolan {server.version} on {server.host}, {runtime}", QUIET)


def _line(summary: pb.AssignmentSummary) -> Text:
    where = f" on {summary.serving_provider}, {summary.node_share:.1%} of nodes" if summary.serving_rung else ""
    verdict = "" if summary.verdict == pb.Verdict.UNSPECIFIED else f" {pb.Verdict.State.Name(summary.verdict)}"
    reason = f": {summary.reason}" if summary.reason else ""
    return Text(f"{summary.model}/{summary.version} {summary.state}{verdict}{where}{reason}")


_SERVING = {"READY", "DEGRADED"}


def _exit_code(state: str, verdict: pb.Verdict.State.ValueType) -> int:
    if verdict == pb.Verdict.BROKEN:
        return BROKEN
    return 0 if state in _SERVING else FAILURE


def _exit_with(codes: Iterable[int]) -> None:
    code = max(codes, default=0)
    if code:
        raise typer.Exit(code)
