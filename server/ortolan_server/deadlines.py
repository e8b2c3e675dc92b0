"""When a caller that leaves has left because its time was over."""

import math

__all__ = ["ran_out"]

# gRPC rounds up what it tells the server of a deadline, by up to a hundredth.
_ROUNDED = 0.01
# What a call may take to come here, while its caller's clock already runs.
_ON_THE_WAY_S = 0.02


def ran_out(left_s: float, whole_s: float) -> bool:
    """Whether a caller that leaves has met its deadline: `left_s` before it, by our clock, of `whole_s` that it gave.

    A caller's clock begins a little before ours, so callers whose time is over leave a moment before it is over here:
    who looks first must not decide whether that reads as a call that was given up. `math.inf`: it has no deadline.
    """
    return left_s < math.inf and left_s <= _ON_THE_WAY_S + _ROUNDED * whole_s
