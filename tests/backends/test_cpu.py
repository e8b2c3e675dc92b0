"""CPU: its options are settings of the session."""

from collections.abc import Mapping
from typing import Any

import pytest

from ortolan_backends.cpu import BACKEND
from ortolan_backends.errors import InvalidOption
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.ort import onnxruntime

INTRA, INTER = "session.intra_op.allow_spinning", "session.inter_op.allow_spinning"


def attached(mapping: Mapping[str, object]) -> Any:
    session_options = onnxruntime.SessionOptions()
    BACKEND.attach(session_options, parse_options(BACKEND, mapping))
    return session_options


def test_threads_do_not_spin_unless_told_to() -> None:
    assert attached({}).get_session_config_entry(INTRA) == "0"
    assert attached({}).get_session_config_entry(INTER) == "0"
    assert attached({"spinning": True}).get_session_config_entry(INTRA) == "1"


@pytest.mark.parametrize(
    ("mapping", "attribute", "value"),
    [
        ({"threads": 2}, "intra_op_num_threads", 2),
        ({"execution_mode": "parallel", "inter_op_threads": 3}, "inter_op_num_threads", 3),
        ({"execution_mode": "parallel"}, "execution_mode", onnxruntime.ExecutionMode.ORT_PARALLEL),
        ({"optimization_level": "disabled"}, "graph_optimization_level", onnxruntime.GraphOptimizationLevel(0)),
        (
            {"optimization_level": "extended"},
            "graph_optimization_level",
            onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
        ),
        ({"optimization_level": "all"}, "graph_optimization_level", onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL),
        ({"arena": False}, "enable_cpu_mem_arena", False),
        ({"memory_pattern": False}, "enable_mem_pattern", False),
        ({"memory_reuse": False}, "enable_mem_reuse", False),
        ({"deterministic": True}, "use_deterministic_compute", True),
    ],
)
def test_attributes_of_the_session(mapping: Mapping[str, object], attribute: str, value: object) -> None:
    assert getattr(attached(mapping), attribute) == value


@pytest.mark.parametrize(
    ("mapping", "key", "value"),
    [
        ({"prepacking": False}, "session.disable_prepacking", "1"),
        ({"prepacking": True}, "session.disable_prepacking", "0"),
        ({"denormals_as_zero": True}, "session.set_denormal_as_zero", "1"),
        ({"gelu_approximation": True}, "optimization.enable_gelu_approximation", "1"),
        ({"spinning": True, "stop_spinning_when_idle": True}, "session.force_spinning_stop", "1"),
        ({"threads": 3, "thread_affinities": "2;3-4,6"}, "session.intra_op_thread_affinities", "2;3-4,6"),
    ],
)
def test_configuration_of_the_session(mapping: Mapping[str, object], key: str, value: str) -> None:
    assert attached(mapping).get_session_config_entry(key) == value


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"inter_op_threads": 2}, 'inter_op_threads has no effect without execution_mode = "parallel"'),
        ({"inter_op_spinning": True}, "inter_op_spinning has no effect"),
        ({"stop_spinning_when_idle": True}, "no effect without spinning"),
        ({"thread_affinities": "1"}, "threads must be 2"),
        ({"threads": 2, "thread_affinities": "1;2"}, "threads must be 3"),
        ({"threads": 2, "thread_affinities": "0"}, "thread_affinities = "),
        ({"threads": -1}, "threads = -1 is refused: it takes an integer: 0 to 1024"),
        ({"intra_op_num_threads": 1}, "did you mean threads"),
    ],
)
def test_what_would_do_nothing_is_refused(mapping: Mapping[str, object], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        parse_options(BACKEND, mapping)


@pytest.mark.provider
def test_its_probe_describes_the_machine() -> None:
    probe = BACKEND.probe()
    assert not probe.reason
    (device,) = probe.devices
    assert device.kind == "cpu"
    assert device.memory_bytes > 1 << 28
    assert probe.versions["onnxruntime"] == onnxruntime.__version__
