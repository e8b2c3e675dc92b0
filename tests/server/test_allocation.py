from pathlib import Path

import pytest

from ortolan_server.allocation import Allocation, share_threads, usable_cores, usable_memory_bytes


def machine(folder: Path, files: dict[str, str]) -> tuple[Path, Path]:
    """A /proc/self/cgroup and a /sys/fs/cgroup."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "proc", folder / "sys"


V1 = "sys/cpu,cpuacct/pods/mine/cpu.cfs_"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        pytest.param({}, 8, id="no cgroups"),
        pytest.param({"proc": "0::/\n", "sys/cpu.max": "max 100000\n"}, 8, id="no quota"),
        pytest.param({"proc": "0::/\n", "sys/cpu.max": "200000 100000\n"}, 2, id="two"),
        pytest.param({"proc": "0::/\n", "sys/cpu.max": "150000 100000\n"}, 2, id="rounded up"),
        pytest.param({"proc": "0::/\n", "sys/cpu.max": "1000 100000\n"}, 1, id="at least one"),
        pytest.param({"proc": "0::/\n", "sys/cpu.max": "6400000 100000\n"}, 8, id="more than there are"),
        pytest.param({"proc": "0::/\n", "sys/cpu.max": "gibberish"}, 8, id="unreadable"),
        pytest.param(
            {"proc": "0::/pods/mine\n", "sys/pods/cpu.max": "300000 100000", "sys/pods/mine/cpu.max": "max 100000"},
            3,
            id="a cgroup above",
        ),
        pytest.param({"proc": "0::/not/to/be/seen\n", "sys/cpu.max": "400000 100000"}, 4, id="the host's path"),
        pytest.param(
            {
                "proc": "4:cpuacct,cpu:/\n2:cpu,cpuacct:/pods/mine\n",
                f"{V1}quota_us": "250000",
                f"{V1}period_us": "100000",
            },
            3,
            id="version 1",
        ),
        pytest.param(
            {"proc": "1:cpu:/\n", "sys/cpu/cpu.cfs_quota_us": "-1", "sys/cpu/cpu.cfs_period_us": "9"}, 8, id="-1"
        ),
        pytest.param({"proc": "1:memory:/\n", "sys/cpu.max": "100000 100000"}, 8, id="another controller"),
    ],
)
def test_processors_less_where_a_quota_says_so(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    assert usable_cores(8, *machine(tmp_path, files)) == cores


@pytest.mark.parametrize(
    ("files", "there", "usable"),
    [
        pytest.param({}, 800, 800, id="no cgroups"),
        pytest.param({"proc": "0::/\n", "sys/memory.max": "max\n"}, 800, 800, id="no limit"),
        pytest.param({"proc": "0::/\n", "sys/memory.max": "300\n"}, 800, 300, id="a limit"),
        pytest.param({"proc": "0::/\n", "sys/memory.max": "900\n"}, 800, 800, id="more than there is"),
        pytest.param({"proc": "0::/\n", "sys/memory.max": "gibberish"}, 800, 800, id="unreadable"),
        pytest.param(
            {"proc": "0::/pods/mine\n", "sys/pods/memory.max": "200", "sys/pods/mine/memory.max": "max"},
            800,
            200,
            id="a cgroup above",
        ),
        pytest.param(
            {"proc": "3:memory:/mine\n", "sys/memory/mine/memory.limit_in_bytes": "500"}, 800, 500, id="version 1"
        ),
        pytest.param(
            {"proc": "3:memory:/\n", "sys/memory/memory.limit_in_bytes": "9223372036854771712"},
            800,
            800,
            id="version 1, no limit",
        ),
        pytest.param({"proc": "1:cpu:/\n", "sys/memory.max": "300"}, 800, 800, id="another controller"),
        pytest.param({"proc": "0::/\n", "sys/memory.max": "300\n"}, 0, 300, id="a machine that does not say"),
        pytest.param({}, 0, 0, id="not known"),
    ],
)
def test_memory_less_where_a_limit_says_so(tmp_path: Path, files: dict[str, str], there: int, usable: int) -> None:
    assert usable_memory_bytes(there, *machine(tmp_path, files)) == usable


def test_this_machine_has_a_core_and_memory() -> None:
    this = Allocation.of_this_machine()
    assert this.cores >= 1
    assert this.memory_bytes >= 1 << 20


@pytest.mark.parametrize(
    ("cores", "explicit", "models", "threads"),
    [
        (2, {}, 1, 2),
        (2, {}, 0, 2),
        (8, {}, 3, 2),
        (2, {}, 50, 1),
        (8, {"a": 4}, 3, 2),
        (8, {"a": 16}, 2, 1),
        (8, {"a": 2}, 1, 6),
    ],
)
def test_models_share_the_cores(cores: int, explicit: dict[str, int], models: int, threads: int) -> None:
    assert share_threads(cores, explicit, models) == threads
