"""CUDA's options: what reaches ONNX Runtime, and which combinations do not go together."""

from collections.abc import Mapping

import pytest

from ortolan_backends.cuda import BACKEND
from ortolan_backends.errors import InvalidOption
from ortolan_backends.options import encode, parse_options


def test_options_reach_onnx_runtime_in_its_spelling() -> None:
    options = parse_options(
        BACKEND, {"device_id": 1, "memory_limit": "8GiB", "use_tf32": False, "cudnn_conv_algo_search": "HEURISTIC"}
    )
    assert encode(options) == {
        "device_id": "1",
        "gpu_mem_limit": "8589934592",
        "use_tf32": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
    }


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"enable_cuda_graph": True, "use_ep_level_unified_stream": False}, "implies use_ep_level_unified_stream"),
        ({"tunable_op_tuning_enable": True}, "no effect without tunable_op_enable"),
        ({"tunable_op_max_tuning_duration_ms": 5}, "no effect without tunable_op_tuning_enable"),
        ({"enable_cudnn": False, "fuse_conv_bias": True}, "fuse_conv_bias has no effect with enable_cudnn = false"),
    ],
)
def test_combinations_that_do_nothing_are_refused(mapping: Mapping[str, object], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        parse_options(BACKEND, mapping)


def test_combinations_that_work_are_taken() -> None:
    for mapping in (
        {"enable_cuda_graph": True},
        {"enable_cuda_graph": True, "use_ep_level_unified_stream": True},
        {"tunable_op_enable": True, "tunable_op_tuning_enable": True, "tunable_op_max_tuning_duration_ms": 5},
    ):
        assert len(encode(parse_options(BACKEND, mapping))) == len(mapping)
