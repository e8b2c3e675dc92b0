"""The terminal that runs pages: what it takes for a fault, and commands that are interrupted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages import commands
from tests.terminal import Terminal, terminal


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Terminal]:
    with terminal(tmp_path) as reader:
        yield reader


def faults(reader: Terminal, console: str) -> dict[str, str]:
    """Each command's fault."""
    page = commands(f"```console\n{console}\n```")
    return {command.text: fault for command, fault in reader.faults(page)}


def test_what_is_shown_must_come(reader: Terminal) -> None:
    assert faults(reader, "$ echo 12 of these\n34 of these") == {"echo 12 of these": ""}
    assert faults(reader, "$ echo these\nthose") == {"echo these": "shown: those\n came: these"}
    assert faults(reader, "$ echo fault >&2; false\nfault") == {"echo fault >&2; false": ""}


def test_without_output_the_exit_status_counts(reader: Terminal) -> None:
    assert faults(reader, "$ echo not shown") == {"echo not shown": ""}
    assert faults(reader, "$ echo why; exit 3") == {"echo why; exit 3": "ended with status 3: why"}


def test_commands_share_a_folder(reader: Terminal, tmp_path: Path) -> None:
    assert faults(reader, "$ echo here > file\n$ cat file\nhere") == {"echo here > file": "", "cat file": ""}
    assert (tmp_path / "file").exists()


def test_a_command_that_is_interrupted_sees_what_the_next_one_does(reader: Terminal) -> None:
    watch, change = "tail -f -s 0.05 news | grep --line-buffered e", "echo second >> news"
    said = faults(reader, f"$ echo the first > news\n$ {watch}\nthe first\nsecond\n^C\n$ {change}")
    assert list(said) == ["echo the first > news", change, watch]
    assert set(said.values()) == {""}


def test_a_command_that_is_interrupted_can_be_at_fault(reader: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.terminal.LIMIT_S", 3.0)
    assert faults(reader, "$ echo one; sleep 60\none\ntwo\n^C") == {
        "echo one; sleep 60": "shown, and did not come: two"
    }


def test_what_does_not_end_is_killed(reader: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.terminal.LIMIT_S", 0.2)
    assert "killed" in faults(reader, "$ sleep 60 | cat; echo\n1")["sleep 60 | cat; echo"]
