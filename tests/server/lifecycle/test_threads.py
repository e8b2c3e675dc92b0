"""Threads of the models' sessions."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests import models
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import session_of


def threads_of(manage: Manage, folder: Path) -> dict[str, int]:
    """As the sessions were opened with."""
    found = {}
    for version in manage(folder).versions:
        found[version.model] = session_of(version).threads
    return found


def on_cpu(threads: int) -> str:
    return f'[[chain]]\nprovider = "cpu"\nthreads = {threads}\n'


def test_one_model_has_all_cores(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    assert threads_of(manage, tmp_path) == {"m": 2}


@pytest.mark.parametrize("count", [2, 5])
def test_several_share_them(manage: Manage, tmp_path: Path, count: int) -> None:
    for number in range(count):
        models.save(models.add_one(), tmp_path / f"m{number}")
    with capture_logs() as logs:
        assert set(threads_of(manage, tmp_path).values()) == {1}
    assert not [line for line in logs if line["event"] == "threads_exceed_cores"]


def test_what_a_chain_says_wins_with_a_warning_when_it_is_too_much(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "greedy", toml=on_cpu(3))
    models.save(models.add_one(), tmp_path / "modest")
    with capture_logs() as logs:
        assert threads_of(manage, tmp_path) == {"greedy": 3, "modest": 1}
    (warning,) = [line for line in logs if line["event"] == "threads_exceed_cores"]
    assert (warning["cores"], warning["threads"], warning["models"]) == (2, 3, {"greedy": 3})
