"""CUDA: NVIDIA GPUs."""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from ortolan_backends.contract import Backend, Probe
from ortolan_backends.cuda_probe import probe_cuda
from ortolan_backends.options import ProviderOptions, Size, encode, option
from ortolan_backends.runtime.preload import preload_cuda

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "CudaBackend", "CudaOptions"]

_PROVIDER = "CUDAExecutionProvider"
# The kernels of attention as a sum of bits; the highest one is 256.
_MAX_SDPA_KERNEL = 511
_CUDNN_OPTIONS = (
    "cudnn_conv_algo_search",
    "cudnn_conv_use_max_workspace",
    "cudnn_conv1d_pad_to_nc1d",
    "fuse_conv_bias",
)


class CudaOptions(ProviderOptions):
    """The options of CUDAExecutionProvider; its defaults were read off its parser."""

    device_id: int = option(0, key="device_id", ge=0, le=255, doc="The GPU, as CUDA numbers them for this process.")
    memory_limit: Size | None = option(
        None,
        key="gpu_mem_limit",
        unit="bytes",
        doc="The most GPU memory that the session's arena takes; CUDA's own libraries come on top. Without it there is "
        "no limit.",
    )
    arena_extend_strategy: Literal["kNextPowerOfTwo", "kSameAsRequested"] = option(
        "kNextPowerOfTwo",
        key="arena_extend_strategy",
        doc="How the arena grows: in doubling steps, or by just what is asked for, which wastes less and allocates "
        "more often.",
    )
    cudnn_conv_algo_search: Literal["EXHAUSTIVE", "HEURISTIC", "DEFAULT"] = option(
        "EXHAUSTIVE",
        key="cudnn_conv_algo_search",
        doc="How the algorithm of a convolution is chosen: by trying all of them at each new shape, by a rule, or not "
        "at all.",
    )
    cudnn_conv_use_max_workspace: bool = option(
        True,
        key="cudnn_conv_use_max_workspace",
        doc="Lets convolutions take as much scratch memory as the fastest algorithm wants.",
    )
    cudnn_conv1d_pad_to_nc1d: bool = option(
        False,
        key="cudnn_conv1d_pad_to_nc1d",
        doc="Pads the input of a one-dimensional convolution to [N, C, 1, D] instead of [N, C, D, 1].",
    )
    do_copy_in_default_stream: bool = option(
        True,
        key="do_copy_in_default_stream",
        doc="Copies in the stream that computes; false copies in a stream of its own, with a risk of races.",
    )
    enable_cuda_graph: bool = option(
        False,
        key="enable_cuda_graph",
        doc="Captures the whole run as one CUDA graph and replays it: needs fixed shapes, no node on another provider, "
        "and one run at a time.",
    )
    use_tf32: bool = option(
        True,
        key="use_tf32",
        doc="Multiplies FP32 matrices with TF32 on GPUs that have it: faster, with 10 bits of mantissa.",
    )
    prefer_nhwc: bool = option(
        False,
        key="prefer_nhwc",
        doc="Runs convolutions in the layout NHWC, which suits tensor cores.",
    )
    fuse_conv_bias: bool = option(
        False,
        key="fuse_conv_bias",
        doc="Fuses the bias into the convolution by compiling a kernel for it at load.",
    )
    sdpa_kernel: int = option(
        0,
        key="sdpa_kernel",
        ge=0,
        le=_MAX_SDPA_KERNEL,
        doc="Which kernels attention may take, as a sum of their bits; 0 leaves the choice to ONNX Runtime.",
    )
    use_ep_level_unified_stream: bool = option(
        False,
        key="use_ep_level_unified_stream",
        doc="Uses one CUDA stream for all threads of the session; CUDA graphs imply it.",
    )
    enable_skip_layer_norm_strict_mode: bool = option(
        False,
        key="enable_skip_layer_norm_strict_mode",
        doc="Computes SkipLayerNormalization in full precision: slower, more accurate.",
    )
    tunable_op_enable: bool = option(
        False,
        key="tunable_op_enable",
        doc="Takes the kernels that an earlier tuning found best.",
    )
    tunable_op_tuning_enable: bool = option(
        False,
        key="tunable_op_tuning_enable",
        doc="Tunes kernels while serving: the first runs of each shape are slow. Needs tunable_op_enable.",
    )
    tunable_op_max_tuning_duration_ms: int = option(
        0,
        key="tunable_op_max_tuning_duration_ms",
        unit="ms",
        ge=0,
        le=(1 << 31) - 1,
        doc="The most time that one kernel's tuning may take; 0 is no limit. Needs tunable_op_tuning_enable.",
    )
    enable_cudnn: bool = option(
        True,
        key="enable_cudnn",
        doc="Uses cuDNN; without it operators that need it, such as most convolutions, do not run on CUDA.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """ONNX Runtime takes these combinations without a word, and some of the options then do nothing."""
        two_streams = "use_ep_level_unified_stream" in self.model_fields_set and not self.use_ep_level_unified_stream
        if self.enable_cuda_graph and two_streams:
            raise ValueError("enable_cuda_graph implies use_ep_level_unified_stream, so that cannot be false")
        if self.tunable_op_tuning_enable and not self.tunable_op_enable:
            raise ValueError("tunable_op_tuning_enable has no effect without tunable_op_enable = true")
        if self.tunable_op_max_tuning_duration_ms and not self.tunable_op_tuning_enable:
            raise ValueError("tunable_op_max_tuning_duration_ms has no effect without tunable_op_tuning_enable = true")
        useless = [name for name in _CUDNN_OPTIONS if name in self.model_fields_set]
        if not self.enable_cudnn and useless:
            raise ValueError(f"{useless[0]} has no effect with enable_cudnn = false")
        return self


class CudaBackend:
    """ONNX Runtime's CUDA kernels."""

    name: str = "cuda"
    provider: str = _PROVIDER
    summary: str = "Runs most operators on an NVIDIA GPU, without a build step; mind the versions of CUDA and cuDNN."
    compiles: bool = False
    options: type[ProviderOptions] = CudaOptions

    def probe(self) -> Probe:
        return probe_cuda(_PROVIDER)

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        preload_cuda()
        session_options.add_provider(_PROVIDER, encode(options))


BACKEND: Backend = CudaBackend()
