import os

import pytest

from ortolan_server.repository.names import name_fault, printable_name


@pytest.mark.parametrize("name", ["digits", "Größe", "模型", "a b", "a.b-c_d", "a\\b", "1", "👩\u200d🔬"])
def test_names_that_can_be(name: str) -> None:
    assert name_fault(name) is None
    assert printable_name(name) == name


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("", ""),
        ("a/b", "a/b"),
        ("a#b", "a#b"),
        ("a\nb", "a\\nb"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\x85b", "a\\x85b"),
        ("a\u2029b", "a\\u2029b"),
        (os.fsdecode(b"a\xff"), "a\\udcff"),
    ],
)
def test_names_that_cannot(name: str, printed: str) -> None:
    assert name_fault(name)
    assert printable_name(name) == printed
