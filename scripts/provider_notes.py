"""What docs/providers.md says of each family beside what its code says: for people, so written by hand."""

from dataclasses import dataclass

__all__ = ["NOTES", "Note"]


@dataclass(frozen=True, slots=True)
class Note:
    """One family's prose. Each is a paragraph."""

    install: str
    fails: str
    assignment: str
    proven: str


_PLAIN = "`pip install 'ortolan[cpu]'`"
_ISLANDS = (
    "Few fragments, and nearly all nodes: each node that it lacks cuts the graph, and each cut is a copy. Hold it with "
    "`node_share = 0.95`."
)

NOTES = {
    "cpu": Note(
        f"{_PLAIN}; every other build of ONNX Runtime has it too.",
        "It does not, short of memory. It is what the others fall back to, which is why the contract watches it.",
        "All nodes, or under a GPU only those that compute shapes.",
        "Run on x86-64 with every check.",
    ),
    "cuda": Note(
        "`pip install 'ortolan[gpu]'`: ONNX Runtime for CUDA 13 with cuDNN 9. The driver (580 or newer) is the host's.",
        "A library that is missing, a driver that is too old, no GPU in the container: `ortolan doctor cuda` lists all "
        "of them at once. cuDNN missing is DEGRADED: convolutions then fail.",
        "Nearly all nodes; shape operators stay on the CPU and are not counted.",
        "In CI onnxruntime-gpu with CUDA's real libraries, each missing once, and with drivers made for the test: no "
        "device, too old, good; there ONNX Runtime's own session ends at its first CUDA call. Untested on hardware.",
    ),
    "openvino": Note(
        "`pip install 'ortolan[openvino]'`, or on Intel's processors the plugin, `pip install 'ortolan[cpu]' "
        "onnxruntime-ep-openvino`: beside the newest ONNX Runtime, with one device, and able to load [what it "
        "kept](cache.md).",
        "A device that is not here is refused by name, with those that are. An unsupported model gets no node, and is "
        "refused at `read`. An option that the plugin would ignore is refused at `attach`.",
        "A few large fragments on `openvino`, the rest on `cpu`.",
        "Run on x86-64 CPUs of Intel and AMD, the plugin on Intel's; GPU and NPU untested on hardware.",
    ),
    "tensorrt": Note(
        "`pip install 'ortolan[gpu]' 'tensorrt-cu13==10.*'`. ONNX Runtime is built for TensorRT 10; a bare "
        "`pip install tensorrt` brings 11, which it cannot open.",
        "`libnvinfer.so.10` missing, with a word when only 11 is there; then all of CUDA's ladder, cuDNN included. The "
        "first load builds engines for minutes, which the [cache](cache.md) keeps. Without a profile each new shape "
        "builds again. Not in one chain with `tensorrt_rtx`.",
        "One fragment, or a few, with nearly all nodes; `cuda` as the next rung takes what is left.",
        "Untested on hardware. In CI its ladder runs with onnxruntime-gpu down to the missing `libnvinfer.so.10`, and "
        "with TensorRT 11 alone.",
    ),
    "tensorrt_rtx": Note(
        f"{_PLAIN} and `pip install onnxruntime-ep-nv-tensorrt-rtx-cu13` (or `-cu12`).",
        "The GPU's compute capability must be 8.6, 8.9, or 12.0 and newer: A100 (8.0) and H100 (9.0) are refused by "
        "name. Not in one chain with `tensorrt`.",
        "One fragment, or a few, with nearly all nodes.",
        "Untested on hardware. Its wheel 0.5.0 was looked at down to the missing driver.",
    ),
    "coreml": Note(
        f"{_PLAIN} on macOS: the plain wheel has CoreML there.",
        "Anything but macOS is refused; before macOS 12 there is no MLProgram, and without arm64 no Neural Engine. A "
        "cache without `COREML_CACHE_KEY` in the model's metadata may serve old weights.",
        _ISLANDS,
        "Untested on hardware.",
    ),
    "nnapi": Note(
        "A build of ONNX Runtime for Android with `--use_nnapi`; no wheel has it.",
        "Anything but Android from API level 27 on is refused. ONNX Runtime's Python opens NNAPI without flags: a rung "
        "that sets one is refused at `attach`, instead of running without it.",
        _ISLANDS,
        "Untested on hardware.",
    ),
    "webgpu": Note(
        f"{_PLAIN} and `pip install onnxruntime-ep-webgpu`; or `pip install 'ortolan[server]' onnxruntime-webgpu`, "
        "which has it compiled in.",
        "On Linux it reaches devices through Vulkan: without its loader or a driver it is refused. Where the only "
        "device is one in software, such as llvmpipe or SwiftShader, it is DEGRADED: that is the CPU in disguise, and "
        "slower. The plugin offers itself only where Linux lists a GPU, unless "
        "`ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1` is set. The wheel 1.27.0 records too little for a report to be "
        "`complete`.",
        "Nearly all nodes. Each crossing is a real copy: watch `crossings` in the report.",
        "In CI on SwiftShader, the plugin 0.4.0 and the wheel 1.27.0: numbers, names, copies. Untested on a GPU.",
    ),
    "qnn": Note(
        f"{_PLAIN} and `pip install onnxruntime-qnn`.",
        "It is registered although its backend does not start, and then gets no node: refused at `read`. "
        "`backend_path` cannot be set, since it loads code; choose by `backend_type`.",
        "One fragment with nearly all nodes of a quantised model with static shapes.",
        "Untested on hardware. onnxruntime-qnn 2.7.0 ran on x86-64 with Qualcomm's emulator of the NPU, in CI.",
    ),
    "migraphx": Note(
        "`pip install 'ortolan[server]' onnxruntime-migraphx`, and ROCm 7 with MIGraphX on the machine.",
        "`libmigraphx_c` or `libamdhip64` missing, no `/dev/kfd` in the container. The first load compiles for "
        "minutes, and the [cache](cache.md) spares the next.",
        "One fragment, or a few, with nearly all nodes.",
        "Untested on hardware.",
    ),
    "directml": Note(
        "`pip install 'ortolan[server]' onnxruntime-directml`, on Windows.",
        "Anything but Windows is refused. Memory plans and parallel execution are switched off for its sessions, since "
        "it has neither.",
        "Nearly all nodes; fixed shapes let it fuse them.",
        "Untested on hardware.",
    ),
    "xnnpack": Note(
        "A build of ONNX Runtime with `--use_xnnpack`; no wheel for servers has it.",
        "The wheel does not have it.",
        "Convolutions, pooling and matrix products; the rest on `cpu`, at no cost of copies.",
        "Untested on hardware.",
    ),
    "ggml": Note(
        "`pip install 'ortolan[server]' onnxruntime-ggml`, which brings the plain wheel that it accepts (0.2.0: before "
        "1.31).",
        "Without `partial = true` one operator that it lacks costs it the whole model: no node, refused at `read`.",
        "All nodes, or with `partial = true` a few large fragments.",
        "onnxruntime-ggml 0.2.0 ran on x86-64 CPUs, in CI; Metal and Vulkan untested on hardware.",
    ),
}
