"""`python -m tests.providers.engine_cache_figures MODEL`: what the cache is worth, and whether it is true.

Ends with 77 where the provider has no device, and with 1 when a promise is not kept. Its last line is the figure.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.providers.engine_cache import OFF, Load, load_at_once, unavailable

_ROUNDS = 5
_NOTHING_HERE = 77


def main() -> int:
    if reason := unavailable():
        print(f"nothing to show on this machine: {reason}")
        return _NOTHING_HERE
    model = Path(sys.argv[1])
    without: list[Load] = []
    first: list[Load] = []
    second: list[Load] = []
    for _ in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as cache:
            for found, place in ((without, OFF), (first, cache), (second, cache)):
                found.extend(load_at_once(model, [place]))
    faults = [fault for one, two in zip(first, second, strict=True) for fault in _faults(one, two)]
    with tempfile.TemporaryDirectory() as cache:
        together = load_at_once(model, [cache, cache])
    faults += _faults_together(together)
    for name, loads in (("without a cache", without), ("first load", first), ("second load", second)):
        seconds = f"{_seconds(loads):.2f} s, of the processor {_cpu_s(loads):.2f} s"
        print(f"{name:16}  {seconds}; the provider compiles {_compile_ms(loads):4.0f} ms")
    for load in together:
        print(f"at once           {load.result}, the provider compiles {load.compile_ms} ms")
    ratio, of_without = _seconds(first) / _seconds(second), _seconds(without) / _seconds(second)
    if _cpu_s(second) >= min(_cpu_s(first), _cpu_s(without)):  # the clock's time is also that of other processes
        faults.append("the second load takes no less of the processor")
    for fault in faults:
        print(f"not so: {fault}")
    hits = sum(load.result == "HIT" for load in second)
    untouched = sum(one.files == two.files for one, two in zip(first, second, strict=True))
    builds = sum(load.result == "MISS" for load in together)
    print(
        f"second load: {hits} of {_ROUNDS} are hits, {untouched} touch no file, {ratio:.1f} times as fast as the "
        f"first, {of_without:.1f} times as without a cache; of two at once {builds} builds"
    )
    return 1 if faults else 0


def _faults(first: Load, second: Load) -> list[str]:
    faults = []
    if (first.result, second.result) != ("MISS", "HIT"):
        faults.append(f"told as {first.result} and {second.result}: {second.reason}")
    if not first.files or first.files != second.files:
        faults.append(f"files changed: {first.files} {second.files}")
    return faults


def _faults_together(loads: Sequence[Load]) -> list[str]:
    """Of loads that began at once: the waiting one sees the files that the builder wrote, and none is written again."""
    faults = []
    if sorted(load.result for load in loads) != ["HIT", "MISS"]:
        faults.append(f"two at once are told as {[load.result for load in loads]}")
    if any(load.files != loads[0].files for load in loads):
        faults.append("two at once see different files")
    blobs = [name for name in loads[0].files if not name.endswith(".json")]
    if len(blobs) != 1:
        faults.append(f"two at once made {len(blobs)} files")
    return faults


def _seconds(loads: Sequence[Load]) -> float:
    return median(load.seconds for load in loads)


def _cpu_s(loads: Sequence[Load]) -> float:
    return median(load.cpu_s for load in loads)


def _compile_ms(loads: Sequence[Load]) -> float:
    return median(load.compile_ms for load in loads)


if __name__ == "__main__":
    sys.exit(main())
