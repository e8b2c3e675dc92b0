"""Bearer tokens: what a file may say, who is admitted, and new tokens without a restart."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ortolan_server.errors import InvalidConfig, Unauthenticated
from ortolan_server.transport.admission import CallInfo
from ortolan_server.transport.tokens import BearerTokens

INFER = "/inference.GRPCInferenceService/ModelInfer"
ONE = "one-token-of-some-length"
TWO = "c2Vjb25kIHRva2VuIGhlcmU="
SETTLED_S = 10.0


class Clocks:
    """Time that a test moves on; files were written long ago, unless it says otherwise."""

    def __init__(self, path: Path) -> None:
        self.now_s = 0.0
        self._path = path

    def clock(self) -> float:
        return self.now_s

    def now(self) -> float:
        return max(self._path.stat().st_mtime, self._path.stat().st_ctime) + SETTLED_S if self._path.exists() else 0.0

    def pass_second(self) -> None:
        self.now_s += 1.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text(f"# who: the web shop\n{ONE}\n\n  {TWO}  \r\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def clocks(path: Path) -> Clocks:
    return Clocks(path)


@pytest.fixture
def tokens(path: Path, clocks: Clocks) -> BearerTokens:
    made = BearerTokens(path, clocks.clock, clocks.now)
    made.load()
    return made


@pytest.fixture
def log() -> Iterator[list[dict[str, object]]]:
    with capture_logs() as events:
        yield events  # type: ignore[misc] # structlog's own type of it is wider


def call(*values: str | bytes, method: str = INFER) -> CallInfo:
    return CallInfo(method, (("user-agent", "a test"), *(("authorization", value) for value in values)))


def refusal(tokens: BearerTokens, info: CallInfo) -> str:
    with pytest.raises(Unauthenticated) as raised:
        tokens.admit(info)
    return str(raised.value)


@pytest.mark.parametrize("value", [f"Bearer {ONE}", f"bearer {TWO}", f"BEARER  {ONE} ", f"Bearer {ONE}".encode()])
def test_who_has_a_token_is_admitted(tokens: BearerTokens, value: str | bytes) -> None:
    tokens.admit(call(value))


@pytest.mark.parametrize("values", [(), (ONE,), (f"Basic {ONE}",), ("",)])
def test_who_has_none_is_told_what_is_wanted(tokens: BearerTokens, values: tuple[str, ...]) -> None:
    assert "`authorization: Bearer TOKEN`" in refusal(tokens, call(*values))


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", f"Bearer {ONE}x", f"Bearer {ONE[:-1]}", "Bearer # who: the web shop", b"Bearer \xff"]
)
def test_another_token_is_refused_and_not_repeated(tokens: BearerTokens, value: str | bytes) -> None:
    text = refusal(tokens, call(value))
    assert "none that this server takes" in text or "Bearer TOKEN" in text
    assert ONE[:-1] not in text


def test_the_first_header_counts(tokens: BearerTokens) -> None:
    refusal(tokens, call("Bearer nonsense", f"Bearer {ONE}"))


def test_health_is_open_and_nothing_that_looks_like_it(tokens: BearerTokens) -> None:
    tokens.admit(call(method="/grpc.health.v1.Health/Check"))
    tokens.admit(call(method="/grpc.health.v1.Health/Watch"))
    for method in (
        "/grpc.health.v1.HealthX/Check",
        "/x/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.channelz.v1.Channelz/GetServers",
    ):
        refusal(tokens, call(method=method))


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file or directory"),
        (lambda path: path.write_text("# nobody\n\n"), "has no token; wanted one a line"),
        (lambda path: path.write_text(f"{ONE}\nsecret words of mine\n"), "line 2 is no token"),
        (lambda path: path.write_text("short-secret"), "line 1 is shorter than 16 letters"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00s"), "line 1 is no token"),
        (lambda path: path.write_bytes(b"x" * ((1 << 20) + 1)), "is larger than 1 MiB"),
        (make_pipe, "is no regular file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(path: Path, make: Callable[[Path], object], text: str) -> None:
    make(path)
    with pytest.raises(InvalidConfig) as raised:
        BearerTokens(path).load()
    assert str(raised.value).startswith(f"--auth-tokens {path}: ")
    assert text in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_file_that_everybody_reads_is_told(path: Path, log: list[dict[str, object]]) -> None:
    path.chmod(0o604)
    BearerTokens(path).load()
    assert [event["event"] for event in log] == ["tokens_loaded", "tokens_readable_by_all"]
    assert log[0]["tokens"] == 2
    assert ONE not in str(log)


def test_a_new_file_is_taken_within_a_second(
    tokens: BearerTokens, path: Path, clocks: Clocks, log: list[dict[str, object]]
) -> None:
    path.write_text("another-token-of-some-length")
    tokens.admit(call(f"Bearer {ONE}"))
    clocks.pass_second()
    refusal(tokens, call(f"Bearer {ONE}"))
    tokens.admit(call("Bearer another-token-of-some-length"))
    assert [(event["event"], event["tokens"]) for event in log] == [("tokens_reloaded", 1)]


def test_what_cannot_be_used_leaves_the_last_good_tokens_and_is_told_once(
    tokens: BearerTokens, path: Path, clocks: Clocks, log: list[dict[str, object]]
) -> None:
    path.write_text("")
    for _ in range(3):
        clocks.pass_second()
        tokens.admit(call(f"Bearer {ONE}"))
    assert [event["event"] for event in log] == ["tokens_reload_failed"]
    path.write_text(TWO)
    clocks.pass_second()
    refusal(tokens, call(f"Bearer {ONE}"))
    tokens.admit(call(f"Bearer {TWO}"))
