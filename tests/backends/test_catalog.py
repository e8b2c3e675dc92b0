"""Backends are found by entry points and imported when they are asked for."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from ortolan_backends.catalog import ENTRY_POINT_GROUP, Catalog
from ortolan_backends.errors import BackendError, UnknownProvider


def catalog(**values: str) -> Catalog:
    return Catalog({name: EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in values.items()})


def publish(folder: Path, package: str, *lines: str) -> None:
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("\n".join((f"[{ENTRY_POINT_GROUP}]", *lines)), encoding="utf-8")


def test_names_are_sorted_and_nothing_is_imported() -> None:
    published = catalog(zebra="no_such_module:BACKEND", cpu="ortolan_backends.cpu:BACKEND")
    assert published.names() == ("cpu", "zebra")
    assert published.get("cpu").name == "cpu"
    assert published.get("cpu") is published.get("cpu")


def test_unknown_names_are_refused_with_those_that_are_known() -> None:
    published = catalog(cuda="ortolan_backends.cuda:BACKEND", cpu="ortolan_backends.cpu:BACKEND")
    with pytest.raises(UnknownProvider, match=r"^no provider 'tpu'; known: cpu, cuda$"):
        published.get("tpu")


def test_short_names() -> None:
    published = catalog(
        broken="no_such_module:BACKEND", cuda="ortolan_backends.cuda:BACKEND", cpu="ortolan_backends.cpu:BACKEND"
    )
    assert published.short_name("CUDAExecutionProvider") == "cuda"
    assert published.short_name("CPUExecutionProvider") == "cpu"
    assert published.short_name("QNNExecutionProvider") == "QNNExecutionProvider"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_module:BACKEND", "cannot be imported: No module named 'no_such_module'"),
        ("ortolan_backends.cpu:NOTHING", "cannot be imported: .*NOTHING"),
        ("json:dumps", "json:dumps is not a backend"),
        ("ortolan_backends.cpu:BACKEND", "calls itself 'cpu'"),
    ],
)
def test_broken_backends_are_named(value: str, message: str) -> None:
    with pytest.raises(BackendError, match=rf"^backend 'mine' of an unknown package:? {message}"):
        catalog(mine=value).get("mine")


def test_two_packages_cannot_claim_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, "somebody", "cpu = somebody:BACKEND")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError, match=r"two backends are called 'cpu': somebody \(somebody:BACKEND\) and ortolan"):
        Catalog.from_entry_points()


def test_a_package_may_be_found_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for copy in ("first", "second"):
        publish(tmp_path / copy, f"{copy}", "kite = kite:BACKEND")
        monkeypatch.syspath_prepend(tmp_path / copy)
    assert "kite" in Catalog.from_entry_points().names()


def test_listing_and_describing_need_no_onnxruntime() -> None:
    program = (
        "import sys; from ortolan_backends.catalog import Catalog; from ortolan_backends.options import describe; "
        "catalog = Catalog.from_entry_points(); "
        "[describe(catalog.get(name).options) for name in catalog.names()]; "
        "sys.exit('onnxruntime' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
