"""Bearer tokens: who has one of those in a file may call. Health stays open, for probes."""

import hashlib
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from ortolan_server.errors import InvalidConfig, Unauthenticated
from ortolan_server.transport.admission import CallInfo
from ortolan_server.transport.marks import FileMarks

__all__ = ["BearerTokens"]

log = structlog.get_logger()

_FLAG = "--auth-tokens"
_MAX_BYTES = 1 << 20
_MIN_LETTERS = 16  # what is shorter can be guessed
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1
_OPEN = "/grpc.health.v1.Health/"
_LOOK_S = 1.0
_WANTED = "this server wants a token: the metadata `authorization: Bearer TOKEN` (ortolan: --token-file, ORTOLAN_TOKEN)"

_Digests = frozenset[bytes]


class BearerTokens:
    """A Guard. Keeps SHA-256 digests of the tokens, never the tokens, and looks digests up: how long that takes says
    nothing of a token.

    The file is looked at once a second at most, when a call comes, and read when it has changed. What cannot be used
    leaves the last good tokens in place.
    """

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        """`clock` says when to look, `now` how old a file is."""
        self._path = path
        self._clock = clock
        self._now = now
        self._marks = FileMarks([path])
        self._tokens: _Digests = frozenset()
        self._look_at_s = 0.0
        self._told = ""

    def load(self) -> None:
        """Before the first call. Raises InvalidConfig that names flag, file and line, and no token."""
        self._marks.look(self._now())
        self._tokens = _read(self._path)
        self._look_at_s = self._clock() + _LOOK_S
        log.info("tokens_loaded", file=str(self._path), tokens=len(self._tokens))
        if self._path.stat().st_mode & stat.S_IROTH:
            log.warning("tokens_readable_by_all", file=str(self._path), text="every user here can read them: chmod o-r")

    def admit(self, call: CallInfo) -> None:
        """Raises Unauthenticated."""
        if call.method.startswith(_OPEN):
            return
        if self._clock() >= self._look_at_s:
            self._reload()
        given = next((value for key, value in call.metadata if key == "authorization"), None)
        if given is None:
            raise Unauthenticated(_WANTED)
        scheme, _, token = (given if isinstance(given, str) else given.decode("latin-1")).partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated(_WANTED)
        if _digest(token.strip()) not in self._tokens:
            raise Unauthenticated("the token in the metadata `authorization` is none that this server takes")

    def _reload(self) -> None:
        self._look_at_s = self._clock() + _LOOK_S
        if not self._marks.look(self._now()):
            return
        found = self._read()
        if isinstance(found, str):
            self._marks.distrust()  # what cannot be read may be readable the next time, without a trace in its marks
            if found != self._told:
                log.error("tokens_reload_failed", reason=found, text="the last good tokens are taken")
            self._told = found
            return
        self._told = ""
        if found != self._tokens:
            self._tokens = found
            log.info("tokens_reloaded", file=str(self._path), tokens=len(found))

    def _read(self) -> _Digests | str:
        """What the file says, or why it cannot be used."""
        try:
            return _read(self._path)
        except InvalidConfig as error:
            return str(error)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _read(path: Path) -> _Digests:
    """Raises InvalidConfig."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would hold who waits for it
            raise InvalidConfig(f"{_FLAG} {path}: is no regular file")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InvalidConfig(f"{_FLAG} {path}: cannot be read: {error.strerror}") from error
    if len(content) > _MAX_BYTES:
        raise InvalidConfig(f"{_FLAG} {path}: is larger than {_MAX_BYTES >> 20} MiB: no file of tokens")
    tokens = set()
    for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), 1):
        text = line.strip()
        if text and not text.startswith("#"):
            tokens.add(_checked(text, f"{_FLAG} {path}: line {number}"))
    if not tokens:
        raise InvalidConfig(f"{_FLAG} {path}: has no token; wanted one a line, such as `openssl rand -hex 32` makes")
    return frozenset(tokens)


def _checked(token: str, where: str) -> bytes:
    if not _TOKEN.fullmatch(token):
        raise InvalidConfig(f"{where} is no token: letters, digits and -._~+/ only, and = at the end")
    if len(token) < _MIN_LETTERS:
        raise InvalidConfig(f"{where} is shorter than {_MIN_LETTERS} letters; `openssl rand -hex 32` makes a good one")
    return _digest(token)
