"""What OpenVINO's plugin keeps: loads in processes of their own, each with what the provider itself logged of it.

`python -m tests.providers.engine_cache MODEL CACHE` is one load: it prints `looking`, waits for a line, loads, and
prints a `Load` as JSON. CACHE `off` keeps nothing. Runs beside the plugin.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ortolan_backends.catalog import Catalog
from ortolan_backends.contract import Availability
from ortolan_backends.runtime.log import LogLine, RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_backends.runtime.ort import onnxruntime
from ortolan_server.cache.cache import Cache
from ortolan_server.chains.registry import Registry
from ortolan_server.repository import parse_model_toml

__all__ = ["ROOT", "Load", "load_at_once", "unavailable"]

ROOT = Path(__file__).resolve().parents[2]
OFF = "off"
# The plugin's verbose lines, with the time that OpenVINO took to compile, or to load what was compiled.
_BEGINS = re.compile(r"ENTRY .*ov::Core::compile_model\(")
_ENDS = re.compile(r"EXIT \[tid:\d+\] \((\d+) ms\)")


@dataclass(frozen=True)
class Load:
    result: str
    reason: str
    seconds: float
    """From the model's bytes to the open session, looking into the cache included."""
    cpu_s: float
    """Of the processor's time, which other processes do not lengthen."""
    compile_ms: int
    """Of `ov::Core::compile_model`, as the provider's own log has it."""
    files: dict[str, tuple[int, int]]
    """Inode and time of change of everything in the cache's entries when the session was open."""


def unavailable() -> str:
    """Why the provider cannot be tried here; empty: it can."""
    probe = Catalog.from_entry_points().get("openvino").probe()
    return probe.reason if probe.availability is Availability.UNAVAILABLE else ""


def load_at_once(model: Path, caches: Sequence[Path | str], python: str = sys.executable) -> list[Load]:
    """One process for each of `caches`, all of which begin at the same moment."""
    command = [python, "-m", "tests.providers.engine_cache", str(model)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    processes = [
        subprocess.Popen(
            [*command, str(cache)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for cache in caches
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert any(line == "looking\n" for line in process.stdout), "it ended before it began"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate()[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [Load(**json.loads(answer.splitlines()[-1])) for answer in answers]


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    found = [path for path in folder.glob("*/*/**/*") if path.is_file()]  # locks lie beside the entries
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(found)}


def _compile_ms(lines: Sequence[LogLine]) -> int:
    """The time of the call that was entered, which is told by the next line of the same place."""
    places = [line.where for line in lines if _BEGINS.search(line.text)]
    ends = [_ENDS.search(line.text) for line in lines if line.where in places]
    return sum(int(match[1]) for match in ends if match)


def _load(path: Path, cache: str) -> Load:
    lines: list[LogLine] = []
    log = RuntimeLog(lines.append)
    log.start()
    registry = Registry(Catalog.from_entry_points(), log, cache=None if cache == OFF else Cache(Path(cache), 1 << 30))
    chain = registry.compose(parse_model_toml({"chain": [{"provider": "openvino"}]}, "test"), "test")
    model = read_model(path)
    registry.probe("openvino")  # in a process of its own: not to be counted
    onnxruntime.set_default_logger_severity(0)
    print("looking", flush=True)
    sys.stdin.readline()
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    report = registry.open(model, chain)
    seconds, cpu_s = time.monotonic() - start_s, time.process_time() - start_cpu_s
    files = _files(Path(cache)) if cache != OFF else {}
    use = report.attempts[0].cache
    log.stop()
    assert report.session is not None, report.verdict
    told = (str(use.result), use.reason) if use else ("", "")
    return Load(*told, seconds, cpu_s, _compile_ms(lines), files)


if __name__ == "__main__":
    print(json.dumps(asdict(_load(Path(sys.argv[1]), sys.argv[2]))), flush=True)
