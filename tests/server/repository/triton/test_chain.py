"""Where a model of Triton's runs: instance groups, accelerators, parameters of ONNX Runtime."""

from collections.abc import Mapping

import pytest

from ortolan_backends.catalog import Catalog
from ortolan_server.repository import Require
from ortolan_server.repository.rungs import check_chain
from ortolan_server.repository.triton import Outcome
from tests.server.repository.triton.translating import ON_CPU, noted, refusal, translated


def accelerators(gpu: str = "", cpu: str = "") -> str:
    return f"""optimization {{ execution_accelerators {{
        gpu_execution_accelerator: [ {gpu} ] cpu_execution_accelerator: [ {cpu} ]
    }} }} """


def accelerator(name: str, **parameters: str) -> str:
    given = " ".join(f'parameters {{ key: "{key}" value: "{value}" }}' for key, value in parameters.items())
    return f'{{ name: "{name}" {given} }}'


TENSORRT, CUDA, OPENVINO = accelerator("tensorrt"), accelerator("cuda"), accelerator("openvino")


def parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }} '


def chain(text: str) -> list[str]:
    """The providers, after all options were checked against the schemas of the backends."""
    config = translated(text).config
    return [backend.name for backend, _ in check_chain(config, Catalog.from_entry_points(), "config.pbtxt")]


def options(text: str, provider: str) -> Mapping[str, object]:
    (rung,) = [rung for rung in translated(text).config.chain if rung.provider == provider]
    return rung.options


@pytest.mark.parametrize(
    ("text", "providers", "require"),
    [
        ("", ["cuda", "cpu"], Require(provider=("cuda", "cpu"))),
        ("instance_group {}", ["cuda", "cpu"], Require(provider=("cuda", "cpu"))),
        (accelerators(cpu=OPENVINO), ["cuda", "openvino", "cpu"], Require(provider=("cuda", "openvino"))),
        ("instance_group { kind: KIND_GPU }", ["cuda", "cpu"], None),
        (ON_CPU, ["cpu"], None),
        ("instance_group { kind: KIND_MODEL }", ["cpu"], None),
        (ON_CPU + accelerators(cpu=OPENVINO), ["openvino", "cpu"], None),
        ("instance_group { kind: KIND_GPU }" + accelerators(cpu=OPENVINO), ["cuda", "openvino", "cpu"], None),
        (accelerators(TENSORRT), ["tensorrt", "cuda", "cpu"], None),
        (accelerators(CUDA), ["cuda", "cpu"], None),
        (accelerators(f"{CUDA}, {TENSORRT}"), ["tensorrt", "cuda", "cpu"], None),  # CUDA last, as in Triton
    ],
)
def test_chains(text: str, providers: list[str], require: Require | None) -> None:
    assert chain(text) == providers
    assert translated(text).config.require == require


def test_a_gpu_is_not_given_up_silently() -> None:
    """Without [require] rung 1 serves or nothing does: what was asked to be on a GPU is not served by the CPU."""
    for text in ("instance_group { kind: KIND_GPU }", accelerators(TENSORRT), accelerators(CUDA)):
        assert translated(text).config.require is None


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            accelerators(accelerator("warp_drive")),
            [
                (
                    "optimization.execution_accelerators.gpu_execution_accelerator[1].name: no accelerator "
                    "'warp_drive' is known here; known: tensorrt, cuda"
                ),
            ],
        ),
        (
            accelerators(cpu=TENSORRT),
            [
                (
                    "optimization.execution_accelerators.cpu_execution_accelerator[1].name: no accelerator 'tensorrt' "
                    "is known here; known: openvino"
                ),
            ],
        ),
        (
            accelerators(f"{TENSORRT}, {TENSORRT}"),
            [
                (
                    "optimization.execution_accelerators.gpu_execution_accelerator[2].name: tensorrt is named twice; a "
                    "session takes each provider once"
                ),
            ],
        ),
        (
            ON_CPU + accelerators(TENSORRT),
            [
                (
                    "optimization.execution_accelerators.gpu_execution_accelerator[1]: tensorrt is for a GPU, and "
                    "instance_group is on the CPU, where Triton leaves it out without a word; take one of the two out"
                ),
            ],
        ),
        ("instance_group { count: -1 }", ["instance_group[1].count: must be at least 1, not -1"]),
        ("instance_group { count: 2000 }", ["limits.concurrency: must be less than or equal to 1024, not 2000"]),
        (
            accelerators(accelerator("tensorrt", precision_mode="FP4", trt_engine_cache_enable="perhaps")),
            [
                (
                    'optimization.execution_accelerators.gpu_execution_accelerator[1].parameters["precision_mode"]: '
                    "must be FP32, FP16, INT8, not 'FP4'"
                ),
                (
                    "optimization.execution_accelerators.gpu_execution_accelerator[1].parameters"
                    '["trt_engine_cache_enable"]: must be "1", "0", "true" or "false", not "perhaps"'
                ),
            ],
        ),
        (parameter("execution_mode", "2"), ['parameters["execution_mode"]: must be "0" or "1", not "2"']),
        (
            parameter("intra_op_thread_count", "x"),
            ['parameters["intra_op_thread_count"]: must be a whole number, not "x"'],
        ),
        ("optimization { graph { level: 3 } }", ["optimization.graph.level: must be one of -1, 0, 1, 2, not 3"]),
    ],
)
def test_what_is_refused(text: str, lines: list[str]) -> None:
    assert refusal(text) == lines


def test_instances() -> None:
    text = """
        instance_group [
          { count: 2 kind: KIND_GPU gpus: [ 1, 3 ] }, { count: 1 kind: KIND_GPU gpus: 1 host_policy: "h" },
          { kind: KIND_CPU }, { kind: KIND_GPU passive: true gpus: 0 }
        ]
    """
    assert translated(text).config.limits.concurrency == 3
    assert options(text, "cuda") == {"device_id": 1}
    assert noted(text, Outcome.NOT_HONOURED) == {
        "instance_group[1].gpus": "one session on GPU 1; without 3",
        "instance_group[2].host_policy": "nothing here does this",
        "instance_group[3]": "no instances on the CPU are made beside those on a GPU",
        "instance_group[4]": "a passive group takes no requests, and none is made",
    }
    assert noted(text, Outcome.HONOURED)["instance_group[2].gpus"] == "device_id = 1"


def test_options_of_tensorrt() -> None:
    text = accelerators(
        accelerator(
            "tensorrt",
            precision_mode="FP16",
            max_workspace_size_bytes="1073741824",
            trt_engine_cache_enable="1",
            trt_engine_cache_path="/engines",
            trt_profile_min_shapes="x:1x3",
            trt_profile_opt_shapes="x:2x3",
            trt_profile_max_shapes="x:4x3",
            trt_timing_cache_path="/times",
            trt_dla_enable="true",
            trt_extra_plugin_lib_paths="/plugin.so",
            device_id="7",
        )
    )
    assert chain(text) == ["tensorrt", "cuda", "cpu"]
    assert options(text, "tensorrt") == {
        "fp16": True,
        "workspace": 1 << 30,
        "engine_cache": True,
        "engine_cache_path": "/engines",
        "profile_min_shapes": {"x": [1, 3]},
        "profile_opt_shapes": {"x": [2, 3]},
        "profile_max_shapes": {"x": [4, 3]},
        "device_id": 0,
    }
    prefix = "optimization.execution_accelerators.gpu_execution_accelerator[1].parameters"
    assert noted(text, Outcome.NOT_HONOURED) == {
        f'{prefix}["device_id"]': "instance_group says which GPU",
        f'{prefix}["trt_dla_enable"]': "the provider tensorrt has no such option",
        f'{prefix}["trt_extra_plugin_lib_paths"]': "cannot be set, since it loads code",
        f'{prefix}["trt_timing_cache_path"]': "does nothing without timing_cache = true of the rung tensorrt",
    }


def test_options_of_cuda_from_both_places() -> None:
    text = (
        accelerators(accelerator("cuda", use_ep_level_unified_stream="1", cudnn_conv_use_max_workspace="0"))
        + parameter("cudnn_conv_algo_search", "1")
        + parameter("arena_extend_strategy", "1")
        + parameter("do_copy_in_default_stream", "0")
        + parameter("gpu_mem_limit", "4294967200")
    )
    assert chain(text) == ["cuda", "cpu"]
    assert options(text, "cuda") == {
        "use_ep_level_unified_stream": True,
        "cudnn_conv_use_max_workspace": False,
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "do_copy_in_default_stream": False,
        "memory_limit": 4294967200,
        "device_id": 0,
    }
    assert not noted(text, Outcome.NOT_HONOURED)


def test_no_limit_of_memory_is_the_default() -> None:
    text = "instance_group { kind: KIND_GPU }" + parameter("gpu_mem_limit", str(2**64 - 1))
    assert options(text, "cuda") == {"device_id": 0}
    assert noted(text, Outcome.HONOURED)['parameters["gpu_mem_limit"]'] == "no limit is the default"


def test_options_of_the_session() -> None:
    text = ON_CPU + "".join(
        parameter(key, value)
        for key, value in {
            "intra_op_thread_count": "2",
            "inter_op_thread_count": "3",
            "execution_mode": "1",
            "enable_mem_arena": "0",
            "enable_mem_pattern": "false",
            "session.disable_prepacking": "1",
            "session.intra_op.allow_spinning": "1",
        }.items()
    )
    assert options(text + "optimization { graph { level: -1 } }", "cpu") == {
        "threads": 2,
        "inter_op_threads": 3,
        "execution_mode": "parallel",
        "arena": False,
        "memory_pattern": False,
        "prepacking": False,
        "spinning": True,
        "optimization_level": "basic",
    }
    assert chain(text) == ["cpu"]


def test_parameters_that_do_nothing() -> None:
    text = (
        ON_CPU
        + parameter("inter_op_thread_count", "3")
        + parameter("gpu_mem_limit", "100")
        + parameter("memory.enable_memory_arena_shrinkage", "cpu:0")
        + parameter("tokenizer_dir", "/x")
    )
    assert noted(text, Outcome.NOT_HONOURED) == {
        'parameters["inter_op_thread_count"]': 'does nothing without execution_mode "1", in Triton neither',
        'parameters["gpu_mem_limit"]': "nothing here does this",
        'parameters["memory.enable_memory_arena_shrinkage"]': "nothing here does this",
        'parameters["tokenizer_dir"]': "nothing here does this",
    }
