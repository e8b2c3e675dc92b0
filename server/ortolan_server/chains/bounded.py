"""Opens a session within a budget of memory."""

import weakref
from collections.abc import Callable

from ortolan_backends.contract import Probe
from ortolan_backends.errors import OpenRefused
from ortolan_backends.runtime.model import ModelFile
from ortolan_backends.runtime.session import OpenRung
from ortolan_server.cache.cache import Opened
from ortolan_server.chains.budget import Budget, Holder
from ortolan_server.chains.need import amounts_of

__all__ = ["open_within"]


def open_within(  # noqa: PLR0913 - all that is asked of a session
    budget: Budget, holder: Holder, model: ModelFile, rung: OpenRung, probe: Probe, opening: Callable[[], Opened]
) -> Opened:
    """What `opening` makes of the rung. What it takes is given back when the session is gone, however that happens.

    Raises OpenRefused when there is not so much left, and what `opening` raises.
    """
    try:
        amounts = amounts_of(model, rung, probe)
    except OSError as error:
        raise OpenRefused(f"{error.filename}: cannot be read: {error.strerror}", stage="memory") from error
    number = budget.take(holder, amounts)
    try:
        opened = opening()
    except BaseException:
        budget.give_back(number)
        raise
    weakref.finalize(opened[0], budget.give_back, number)
    return opened
