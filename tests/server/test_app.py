"""What a server says of itself when it starts."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ortolan_backends.runtime.log import RuntimeLog
from ortolan_server.allocation import Allocation
from ortolan_server.app import App
from ortolan_server.repository import Repository
from ortolan_server.settings import Settings
from tests.certificates import Chains

BEYOND = "0.0.0.0:0"
LOOPBACK = "127.0.0.1:0"


@pytest.mark.parametrize(
    ("address", "tls", "tokens", "warning"),
    [
        (LOOPBACK, "off", 0, ""),
        (LOOPBACK, "tls", 0, ""),
        (LOOPBACK, "off", 1, ""),
        (BEYOND, "off", 0, "there is no TLS (--tls-cert and --tls-key encrypt; --tls-client-ca lets in only"),
        (BEYOND, "tls", 0, "what is sent is encrypted, but clients need no certificate (--tls-client-ca lets in"),
        (BEYOND, "mtls", 0, ""),
        (BEYOND, "off", 1, "anyone between can read what is sent, tokens too, and use them: there is no TLS"),
        (BEYOND, "tls", 1, ""),
    ],
)
def test_who_listens_wide_is_told_what_is_missing(  # noqa: PLR0913 - the table and what it needs
    address: str, tls: str, tokens: int, warning: str, chains: Chains, runtime_log: RuntimeLog, tmp_path: Path
) -> None:
    files = {"tls_cert": chains.right.cert, "tls_key": chains.right.key, "tls_client_ca": chains.client_ca}
    given = {"off": 0, "tls": 2, "mtls": 3}[tls]
    values: dict[str, object] = {"grpc_address": address, "http_address": "off", **dict(list(files.items())[:given])}
    repository = tmp_path / "models"
    repository.mkdir()
    if tokens:
        values["auth_tokens"] = tmp_path / "tokens"
        (tmp_path / "tokens").write_text("a-token-that-only-tests-have\n" * tokens)
    settings = Settings.parse(values)
    app = App(settings, Repository.scan(repository, allow_empty=True), runtime_log, Allocation(cores=2))
    with capture_logs() as events:
        app.start()
        app.stop()
    warnings = [event["text"] for event in events if event["event"] == "listening_beyond_loopback"]
    assert len(warnings) == (1 if warning else 0)
    assert all(warning in text for text in warnings)
    listening = [(event["tls"], event["tokens"]) for event in events if event["event"] == "server_listening"]
    assert listening == [(tls, tokens > 0)]
