"""The questions of docs/grpcurl.md as `buf curl` asks them, by the table that stands there."""

import re
from collections.abc import Iterable, Iterator

from tests.pages import ELLIPSIS, Command

__all__ = ["with_buf_curl"]

_QUESTION = re.compile(
    r"grpcurl -plaintext( -d (?:'[^']*'|@))?(?: -max-time \d+)? (\S+:\d+) (\w[\w.]*/\w+)(?: < (\S+))?(?:; echo \$\?)?"
)
_KEY = re.compile(r'(?<=")([a-z]+(?:_[a-z]+)+)(?=": )')
_CODE = re.compile(r"Code: (\w+)")


def with_buf_curl(commands: Iterable[Command]) -> Iterator[Command]:
    """What `buf curl` has a way for is asked by it; what is piped on or in TLS is left out, all else stays."""
    for command in commands:
        question = _QUESTION.fullmatch(command.text)
        if question is not None:
            yield Command(command.line, _asked(question), tuple(_answer(command)))
        elif "curl" not in command.text:
            yield command


def _asked(question: re.Match[str]) -> str:
    data, address, method, file = question.groups()
    data = f" -d @{file}" if file else data or ""
    return f"buf curl --protocol grpc --http2-prior-knowledge{data} http://{address}/{method}"


def _answer(command: Command) -> Iterator[str]:
    """What the page shows, in buf's spelling."""
    if command.shown[0] == "ERROR:":
        (code,) = _CODE.findall(command.shown[1])
        snake_case = re.sub(r"(?<!^)(?=[A-Z])", "_", code).lower()
        yield from ("{", f'   "code": "{snake_case}",', f'   "message": "{ELLIPSIS}"', "}")
        return
    for line in command.shown:
        yield _KEY.sub(lambda key: _camel_case(key[1]), line).replace(r"\u0026", "&")


def _camel_case(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(word.capitalize() for word in others)
