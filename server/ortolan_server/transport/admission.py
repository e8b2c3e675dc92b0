"""Who may call: the one hook that every call passes before anything of it is read, in both lanes."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

__all__ = ["CallInfo", "Guard", "Metadata"]

Metadata = Iterable[tuple[str, str | bytes]]


class CallInfo(NamedTuple):
    """What both lanes know of a call before its message is read."""

    method: str
    """Its path: `/inference.GRPCInferenceService/ModelInfer`."""
    metadata: Metadata
    """Keys are in lower case; those that end in `-bin` have bytes."""


class Guard(Protocol):
    """Admits calls, or refuses them.

    Called once for each call, of every service and also of methods that are not there. On the thread that takes calls
    from the wire: it must return at once. In a process one thread at a time calls it.
    """

    def admit(self, call: CallInfo) -> None:
        """Raises Unauthenticated or NotAllowed, whose text is for the caller; any other error refuses as INTERNAL."""
        ...
