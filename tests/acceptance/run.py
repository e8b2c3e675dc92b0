"""Runs every acceptance check: `python tests/acceptance/run.py [NUMBER …]`.

A check is a script `NN_what_it_shows.py` beside this one. It prints its figure as its last line and exits non-zero when
that falls short; what else it prints is shown as it comes. It runs in the root of the repository, which is on its path.
"""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIMIT_S = 3600.0  # for one that hangs; the longest takes eight minutes on two cores


@dataclass(frozen=True)
class Result:
    name: str
    passed: bool
    seconds: float
    figure: str


def main() -> int:
    wanted = sys.argv[1:]
    scripts = [path for path in sorted(HERE.glob("[0-9][0-9]_*.py")) if not wanted or path.name[:2] in wanted]
    if not scripts:
        print(f"found no acceptance check in {HERE}; wanted: {' '.join(wanted) or 'all'}")
        return 2
    results = [run(script) for script in scripts]
    width = max(len(result.name) for result in results)
    print()
    for result in results:
        word = "passed" if result.passed else "FAILED"
        print(f"{result.name:{width}}  {word}  {result.seconds:6.1f} s  {result.figure}")
    failed = [result.name for result in results if not result.passed]
    print(f"\n{len(results) - len(failed)} passed, {len(failed)} failed{': ' if failed else ''}{', '.join(failed)}")
    return 1 if failed else 0


def run(script: Path) -> Result:
    """Runs one check in a process of its own, so that one which hangs or dies leaves the others alone."""
    print(f"-- {script.stem}", flush=True)
    started_s = time.monotonic()
    figure = ""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(script)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        limit = threading.Timer(LIMIT_S, process.kill)
        limit.start()
        for line in process.stdout or ():
            print(line, end="", flush=True)
            figure = line.strip() or figure
        status = process.wait()
        limit.cancel()
    seconds = time.monotonic() - started_s
    if seconds >= LIMIT_S:
        figure = f"took longer than {LIMIT_S:.0f} s"
    return Result(script.stem, status == 0, seconds, figure)


if __name__ == "__main__":
    sys.exit(main())
