"""Reading a page's commands, and holding what came against what it shows."""

import pytest

from tests.pages import Command, commands, difference

PAGE = """# A page

```console
$ first
one line
$ second \\
    goes on
$ third
$ watch
{
^C
```

```sh
$ not a command of the page
```
"""


def test_commands_with_their_output() -> None:
    assert commands(PAGE) == [
        Command(4, "first", ("one line",)),
        Command(6, "second \\\n    goes on", ()),
        Command(8, "third", ()),
        Command(9, "watch", ("{", "^C")),
    ]


def test_what_runs_until_it_is_interrupted() -> None:
    *others, watch = commands(PAGE)
    assert watch.is_interrupted
    assert watch.shown == ("{",)
    assert not any(command.is_interrupted for command in others)


@pytest.mark.parametrize(
    ("shown", "came"),
    [
        ("exactly this", "exactly this"),
        ('  "count": "12",', '  "count": "3456",'),
        ("0.25 ms", "1e-05 ms"),
        ('"at": "2026-11-22T19:33:47.356890Z"', '"at": "2031-01-02T03:04:05Z"'),
        ('"a": 1', '"a":  1'),
        ('"host": "…",', '"host": "demo",'),
        ("onnxruntime 1.32.0 has", "onnxruntime 1.4.11 has"),
        ("{\n…\n}", "{\n  1\n  2\n}"),
        ("…\n}", "{\n}"),
        ("{\n…", "{\n}"),
        ("…", ""),
        ("…", "a\nb"),
    ],
)
def test_same(shown: str, came: str) -> None:
    assert difference(shown.splitlines(), came.splitlines()) == ""


@pytest.mark.parametrize(
    ("shown", "came", "told"),
    [
        ('"state": "READY"', '"state": "FAILED"', 'shown: "state": "READY"\n came: "state": "FAILED"'),
        ('"count": 12', '"count": "12"', 'came: "count": "12"'),
        ("FP32", "FP64", "came: FP64"),
        ('  "a": 1', '    "a": 1', 'came:     "a": 1'),
        ("a", "a\nb", "came, and is not shown: b"),
        ("a\nb", "a", "shown, and did not come: b"),
        ("a\n…\nc", "a\nb", "shown, and did not come: c"),
        ("a\n…\nc", "a\nb\nc\nd", "came, and is not shown: d"),
        ('"host": "…",', '"host": "demo"', 'came: "host": "demo"'),
    ],
)
def test_different(shown: str, came: str, told: str) -> None:
    assert told in difference(shown.splitlines(), came.splitlines())
