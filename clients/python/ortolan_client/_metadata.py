"""Metadata of calls: what goes with each beside its message."""

import re
from collections.abc import Mapping, Sequence

__all__ = ["Metadata", "Pairs", "metadata_pairs", "token_metadata"]

Metadata = Mapping[str, str | bytes] | Sequence[tuple[str, str | bytes]]
"""Names in lower case; values are text, and bytes where the name ends with `-bin`."""

Pairs = tuple[tuple[str, str | bytes], ...]

_NAME = re.compile(r"(?!grpc-)[0-9a-z_.-]+")
_VALUE = re.compile(r"[ -~]*")


def metadata_pairs(metadata: Metadata | None) -> Pairs:
    """Raises ValueError, which shows no value, for what no call can carry."""
    if not metadata:
        return ()
    pairs = tuple(metadata.items() if isinstance(metadata, Mapping) else metadata)
    for name, value in pairs:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"metadata {name!r}: a name has lower case letters, digits and _.- and does not begin with grpc-"
            )
        if isinstance(value, bytes) is not name.endswith("-bin"):
            raise ValueError(f"metadata {name!r}: names that end with -bin have bytes, all others text")
        if isinstance(value, str) and not _VALUE.fullmatch(value):
            raise ValueError(f"metadata {name!r}: text is printable ASCII; a name that ends with -bin has any bytes")
    return pairs


def token_metadata(token: str) -> Pairs:
    """A bearer token; none without one. Raises ValueError, which does not show it, for what no header can carry."""
    if not token:
        return ()
    if not all("!" <= letter <= "~" for letter in token):
        raise ValueError("the token has a letter that no token has: wanted printable ASCII without blanks")
    return (("authorization", f"Bearer {token}"),)
