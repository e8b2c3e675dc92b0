"""What the key of an entry is made of, and what has changed from one to another: pure, but for reading the model."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ortolan_server.digests import file_sha256
from ortolan_server.repository.watching import FileMark

__all__ = ["Digests", "KeyParts", "changes", "is_key"]

_FORMAT = 1  # of the folder; a higher one leaves what is there to be evicted
_KEY_DIGITS = 32
_KEY = re.compile(rf"[0-9a-f]{{{_KEY_DIGITS}}}")


@dataclass(frozen=True, slots=True)
class KeyParts:
    """All that what a provider compiles depends on."""

    provider: str
    """By short name."""
    model: str
    """SHA-256 of the model as it is opened, external data included."""
    versions: Mapping[str, str]
    """Of the provider, its libraries and driver."""
    devices: tuple[str, ...]
    options: Mapping[str, str]
    """By ONNX Runtime's names."""

    @property
    def key(self) -> str:
        text = json.dumps({"format": _FORMAT, **asdict(self)}, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


def is_key(name: str) -> bool:
    """Whether a folder of that name can be an entry."""
    return _KEY.fullmatch(name) is not None


def changes(before: KeyParts, now: KeyParts) -> tuple[str, ...]:
    """What differs, one clause each: `openvino 2025.3.0 -> 2025.4.1`."""
    found = ["the model's bytes"] if before.model != now.model else []
    found += _differences("", before.versions, now.versions)
    if before.devices != now.devices:
        found.append(f"device {_listed(before.devices)} -> {_listed(now.devices)}")
    found += _differences("option ", before.options, now.options)
    return tuple(found)


class Digests:
    """SHA-256 of models. A file that was read before is not read again while its inode, size and time stay."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, FileMark], bytes] = {}

    def of_model(self, source: str | bytes, external: Iterable[Path]) -> str:
        """`source` is what ONNX Runtime opens, a path or the bytes; `external` the files of its weights.

        Raises OSError.
        """
        of_source = hashlib.sha256(source).digest() if isinstance(source, bytes) else self._file(Path(source))
        digest = hashlib.sha256(of_source)
        for path in sorted(external):
            digest.update(path.name.encode(errors="surrogateescape") + b"\0" + self._file(path))
        return digest.hexdigest()

    def _file(self, path: Path) -> bytes:
        known = (path, FileMark.of(path.stat()))
        if known not in self._known:
            self._known[known] = bytes.fromhex(file_sha256(path))
        return self._known[known]


def _differences(noun: str, before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    names = sorted({*before, *now})
    return [
        f"{noun}{name} {before.get(name) or 'none'} -> {now.get(name) or 'none'}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
