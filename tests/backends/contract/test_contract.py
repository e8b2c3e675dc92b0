"""The contract of `ortolan_backends.contract.Backend`, held against every backend that is installed."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from ortolan_backends.catalog import Catalog
from ortolan_backends.contract import Availability, Backend, Caches, Device, NotCached, Outcome, Probe
from ortolan_backends.errors import InvalidOption
from ortolan_backends.options import FORBIDDEN_KEYS, OptionDoc, describe, encode, parse_options
from ortolan_backends.runtime.ort import onnxruntime

CATALOG = Catalog.from_entry_points()
OURS = {
    "coreml",
    "cpu",
    "cuda",
    "directml",
    "ggml",
    "migraphx",
    "nnapi",
    "openvino",
    "qnn",
    "tensorrt",
    "tensorrt_rtx",
    "webgpu",
    "xnnpack",
}
# Of those that are installed, the backends that keep what they compile.
KEEPING = [name for name in CATALOG.names() if isinstance(CATALOG.get(name), Caches)]
TYPES = {"integer", "number", "boolean", "text", "size", "table"}
# Of the wrong type for each.
STRANGERS: dict[str, tuple[object, ...]] = {
    "integer": ("1", 1.5, True, [1]),
    "number": ("1.5", True, [1.5]),
    "boolean": ("true", 1, 0, "1"),
    "text": (1, True, ["text"]),
    "size": (-1, 1.5, True, "8 apples", "-8GiB", "GiB", "8gib8"),
    "table": ("{}", 1, ["a"]),
}


@pytest.fixture(params=CATALOG.names())
def backend(request: pytest.FixtureRequest) -> Backend:
    return CATALOG.get(request.param)


def keeping(name: str) -> Any:
    """A backend that is `Caches` too: Python has no type for both."""
    return CATALOG.get(name)


@cache
def probed(name: str) -> Probe:
    """Probing takes a second: once for all tests."""
    return CATALOG.get(name).probe()


def bad_values(doc: OptionDoc) -> Iterator[object]:
    yield from STRANGERS[doc.type]
    if " or " in doc.allowed and doc.type == "text":
        yield "certainly not one of them"
    low, _, high = doc.allowed.removeprefix(">= ").partition(" to ")
    if doc.type in {"integer", "number"} and low:
        yield int(low) - 1
    if doc.type in {"integer", "number"} and high:
        yield int(high) + 1


def test_our_own_backends_are_among_them() -> None:
    assert set(CATALOG.names()) >= OURS, "the package is not installed: its entry points are missing"


def test_it_says_what_it_is(backend: Backend) -> None:
    assert backend.name.isidentifier()
    assert backend.name.islower()
    assert backend.provider.endswith("ExecutionProvider")
    assert backend.summary.endswith(".")
    assert isinstance(backend.compiles, bool)
    assert isinstance(backend, Backend)


def test_every_option_is_documented(backend: Backend) -> None:
    docs = describe(backend.options)
    assert docs, "no backend is without options"
    assert len({doc.onnxruntime_key for doc in docs}) == len(docs)
    for doc in docs:
        assert doc.type in TYPES
        assert doc.onnxruntime_key
        assert doc.documentation.endswith("."), doc.name
        if doc.default:
            json.loads(doc.default)
        if doc.type == "size":
            assert doc.unit == "bytes"


def test_no_option_loads_code_or_takes_a_pointer(backend: Backend) -> None:
    assert not [doc.name for doc in describe(backend.options) if doc.onnxruntime_key.lower() in FORBIDDEN_KEYS]


@pytest.mark.parametrize("key", FORBIDDEN_KEYS)
def test_what_loads_code_or_takes_a_pointer_is_refused(backend: Backend, key: str) -> None:
    with pytest.raises(
        InvalidOption, match=f"^{backend.name}: {key} cannot be set, since it (loads code|takes a pointer)$"
    ):
        parse_options(backend, {key: "1"})


def test_defaults_encode_to_nothing(backend: Backend) -> None:
    assert encode(parse_options(backend, {})) == {}


def test_every_option_can_be_set_to_its_default(backend: Backend) -> None:
    for doc in describe(backend.options):
        if doc.default:
            encoded = encode(parse_options(backend, {doc.name: json.loads(doc.default)}))
            assert list(encoded) == [doc.onnxruntime_key]
            assert all(encoded.values())


def test_unknown_options_are_refused(backend: Backend) -> None:
    with pytest.raises(InvalidOption, match=rf"^{backend.name}: it has no option no_such_option"):
        parse_options(backend, {"no_such_option": 1})


def test_bad_values_are_refused_by_name(backend: Backend) -> None:
    for doc in describe(backend.options):
        for value in bad_values(doc):
            with pytest.raises(InvalidOption, match=rf"^{backend.name}: {doc.name} = .* is refused: "):
                parse_options(backend, {doc.name: value})


def test_options_cannot_be_changed(backend: Backend) -> None:
    options = parse_options(backend, {})
    name = describe(backend.options)[0].name
    with pytest.raises(ValueError, match="frozen"):
        setattr(options, name, None)


def test_those_that_keep_what_they_compile_are_known() -> None:
    assert set(KEEPING) >= {"coreml", "migraphx", "openvino", "tensorrt", "tensorrt_rtx"}


@pytest.mark.parametrize("name", KEEPING)
def test_its_cache_is_placed_by_its_own_options(name: str, tmp_path: Path) -> None:
    backend = keeping(name)
    options = parse_options(backend, {})
    placed = backend.cache_in(options, tmp_path / "here")
    if isinstance(placed, NotCached):
        assert placed.reason, "it says why not"
        assert not placed.by_choice
        pytest.skip(placed.reason)
    assert encode(options) == {}
    assert str(tmp_path / "here") in encode(placed).values()
    assert not list(tmp_path.iterdir()), "it writes nothing itself"
    again = backend.cache_in(placed, tmp_path / "there")
    assert isinstance(again, NotCached)
    assert again.by_choice
    assert isinstance(backend.writes_while_running(options), bool)


@pytest.mark.parametrize("name", KEEPING)
def test_what_it_compiles_depends_on_devices_that_were_found(name: str) -> None:
    backend = keeping(name)
    devices = (Device("cpu", "CPU", "a processor"), Device("gpu", "0", "a GPU"), Device("gpu", "1", "another"))
    chosen = backend.compiles_for(parse_options(backend, {}), devices)
    assert chosen
    assert set(chosen) <= set(devices)
    assert backend.compiles_for(parse_options(backend, {}), ()) == ()


@pytest.mark.provider
def test_its_probe_says_what_was_found_and_how_to_mend_it(backend: Backend) -> None:
    probe = probed(backend.name)
    assert probe.checks
    subjects = [check.looked_at for check in probe.checks]
    assert len(set(subjects)) == len(subjects)
    for check in probe.checks:
        assert check.finding, check
        assert not check.finding.endswith("."), check
        assert "\n" not in check.finding + check.mend, check
        assert bool(check.mend) == (check.outcome in {Outcome.FAILED, Outcome.DEGRADED}), check
    outcomes = {check.outcome for check in probe.checks}
    assert Outcome.SKIPPED not in outcomes or Outcome.FAILED in outcomes
    assert bool(probe.reason) == (probe.availability is not Availability.AVAILABLE)
    for device in probe.devices:
        assert device.kind in {"cpu", "gpu", "npu"}
        assert device.name


@pytest.mark.provider
def test_a_tiny_session_opens_and_runs(backend: Backend) -> None:
    probe = probed(backend.name)
    if probe.availability is Availability.UNAVAILABLE:
        pytest.skip(probe.reason)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "tiny", [value], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session_options = onnxruntime.SessionOptions()
    backend.attach(session_options, parse_options(backend, {}))
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options, enable_fallback=0)
    assert session.get_providers()[0] == backend.provider
    (y,) = session.run(None, {"x": np.array([-1, 2], np.float32)})
    assert y.tolist() == [0, 2]
