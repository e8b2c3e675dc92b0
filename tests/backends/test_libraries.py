"""Which libraries a library needs, and which of them do not open."""

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ortolan_backends.runtime.libraries import NotElfError, look_for, needed_libraries, pip_requirement
from tests.backends.conftest import CompileLibrary

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ELF libraries are Linux's")


@pytest.fixture
def needy(tmp_path: Path, compile_library: CompileLibrary) -> Path:
    """A library that needs two others, which are not there any more."""
    others = [
        compile_library(tmp_path / f"libortolan_{name}.so.7", f"int {name}(void) {{ return 1; }}")
        for name in ("absent", "lost")
    ]
    source = "int absent(void); int lost(void); int needy(void) { return absent() + lost(); }"
    library = compile_library(tmp_path / "libneedy.so.1", source, *(str(other) for other in others))
    for other in others:
        other.unlink()
    return library


def test_needed_libraries_are_read_without_loading(needy: Path) -> None:
    assert needed_libraries(needy)[:2] == ("libortolan_absent.so.7", "libortolan_lost.so.7")


def test_they_are_those_that_readelf_names(toolchain: Callable[[str], str], needy: Path) -> None:
    readelf = toolchain("readelf")
    for library in (needy, Path(struct.__file__).parent / "lib-dynload", Path(sys.executable).resolve()):
        for file in [library] if library.is_file() else sorted(library.glob("*.so"))[:5]:
            dump = subprocess.run([readelf, "-d", str(file)], capture_output=True, text=True, check=True).stdout
            named = [line.split("[")[1].rstrip("]\n") for line in dump.splitlines() if "(NEEDED)" in line]
            assert list(needed_libraries(file)) == named, file


def test_every_library_that_is_missing_is_named(needy: Path) -> None:
    absent, lost, broken, present = look_for([*needed_libraries(needy)[:2], str(needy), "libc.so.6"])
    assert absent.error == "libortolan_absent.so.7: cannot open shared object file: No such file or directory"
    assert lost.error.startswith("libortolan_lost.so.7: ")
    assert broken.error.startswith("libortolan_absent.so.7: "), "the linker names what the library needs"
    assert present.error == ""
    assert Path(present.path).is_file()


def test_a_library_that_crashes_when_it_is_opened_is_told(tmp_path: Path, compile_library: CompileLibrary) -> None:
    source = "__attribute__((constructor)) static void crash(void) { __builtin_trap(); }"
    crashing = compile_library(tmp_path / "libcrashing.so", source)
    (found,) = look_for([str(crashing)])
    assert found.error == "opening the libraries was killed by SIGILL"


def test_what_is_no_library_is_refused(tmp_path: Path) -> None:
    for name, content in (("empty", b""), ("text", b"int main(void);"), ("header", b"\x7fELF")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(NotElfError):
            needed_libraries(tmp_path / name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_damaged_libraries_are_refused_or_read(needy: Path, data: st.DataObject) -> None:
    content = bytearray(needy.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(4, min(len(content), 2048) - 1))] = data.draw(st.integers(0, 255))
    damaged = needy.with_name("damaged")
    damaged.write_bytes(content[: data.draw(st.integers(4, len(content)))])
    try:
        names = needed_libraries(damaged)
    except NotElfError:
        return
    assert isinstance(names, tuple)


@pytest.mark.parametrize(
    ("library", "cuda_major", "requirement"),
    [
        ("libcublasLt.so.13", 13, "nvidia-cublas==13.*"),
        ("libcurand.so.10", 13, "nvidia-curand==10.*"),
        ("libcudnn.so.9", 13, "nvidia-cudnn-cu13==9.*"),
        ("libcublas.so.12", 12, "nvidia-cublas-cu12"),
        ("libcudnn.so.9", 12, "nvidia-cudnn-cu12"),
        ("libnvinfer.so.10", 13, ""),
        ("libc.so.6", 13, ""),
        ("ld-linux-x86-64.so.2", 13, ""),
    ],
)
def test_packages_that_have_a_library(library: str, cuda_major: int, requirement: str) -> None:
    assert pip_requirement(library, cuda_major) == requirement
