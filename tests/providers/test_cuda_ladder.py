"""Every rung of the CUDA ladder, and TensorRT's down to its missing library, on the real libraries.

Of each rung three things are looked at: what `ortolan doctor` finds, at which stage and for which reason a served model
is refused, and with which words ONNX Runtime itself refuses, which must name the same thing.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pytest

from ortolan_backends.runtime.cuda_driver import CUDA_DRIVER
from ortolan_backends.runtime.libraries import pip_requirement
from ortolan_client import Client
from tests import models
from tests.backends.conftest import CompileLibrary, compile_library
from tests.backends.stub_driver import driver
from tests.conftest import REQUIRE_TOOLCHAINS
from tests.providers.cuda_ladder import CUDA_LIBRARIES, Machine, machine, site_packages
from tests.serving import running_server

pytestmark = pytest.mark.wheel("onnxruntime-gpu")
__all__ = ["compile_library"]  # a fixture of the backends' tests

CHAIN = '[[chain]]\nprovider = "{0}"\n\n[[chain]]\nprovider = "cpu"\n\n'
CHAIN += '[require]\nprovider = "{0}"\notherwise = "degrade"\n'
NEEDED = ("libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libcudart.so.13")
DEGRADING = ("libcudnn.so.9", "libcufft.so.12")
INIT_100 = "CUDA failure 100: no CUDA-capable device is detected"
TOO_OLD = "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version"
NO_RUNTIME = "CUDA failure 36: API call is not supported in the installed CUDA driver"
BuildMachine = Callable[..., Machine]


@dataclass(frozen=True)
class Rung:
    """What is wrong with a machine, and what is said of it."""

    subject: str
    """Of the doctor's check that fails."""
    finding: str
    mend: str
    stage: str
    """Where ONNX Runtime refuses, when nothing is looked at before."""
    words: str
    """ONNX Runtime's own. It names the first library that it does not find."""
    needs_it: str = ""
    """A library that is there, and is of no use without the missing one."""
    without: frozenset[str] = frozenset()
    driver: str = driver()


def missing(library: str, package: str, *, needs_it: str = "", first: str = "") -> Rung:
    return Rung(
        subject=library,
        finding=f"{library} is missing",
        mend=f"pip install '{package}', or pip install 'ortolan[gpu]' for all of them",
        stage="attach",
        words=f"{first or library}: cannot open shared object file",
        needs_it=needs_it,
        without=frozenset({library}),
    )


RUNGS = {
    "no cuBLASLt": missing("libcublasLt.so.13", "nvidia-cublas==13.*", needs_it="libcublas.so.13"),
    "no cuBLAS": missing("libcublas.so.13", "nvidia-cublas==13.*"),
    "no cuRAND": missing("libcurand.so.10", "nvidia-curand==10.*"),
    # Misled by what it could not load before: cuRAND is there.
    "no CUDA runtime": missing(
        "libcudart.so.13", "nvidia-cuda-runtime==13.*", needs_it="libcurand.so.10", first="libcurand.so.10"
    ),
    "no driver": Rung(
        CUDA_DRIVER,
        f"{CUDA_DRIVER} is missing",
        "install the NVIDIA driver 580 or newer; in a container start it with the NVIDIA runtime "
        "(`docker run --gpus all`)",
        "attach",
        f"{CUDA_DRIVER}: cannot open shared object file",
        driver="",
    ),
    "no device": Rung(
        "cuInit",
        "cuInit answers 100: no CUDA-capable device is detected",
        "pass a GPU to this machine or container (`docker run --gpus all`), and look at CUDA_VISIBLE_DEVICES",
        "open",
        INIT_100,
        driver=driver(init=100, devices=0),
    ),
    "a driver that says it is too old": Rung(
        "cuInit",
        "cuInit answers 35: the driver is too old",
        "`nvidia-smi` must work first; install the NVIDIA driver 580 or newer",
        "open",
        TOO_OLD,
        driver=driver(init=35, version=12040),
    ),
    "a driver older than the wheel": Rung(
        "driver version",
        "the driver supports CUDA 12.4, and the wheel needs 13.0",
        "install the NVIDIA driver 580 or newer",
        "open",
        TOO_OLD,
        driver=driver(version=12040),
    ),
    "a driver without a GPU": Rung(
        "devices",
        "the driver shows no GPU",
        "pass a GPU to this machine or container (`docker run --gpus all`), and look at CUDA_VISIBLE_DEVICES",
        "open",
        "CUDA failure",
        driver=driver(devices=0),
    ),
    "a good driver, as far as it goes": Rung(
        "session",
        f"GPU 0: a tiny session failed to open: {NO_RUNTIME}, at cudaSetDevice(info_.device_id)",
        "see ONNX Runtime's message; `nvidia-smi` says whether the GPU is free and healthy",
        "open",
        f"{NO_RUNTIME}, at cudaSetDevice(info_.device_id)",
    ),
}


@pytest.fixture(autouse=True)
def _cuda_libraries() -> None:
    found = {library.name for library in site_packages(Path(sys.prefix)).glob(CUDA_LIBRARIES)}
    lacking = sorted({*NEEDED, *DEGRADING} - found)
    if lacking and os.environ.get(REQUIRE_TOOLCHAINS) == "1":
        pytest.fail(f"{', '.join(lacking)} did not come with pip, and {REQUIRE_TOOLCHAINS}=1 requires them")
    if lacking:
        pytest.skip(f"{', '.join(lacking)} did not come with pip: install 'ortolan[gpu]'")


@pytest.fixture
def build(tmp_path: Path, compile_library: CompileLibrary) -> BuildMachine:
    """`build(driver, {other: source}, without=…)`: a machine with those libraries in its system."""

    def make(
        driver_source: str = "", others: dict[str, str] | None = None, without: frozenset[str] = frozenset()
    ) -> Machine:
        system = tmp_path / "system"
        system.mkdir()
        sources = {**({CUDA_DRIVER: driver_source} if driver_source else {}), **(others or {})}
        for name, source in sources.items():
            compile_library(system / name, source)
        return machine(tmp_path / "environment", without=without, libraries=system)

    return make


def outcomes(found: dict[str, object]) -> dict[str, str]:
    return {subject: check["outcome"] for subject, check in checks(found).items()}


def checks(found: dict[str, object]) -> dict[str, dict[str, str]]:
    listed = found["checks"]
    assert isinstance(listed, list)
    return {check["looked_at"]: check for check in listed}


def refusal(on: Machine, provider: str, folder: Path) -> tuple[str, str, str]:
    """State, stage and reason of a model that is served with the chain PROVIDER, cpu."""
    models.save(models.add_one(), folder / provider, toml=CHAIN.format(provider))
    with (
        running_server(folder, python=on.python, env=on.environment) as server,
        Client(server.address) as client,
    ):
        served = client.assignment(provider)
        assert served.serving_provider == "cpu"
    first = served.attempts[0]
    return served.state, first.stage, first.reason


@pytest.mark.parametrize("name", RUNGS)
def test_a_rung_of_the_cuda_ladder(name: str, tmp_path: Path, build: BuildMachine) -> None:
    rung = RUNGS[name]
    here = build(rung.driver, without=rung.without)
    found = here.doctor("cuda")
    check = checks(found)[rung.subject]
    assert (check["outcome"], check["finding"], check["mend"]) == ("FAILED", rung.finding, rung.mend)
    if rung.needs_it:
        check = checks(found)[rung.needs_it]
        assert (check["finding"], check["mend"]) == (
            f"{rung.needs_it} needs {rung.subject}, which is missing",
            rung.mend,
        )
    assert found["availability"] == "UNAVAILABLE"
    assert outcomes(found)["session"] == ("FAILED" if rung.subject == "session" else "SKIPPED")
    state, stage, reason = refusal(here, "cuda", tmp_path / "models")
    assert (state, stage) == ("DEGRADED", "probe")
    assert rung.finding in reason
    stage, words = here.attempt("cuda")
    assert stage == rung.stage
    assert rung.words in words
    assert "/onnxruntime_src/" not in words  # the cause, and not where in ONNX Runtime


def test_all_libraries_at_once(build: BuildMachine) -> None:
    """ONNX Runtime names the first one."""
    here = build(without=frozenset({*NEEDED, *DEGRADING}))
    found = outcomes(here.doctor("cuda"))
    assert {subject for subject, outcome in found.items() if outcome == "FAILED"} == {*NEEDED, CUDA_DRIVER}
    assert {subject for subject, outcome in found.items() if outcome == "DEGRADED"} == set(DEGRADING)
    _, words = here.attempt("cuda")
    assert [name for name in (*NEEDED, CUDA_DRIVER) if name in words] == ["libcublasLt.so.13"]


def test_without_cudnn_and_cufft_it_is_degraded(build: BuildMachine) -> None:
    here = build(driver(), without=frozenset(DEGRADING))
    found = here.doctor("cuda")
    assert {subject for subject, outcome in outcomes(found).items() if outcome == "DEGRADED"} == set(DEGRADING)
    assert checks(found)["libcudnn.so.9"]["mend"].startswith("pip install 'nvidia-cudnn-cu13==9.*'")
    assert checks(found)["libcufft.so.12"]["mend"].startswith("pip install 'nvidia-cufft==12.*'")
    # Neither keeps a session from being tried, and ONNX Runtime does not miss them before a kernel does.
    assert NO_RUNTIME in checks(found)["session"]["finding"]
    assert NO_RUNTIME in here.attempt("cuda")[1]


@pytest.mark.parametrize("library", [*NEEDED, *DEGRADING])
def test_the_package_that_is_named_has_the_library(library: str) -> None:
    package, _, version = pip_requirement(library, 13).partition("==")
    found = distribution(package)
    assert library in {file.name for file in found.files or ()}
    assert found.version.split(".")[0] == version.removesuffix(".*")


EMPTY = "int nothing(void) { return 0; }"
TENSORRT_10 = {"libnvinfer.so.10": EMPTY, "libnvonnxparser.so.10": EMPTY}
INSTALL = "pip install 'tensorrt-cu13==10.*'"


def test_tensorrt_without_any(tmp_path: Path, build: BuildMachine) -> None:
    here = build(driver())
    found = checks(here.doctor("tensorrt"))
    for library in TENSORRT_10:
        check = found[library]
        assert (check["outcome"], check["finding"], check["mend"]) == ("FAILED", f"{library} is missing", INSTALL)
    others = {"wheel", "CUDA version", "libcudnn.so.9", CUDA_DRIVER, "cuInit", "driver version", "devices", *NEEDED}
    assert {found[subject]["outcome"] for subject in others} == {"OK"}
    state, stage, reason = refusal(here, "tensorrt", tmp_path / "models")
    assert (state, stage) == ("DEGRADED", "probe")
    assert "libnvinfer.so.10 is missing" in reason
    assert INSTALL in reason
    stage, words = here.attempt("tensorrt")
    assert stage == "attach"
    assert "libnvinfer.so.10: cannot open shared object file" in words


def test_tensorrt_11_alone(tmp_path: Path, build: BuildMachine) -> None:
    here = build(driver(), {"libnvinfer.so.11": EMPTY})
    check = checks(here.doctor("tensorrt"))["libnvinfer.so.10"]
    finding = "libnvinfer.so.10 is missing; TensorRT 11 is here, and this ONNX Runtime is built for 10"
    assert check["finding"] == finding
    assert check["mend"].startswith(INSTALL)
    assert finding in refusal(here, "tensorrt", tmp_path / "models")[2]


@pytest.mark.parametrize("library", ["libcudnn.so.9", "libcurand.so.10"])
def test_tensorrt_needs_the_libraries_of_cuda(library: str, build: BuildMachine) -> None:
    """Its own provider library needs cuDNN, and CUDA's, which ONNX Runtime loads beside it, cuRAND."""
    here = build(driver(), TENSORRT_10, without=frozenset({library}))
    found = here.doctor("tensorrt")
    assert [subject for subject, outcome in outcomes(found).items() if outcome == "FAILED"] == [library]


def test_a_chain_of_three_says_it_of_both(tmp_path: Path, build: BuildMachine) -> None:
    toml = '[[chain]]\nprovider = "tensorrt"\n\n' + CHAIN.format("cuda")
    models.save(models.add_one(), tmp_path / "models" / "three", toml=toml)
    here = build(driver(version=12040))
    with (
        running_server(tmp_path / "models", python=here.python, env=here.environment) as server,
        Client(server.address) as client,
    ):
        attempts = client.assignment("three").attempts
    assert [(attempt.provider, attempt.stage) for attempt in attempts] == [
        ("tensorrt", "probe"),
        ("cuda", "probe"),
        ("cpu", ""),
    ]
    assert "libnvinfer.so.10 is missing" in attempts[0].reason
    assert "the driver supports CUDA 12.4" in attempts[1].reason
    assert "libnvinfer" not in attempts[1].reason
