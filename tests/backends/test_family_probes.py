"""What the probes of families conclude, from what a machine that is not here would answer."""

import os
import sys
from pathlib import Path

import pytest

from ortolan_backends import coreml, directml, nnapi
from ortolan_backends.catalog import Catalog
from ortolan_backends.contract import Availability, Check, Outcome
from ortolan_backends.errors import OpenRefused
from ortolan_backends.migraphx import judge_libraries
from ortolan_backends.plugin_backend import check_package, judge_plugin
from ortolan_backends.runtime.cuda_driver import CudaDevice
from ortolan_backends.runtime.libraries import LibraryFinding
from ortolan_backends.runtime.plugins import Plugin, PluginFinding, find_package, look_at_plugin
from ortolan_backends.runtime.vulkan_devices import VULKAN_LOADER, VulkanDevice, VulkanFinding
from ortolan_backends.tensorrt_probe import judge_tensorrt
from ortolan_backends.tensorrt_rtx import judge_capability
from ortolan_backends.webgpu_probe import judge_vulkan

WITH_XNNPACK = """
import numpy as np
class Errors(type):
    def __getattr__(cls, name): return type(name, (Exception,), {})
class capi:
    class onnxruntime_pybind11_state(metaclass=Errors): pass
class SessionOptions:
    def add_session_config_entry(self, key, value): pass
    def add_provider(self, name, options): pass
class InferenceSession:
    def __init__(self, model, options, enable_fallback): pass
    def get_provider_graph_assignment_info(self): return []
    def run(self, outputs, inputs): return [np.array([[1, 2], [0, 0]], np.float32)]
def get_available_providers(): return ["XnnpackExecutionProvider"]
"""
MISSING = "cannot open shared object file: No such file or directory"
PLUGIN = Plugin("KiteExecutionProvider", ("onnxruntime-kite-13", "onnxruntime-kite-12"), "kite", preload=("libcord",))


def outcomes(checks: tuple[Check, ...]) -> dict[str, str]:
    return {check.looked_at: str(check.outcome) for check in checks}


def opened(name: str) -> LibraryFinding:
    return LibraryFinding(name, f"/usr/lib/{name}", "")


def missing(name: str) -> LibraryFinding:
    return LibraryFinding(name, "", f"{name}: {MISSING}")


def publish(folder: Path, name: str, *files: str) -> None:
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files), encoding="utf-8")
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(b"no library")


def test_tensorrt_11_alone_is_named_with_what_to_install() -> None:
    own = [missing("libnvinfer.so.10"), missing("libnvonnxparser.so.10"), opened("libnvinfer.so.11")]
    first, second = judge_tensorrt(own, 13)
    assert first.finding == ("libnvinfer.so.10 is missing; TensorRT 11 is here, and this ONNX Runtime is built for 10")
    assert first.mend.startswith("pip install 'tensorrt-cu13==10.*'")
    assert second.outcome is Outcome.FAILED


def test_tensorrt_without_any_says_what_to_install() -> None:
    own = [missing("libnvinfer.so.10"), missing("libnvonnxparser.so.10"), missing("libnvinfer.so.11")]
    first, _ = judge_tensorrt(own, 12)
    assert (first.finding, first.mend) == ("libnvinfer.so.10 is missing", "pip install 'tensorrt-cu12==10.*'")


def test_tensorrt_cannot_do_without_cudnn() -> None:
    own = [opened("libnvinfer.so.10"), opened("libnvonnxparser.so.10"), missing("libnvinfer.so.11")]
    checks = judge_tensorrt([*own, opened("libcudart.so.13"), missing("libcudnn.so.9")], 13)
    assert outcomes(checks) == {
        "libnvinfer.so.10": "ok",
        "libnvonnxparser.so.10": "ok",
        "libcudart.so.13": "ok",
        "libcudnn.so.9": "failed",
    }
    assert checks[-1].finding == "libcudnn.so.9 is missing"


@pytest.mark.parametrize(
    ("name", "capability", "outcome"),
    [
        ("NVIDIA A100-SXM4-80GB", "8.0", "failed"),
        ("NVIDIA H100 80GB HBM3", "9.0", "failed"),
        ("NVIDIA B200", "10.0", "failed"),
        ("Tesla T4", "7.5", "failed"),
        ("NVIDIA GeForce RTX 3090", "8.6", "ok"),
        ("NVIDIA L4", "8.9", "ok"),
        ("NVIDIA GeForce RTX 5090", "12.0", "ok"),
        ("NVIDIA GB10", "12.1", "ok"),
    ],
)
def test_tensorrt_rtx_refuses_gpus_by_name(name: str, capability: str, outcome: str) -> None:
    check = judge_capability([CudaDevice(name, 1 << 30, capability)])
    assert check.outcome == outcome
    assert f"{name} ({capability})" in check.finding


def test_tensorrt_rtx_takes_one_of_several_gpus() -> None:
    gpus = [CudaDevice("NVIDIA A100", 1, "8.0"), CudaDevice("NVIDIA L4", 1, "8.9")]
    assert judge_capability(gpus).finding == "NVIDIA L4 (8.9)"


@pytest.mark.parametrize(
    ("found", "outcome", "finding"),
    [
        (VulkanFinding(load_error=f"{VULKAN_LOADER}: {MISSING}"), "failed", f"{VULKAN_LOADER} is missing"),
        (VulkanFinding(crash="was killed by SIGSEGV"), "failed", "asking Vulkan was killed by SIGSEGV"),
        (VulkanFinding(result=-9), "failed", "Vulkan finds no driver that works here"),
        (VulkanFinding(result=-3), "failed", "Vulkan answers -3"),
        (VulkanFinding(), "failed", "Vulkan has no device here"),
        (
            VulkanFinding(devices=(VulkanDevice("llvmpipe", is_software=True),)),
            "degraded",
            "0: llvmpipe, which computes on the CPU",
        ),
        (
            VulkanFinding(
                devices=(VulkanDevice("llvmpipe", is_software=True), VulkanDevice("A770", is_software=False))
            ),
            "ok",
            "0: llvmpipe, 1: A770",
        ),
    ],
)
def test_webgpu_wants_a_vulkan_device_that_is_no_processor(found: VulkanFinding, outcome: str, finding: str) -> None:
    check = judge_vulkan(found)
    assert (check.outcome, check.finding) == (outcome, finding)
    assert bool(check.mend) == (outcome != "ok")


def test_coreml_needs_macos_and_says_what_older_ones_lack() -> None:
    assert outcomes(coreml.judge_system("linux", "", "x86_64")) == {"system": "failed"}
    assert outcomes(coreml.judge_system("darwin", "14.4", "arm64")) == {"system": "ok", "architecture": "ok"}
    old = coreml.judge_system("darwin", "11.7", "x86_64")
    assert outcomes(old) == {"system": "degraded", "architecture": "degraded"}
    assert "only the format NeuralNetwork" in old[0].finding


@pytest.mark.parametrize(("level", "outcome"), [(0, "failed"), (26, "failed"), (27, "ok"), (34, "ok")])
def test_nnapi_needs_android_8_1(level: int, outcome: str) -> None:
    assert outcomes(nnapi.judge_api_level(level)) == {"system": outcome}


@pytest.mark.parametrize(
    ("flag", "level", "message"),
    [
        ("USE_NCHW", 28, "USE_NCHW needs Android API level 29, and this is 28"),
        ("CPU_DISABLED", 27, "CPU_DISABLED needs Android API level 29"),
        ("USE_FP16", 30, "ONNX Runtime's Python cannot pass USE_FP16 on to NNAPI"),
    ],
)
def test_nnapi_s_flags_are_not_passed_over(flag: str, level: int, message: str) -> None:
    nnapi.refuse_flags({flag: "0"}, level)
    with pytest.raises(OpenRefused, match=message):
        nnapi.refuse_flags({flag: "1"}, level)


def test_directml_needs_windows() -> None:
    assert outcomes(directml.judge_system("linux")) == {"system": "failed"}
    assert outcomes(directml.judge_system("win32")) == {"system": "ok"}


def test_migraphx_names_each_library_of_rocm() -> None:
    found = [missing("libmigraphx_c.so.3"), opened("libamdhip64.so.7"), opened("libm.so.6")]
    checks = judge_libraries(found)
    assert outcomes(checks) == {"libmigraphx_c.so.3": "failed", "libamdhip64.so.7": "ok"}
    assert "ROCm 7" in checks[0].mend


def test_a_plugin_that_is_not_installed_says_what_to_install() -> None:
    check = check_package(PLUGIN)
    assert (check.finding, check.mend) == (
        "onnxruntime-kite-13 or onnxruntime-kite-12 is not installed",
        "pip install onnxruntime-kite-13",
    )


def test_a_plugin_s_library_is_found_by_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, "onnxruntime-kite-12", "kite/libkite.so", "kite/libcord.so.13.4", "kite/libcordage.so.1")
    monkeypatch.syspath_prepend(tmp_path)
    package = find_package(PLUGIN)
    assert package is not None
    assert (package.name, package.version) == ("onnxruntime-kite-12", "1.0")
    assert package.library == tmp_path / "kite/libkite.so"
    assert package.preload == (tmp_path / "kite/libcord.so.13.4",)


def test_a_package_without_the_library_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, "onnxruntime-kite-13", "kite/kite.txt")
    monkeypatch.syspath_prepend(tmp_path)
    assert check_package(PLUGIN).finding == "onnxruntime-kite-13 1.0 has no library kite for this system"


@pytest.mark.provider
def test_a_library_that_does_not_load_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, "onnxruntime-kite-13", "kite/libkite.so")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    found = look_at_plugin(PLUGIN)
    assert "libkite.so" in found.error
    library, devices = judge_plugin(found, PLUGIN, "plug one in")
    assert (library.outcome, devices.outcome) == (Outcome.FAILED, Outcome.SKIPPED)
    assert library.mend.endswith("pip install --upgrade onnxruntime-kite-13")


def test_no_device_is_a_reason_of_its_own() -> None:
    library, devices = judge_plugin(PluginFinding(), PLUGIN, "plug one in")
    assert library.outcome is Outcome.OK
    assert (devices.outcome, devices.mend) == (Outcome.FAILED, "plug one in")
    _, devices = judge_plugin(PluginFinding(devices=(("gpu", "0", "Kite 1"),)), PLUGIN, "")
    assert devices.finding == "0: Kite 1 (gpu)"


@pytest.mark.skipif(sys.platform != "linux", reason="about families that Linux does not have")
@pytest.mark.parametrize("family", ["coreml", "directml", "nnapi"])
def test_families_of_other_systems_are_unavailable_here(family: str) -> None:
    probe = Catalog.from_entry_points().get(family).probe()
    assert probe.availability is Availability.UNAVAILABLE
    assert "this is linux" in probe.reason


def test_xnnpack_works_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an ONNX Runtime that has it, which no wheel does."""
    (tmp_path / "onnxruntime.py").write_text(WITH_XNNPACK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    probe = Catalog.from_entry_points().get("xnnpack").probe()
    assert probe.reason == ""
    assert [device.kind for device in probe.devices] == ["cpu"]
