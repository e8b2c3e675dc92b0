"""How long runs take, as measured: what is short enough to run on a pump's thread, and what a queue will take."""

__all__ = ["Pace", "SizePace"]

# A thread hand-over costs some 50 to 100 µs with the work that it delays: below a few times that a worker gains
# nothing. Two bounds, so that a model between them does not go to and fro.
_INLINE_BELOW_S = 3e-4
_WORKERS_ABOVE_S = 6e-4
# The first runs choose kernels and get memory.
_FIRST_RUNS = 3
_WEIGHT = 0.1
# So long no thread that serves others may be held: one such run is enough.
_HELD_S = 5e-3
_FORGET = 1.05


class SizePace:
    """The runs of batches whose first call has about the same size."""

    __slots__ = ("_average_s", "_runs", "inline", "least_s")

    def __init__(self) -> None:
        self.inline = False
        """Short enough for a pump's thread, and measured often enough to know."""
        self.least_s = 0.0
        """What a run takes at least, as the last ones tell; 0: not known yet."""
        self._average_s = 0.0
        self._runs = 0

    def record(self, run_s: float) -> None:
        self._runs += 1
        if self._runs < _FIRST_RUNS:
            return
        if self._runs == _FIRST_RUNS or (run_s > _HELD_S and run_s > self._average_s):
            self._average_s = run_s
        else:
            self._average_s += _WEIGHT * (run_s - self._average_s)
        # A run that the machine held up must not make callers be refused.
        self.least_s = min(run_s, _FORGET * self.least_s) if self.least_s else run_s
        self.inline = self._average_s < (_WORKERS_ABOVE_S if self.inline else _INLINE_BELOW_S)


class Pace:
    """A model's runs by size of the call: where sizes differ a hundredfold, one average says nothing."""

    def __init__(self) -> None:
        self._by_bits: dict[int, SizePace] = {}

    def of(self, size_bytes: int) -> SizePace:
        """That of calls with this many bytes of inputs, from half of it to twice as many."""
        bits = size_bytes.bit_length()
        found = self._by_bits.get(bits)
        if found is None:
            found = self._by_bits[bits] = SizePace()
        return found
