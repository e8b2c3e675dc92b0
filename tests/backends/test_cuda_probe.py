"""The CUDA ladder, down to the driver: with stub drivers, so without a GPU."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ortolan_backends.contract import Availability, Check, Outcome, Probe
from ortolan_backends.cuda import BACKEND
from ortolan_backends.cuda_probe import judge_driver, judge_libraries
from ortolan_backends.runtime.cuda_driver import CUDA_DRIVER, CudaDevice, DriverFinding, look_at_driver
from ortolan_backends.runtime.libraries import LibraryFinding
from tests.backends.conftest import CompileLibrary
from tests.backends.stub_driver import CRASHING, WITHOUT_FUNCTIONS, driver

InstallDriver = Callable[[str], None]
CUDA_MAJOR = 13
MISSING = "cannot open shared object file: No such file or directory"


@pytest.fixture
def install_driver(tmp_path: Path, compile_library: CompileLibrary, monkeypatch: pytest.MonkeyPatch) -> InstallDriver:
    """Makes subprocesses find a driver of the given source first."""

    def install(source: str) -> None:
        compile_library(tmp_path / CUDA_DRIVER, source)
        others = os.environ.get("LD_LIBRARY_PATH")
        monkeypatch.setenv("LD_LIBRARY_PATH", os.pathsep.join(filter(None, [str(tmp_path), others])))

    return install


def outcomes(checks: tuple[Check, ...]) -> dict[str, str]:
    return {check.looked_at: str(check.outcome) for check in checks}


def by_subject(checks: tuple[Check, ...], subject: str) -> Check:
    return next(check for check in checks if check.looked_at == subject)


def test_a_good_driver_shows_its_devices(install_driver: InstallDriver) -> None:
    install_driver(driver(devices=2))
    found = look_at_driver()
    assert found.devices == (CudaDevice("Stub GPU", 8 << 30, "8.6"), CudaDevice("Stub GPU", 16 << 30, "8.6"))
    checks = judge_driver(found, CUDA_MAJOR)
    assert set(outcomes(checks).values()) == {"ok"}
    assert by_subject(checks, "devices").finding == (
        "0: Stub GPU, 8 GiB, compute capability 8.6, 1: Stub GPU, 16 GiB, compute capability 8.6"
    )


def test_no_device(install_driver: InstallDriver) -> None:
    install_driver(driver(init=100, devices=0))
    checks = judge_driver(look_at_driver(), CUDA_MAJOR)
    assert outcomes(checks) == {CUDA_DRIVER: "ok", "cuInit": "failed", "driver version": "ok", "devices": "skipped"}
    init = by_subject(checks, "cuInit")
    assert init.finding == "cuInit answers 100: no CUDA-capable device is detected"
    assert "--gpus all" in init.mend


def test_a_driver_that_shows_no_device(install_driver: InstallDriver) -> None:
    install_driver(driver(devices=0))
    checks = judge_driver(look_at_driver(), CUDA_MAJOR)
    assert by_subject(checks, "devices").finding == "the driver shows no GPU"


def test_a_driver_that_says_it_is_too_old(install_driver: InstallDriver) -> None:
    install_driver(driver(init=35, version=12040))
    checks = judge_driver(look_at_driver(), CUDA_MAJOR)
    assert by_subject(checks, "cuInit").finding == "cuInit answers 35: the driver is too old"
    assert by_subject(checks, "cuInit").mend.endswith("install the NVIDIA driver 580 or newer")
    assert by_subject(checks, "driver version").outcome is Outcome.FAILED


def test_a_driver_older_than_the_wheel(install_driver: InstallDriver) -> None:
    install_driver(driver(version=12040))
    version = by_subject(judge_driver(look_at_driver(), CUDA_MAJOR), "driver version")
    assert version.outcome is Outcome.FAILED
    assert version.finding == "the driver supports CUDA 12.4, and the wheel needs 13.0"
    assert version.mend == "install the NVIDIA driver 580 or newer"


def test_a_driver_that_crashes(install_driver: InstallDriver) -> None:
    install_driver(CRASHING)
    checks = judge_driver(look_at_driver(), CUDA_MAJOR)
    assert by_subject(checks, CUDA_DRIVER).finding == "asking the driver was killed by SIGILL"
    assert set(outcomes(checks).values()) == {"failed", "skipped"}


def test_a_library_that_is_no_driver(install_driver: InstallDriver) -> None:
    install_driver(WITHOUT_FUNCTIONS)
    library = by_subject(judge_driver(look_at_driver(), CUDA_MAJOR), CUDA_DRIVER)
    assert library.outcome is Outcome.FAILED
    assert "undefined symbol: cuDriverGetVersion" in library.finding


def test_no_driver() -> None:
    checks = judge_driver(DriverFinding(load_error=f"{CUDA_DRIVER}: {MISSING}"), CUDA_MAJOR)
    assert outcomes(checks) == {
        CUDA_DRIVER: "failed",
        "cuInit": "skipped",
        "driver version": "skipped",
        "devices": "skipped",
    }
    assert by_subject(checks, CUDA_DRIVER).finding == f"{CUDA_DRIVER} is missing"
    assert by_subject(checks, CUDA_DRIVER).mend.startswith("install the NVIDIA driver 580 or newer")


def test_all_missing_libraries_are_listed_with_their_packages() -> None:
    names = ["libcublasLt.so.13", "libcurand.so.10", "libdl.so.2", "libstrange.so.1", "libcudnn.so.9", "libcufft.so.12"]
    found = [LibraryFinding(name, "", f"{name}: {MISSING}") for name in names if name != "libdl.so.2"]
    checks = judge_libraries([*found, LibraryFinding("libdl.so.2", "/lib/libdl.so.2", "")], CUDA_MAJOR)
    assert outcomes(checks) == {
        "libcublasLt.so.13": "failed",
        "libcurand.so.10": "failed",
        "libstrange.so.1": "failed",
        "libcudnn.so.9": "degraded",
        "libcufft.so.12": "degraded",
    }
    assert by_subject(checks, "libcurand.so.10").finding == "libcurand.so.10 is missing"
    assert by_subject(checks, "libcurand.so.10").mend.startswith("pip install 'nvidia-curand==10.*'")
    assert by_subject(checks, "libcudnn.so.9").finding.endswith("operators that need it do not run on CUDA")


def test_only_cudnn_missing_is_degraded() -> None:
    found = [LibraryFinding("libcudart.so.13", "/x", ""), LibraryFinding("libcudnn.so.9", "", "libcudnn.so.9: gone")]
    probe = Probe(judge_libraries(found, CUDA_MAJOR))
    assert probe.availability is Availability.DEGRADED
    assert "libcudnn.so.9: gone" in probe.reason


@pytest.mark.provider
def test_another_wheel_ends_the_ladder_at_once() -> None:
    probe = BACKEND.probe()
    if probe.checks[0].outcome is Outcome.OK:
        pytest.skip("this wheel has CUDAExecutionProvider")
    assert probe.availability is Availability.UNAVAILABLE
    assert probe.reason.endswith("has no CUDAExecutionProvider")
    assert "'ortolan[gpu]'" in probe.mend
    assert {check.outcome for check in probe.checks[1:]} == {Outcome.SKIPPED}


@pytest.mark.provider
@pytest.mark.wheel("onnxruntime-gpu")
def test_the_driver_is_looked_at_beside_missing_libraries(install_driver: InstallDriver) -> None:
    install_driver(driver(version=12040))
    probe = BACKEND.probe()
    assert "the driver supports CUDA 12.4, and the wheel needs 13.0" in probe.reason
    assert [device.name for device in probe.devices] == ["Stub GPU"]
