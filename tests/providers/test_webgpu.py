"""WebGPU, built into its wheel and as a plugin, on whatever device Vulkan has here: in CI that is SwiftShader."""

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_backends.runtime.vulkan_devices import VulkanFinding, look_at_vulkan
from ortolan_client import Client
from tests import models
from tests.conftest import REQUIRE_TOOLCHAINS
from tests.providers import mixed
from tests.providers.webgpu import CHAIN, CONVNET, CONVNET_INPUT, cases, faults
from tests.serving import ENTRY, running_server

pytestmark = pytest.mark.plugin("onnxruntime-webgpu", "onnxruntime-ep-webgpu")

NO_DRIVER = {"VK_ICD_FILENAMES": "/nowhere", "VK_DRIVER_FILES": "/nowhere"}
ON_WEBGPU = CHAIN.format(options="")


@pytest.fixture(scope="module")
def vulkan() -> VulkanFinding:
    found = look_at_vulkan()
    if not found.devices and os.environ.get(REQUIRE_TOOLCHAINS) == "1":
        pytest.fail(f"Vulkan has no device here, and {REQUIRE_TOOLCHAINS}=1 requires one: {found}")
    if not found.devices:
        pytest.skip("Vulkan has no device here")
    return found


@pytest.fixture(scope="module")
def convnet() -> onnx.ModelProto:
    if not CONVNET.exists() and os.environ.get(REQUIRE_TOOLCHAINS) == "1":
        pytest.fail("no example models: run `python examples/prepare.py`")
    if not CONVNET.exists():
        pytest.skip("no example models: run `python examples/prepare.py`")
    return onnx.load(CONVNET)


def is_plugin() -> bool:
    try:
        distribution("onnxruntime-ep-webgpu")
    except PackageNotFoundError:
        return False
    return True


def doctor(**variables: str) -> dict[str, object]:
    command = [sys.executable, "-c", ENTRY, "doctor", "webgpu", "--json"]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    (found,) = json.loads(done.stdout)["providers"]
    assert isinstance(found, dict)
    return found


def checks(found: dict[str, object]) -> dict[str, dict[str, str]]:
    listed = found["checks"]
    assert isinstance(listed, list)
    return {check["looked_at"]: check for check in listed}


def names(assignment: pb.Assignment) -> set[str]:
    return {node.name for share in assignment.shares for node in share.node_list}


def test_the_doctor_names_the_device(vulkan: VulkanFinding) -> None:
    found = doctor()
    software = all(device.is_software for device in vulkan.devices)
    assert found["availability"] == ("DEGRADED" if software else "AVAILABLE"), found
    listed = found["devices"]
    assert isinstance(listed, list)
    assert [device["name"] for device in listed] == [device.name for device in vulkan.devices]
    finding = checks(found)["Vulkan"]["finding"]
    assert vulkan.devices[0].name in finding
    assert ("which computes on the CPU" in finding) == software
    assert checks(found)["session"]["finding"] == "a tiny session opened and ran"


@pytest.mark.parametrize("name", [*mixed.EXPECTATIONS, "names_like_renamed_ones", "a_convnet"])
def test_nodes_copies_and_names_are_as_all_sources_say(name: str, tmp_path: Path, vulkan: VulkanFinding) -> None:
    if name == "a_convnet" and not CONVNET.exists():
        pytest.skip("no example models: run `python examples/prepare.py`")
    case = cases()[name]
    assert faults(models.save(case.proto, tmp_path, toml=case.toml), case)[0] == []


def test_a_convnet_is_served_and_reported(tmp_path: Path, vulkan: VulkanFinding, convnet: onnx.ModelProto) -> None:
    models.save(convnet, tmp_path / "webgpu", toml=ON_WEBGPU)
    models.save(convnet, tmp_path / "cpu")
    x = np.random.default_rng(0).normal(0, 1, CONVNET_INPUT).astype(np.float32)
    with running_server(tmp_path) as server, Client(server.address) as client:
        found, right = client.infer("webgpu", {"x": x}), client.infer("cpu", {"x": x})
        assignment, on_cpu = client.assignment("webgpu"), client.assignment("cpu")
    for output in right:
        np.testing.assert_allclose(found[output], right[output], rtol=1e-3, atol=1e-5)
    assert pb.Verdict.State.Name(assignment.verdict.state) == "KEPT"
    (share,) = assignment.shares
    assert (share.provider, share.nodes, share.node_share, assignment.crossings) == ("webgpu", 179, 1.0, 0)
    assert names(assignment) == names(on_cpu)  # those of NHWC nodes too, and no transpose that was put in
    assert {node.domain for node in share.node_list} == {""}
    assert {place.memory for place in assignment.placements} == {"WebGPU_Buf"}
    assert "put in to change layouts" in assignment.method
    if is_plugin():
        assert assignment.complete, assignment.method
    else:  # 1.27.0 is the newest
        assert not assignment.complete
        assert "of 179 nodes there is no record" in assignment.method
        assert "by elimination" in assignment.method


def test_a_transpose_that_is_cancelled_is_gone(tmp_path: Path, vulkan: VulkanFinding) -> None:
    """Transpose to NCHW → Conv: in NHWC the transpose is of no use. [Hardmax] before it: one copy all the same."""
    node = helper.make_node
    proto = models.model(
        [
            node("Hardmax", ["x"], ["h"], name="hardmax"),
            node("Transpose", ["h"], ["t"], name="to_nchw", perm=[0, 3, 1, 2]),
            node("Conv", ["t", "kernel"], ["y"], name="conv"),
        ],
        [models.value("x", TensorProto.FLOAT, [1, 8, 8, 1])],
        [models.value("y", TensorProto.FLOAT, [1, 1, 6, 6])],
        [models.tensor("kernel", np.ones((1, 1, 3, 3)))],
    )
    models.save(proto, tmp_path / "nhwc", toml=ON_WEBGPU)
    with running_server(tmp_path) as server, Client(server.address) as client:
        assignment = client.assignment("nhwc")
        x = np.zeros((1, 8, 8, 1), np.float32)
        np.testing.assert_allclose(client.infer("nhwc", {"x": x})["y"], np.full((1, 1, 6, 6), 9), rtol=1e-5)
    assert assignment.crossings == 1
    if is_plugin():
        assert names(assignment) == {"hardmax", "conv"}
        assert "cancelled against those are gone (1)" in assignment.method
        assert assignment.complete
    else:
        assert {"hardmax", "conv"} <= names(assignment)


def test_a_model_without_a_node_for_it_is_refused(tmp_path: Path, vulkan: VulkanFinding) -> None:
    proto = models.model(
        [helper.make_node("Hardmax", ["x"], ["h"], name="h"), helper.make_node("Det", ["h"], ["y"], name="d")],
        [models.value("x", TensorProto.FLOAT, [2, 2])],
        [models.value("y", TensorProto.FLOAT, [])],
    )
    models.save(proto, tmp_path / "none", toml=ON_WEBGPU)
    with running_server(tmp_path) as server, Client(server.address) as client:
        refused = client.assignment("none").attempts[0]
    assert refused.stage == "read"
    assert refused.reason == f"ONNX Runtime gave WebGpuExecutionProvider none of the model's nodes: 2 on {mixed.CPU}"


def test_without_a_driver_it_is_refused_before_it_is_tried(tmp_path: Path, vulkan: VulkanFinding) -> None:
    finding = "Vulkan finds no driver that works here"
    found = doctor(**NO_DRIVER)
    assert (found["availability"], found["devices"]) == ("UNAVAILABLE", [])
    assert checks(found)["Vulkan"]["finding"] == finding
    models.save(models.add_one(), tmp_path / "lenient", toml=ON_WEBGPU + 'otherwise = "degrade"\n')
    environment = {**os.environ, **NO_DRIVER}
    with running_server(tmp_path, env=environment) as server, Client(server.address) as client:
        assignment = client.assignment("lenient")
    assert (assignment.state, assignment.serving_provider) == ("DEGRADED", "cpu")
    assert assignment.attempts[0].stage == "probe"
    assert assignment.attempts[0].reason.startswith(finding)


@pytest.mark.plugin("onnxruntime-ep-webgpu")
def test_the_plugin_says_what_lets_it_take_a_device_in_software(vulkan: VulkanFinding) -> None:
    if not all(device.is_software for device in vulkan.devices):
        pytest.skip(f"this machine has a GPU: {vulkan.devices[0].name}")
    devices = checks(doctor(ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER="0"))["devices"]
    assert devices["finding"] == "it is registered and offers no device here"
    assert "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1" in devices["mend"]
