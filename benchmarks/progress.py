"""What a run tells while it goes: figures as they come, and when it will be over."""

import sys
import time

__all__ = ["Progress"]


class Progress:
    """`expected_s` is a guess that the run itself corrects: what is left takes as much longer as what is done took."""

    def __init__(self, expected_s: float) -> None:
        self._expected_s = expected_s
        self._done_s = 0.0
        self._began_s = time.monotonic()

    def done(self, expected_s: float, text: str) -> None:
        """A step is over, of which so much was expected."""
        self._done_s += expected_s
        print(f"[{left(self._expected_s, self._done_s, self.took_s):>9} left] {text}", file=sys.stderr, flush=True)

    @property
    def took_s(self) -> float:
        return time.monotonic() - self._began_s


def left(expected_s: float, done_s: float, took_s: float) -> str:
    """How long it will go on."""
    seconds = max(0.0, expected_s - done_s) * took_s / done_s
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"  # noqa: PLR2004 - a minute
