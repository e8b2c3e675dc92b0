"""Reads a file of an owner who must be able to find its faults."""

from pathlib import Path

from ortolan_server.errors import InvalidConfig

__all__ = ["read_text"]


def read_text(path: Path, *, max_bytes: int, without: str) -> str:
    """What is in the file. Raises InvalidConfig that begins with its path.

    `without` says to the owner of an empty file what would hold if there were none.
    """
    try:
        if not path.is_file():  # Reading a pipe would wait for ever.
            raise InvalidConfig(f"{path}: is not a file")
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise InvalidConfig(f"{path}: cannot be read: {error.strerror}") from error
    if not content:  # Of a file that was not written to its end, rather than an owner's word for "nothing".
        raise InvalidConfig(f"{path}: is empty: it has 0 bytes; {without}")
    if len(content) > max_bytes:
        raise InvalidConfig(f"{path}: has more than {max_bytes} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"{path}: is not UTF-8 text: byte {error.start} is {content[error.start]:#04x}") from error
