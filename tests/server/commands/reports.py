"""Assignments as servers report them: one kept on the second rung, one broken."""

from ortolan.v1 import findings_pb2 as found
from ortolan.v1 import provider_reflection_pb2 as pb

KEPT = pb.Assignment(
    model="resnet",
    version="2",
    state="READY",
    chain=[
        pb.Rung(provider="tensorrt", options={"workspace": "4GiB", "fp16": "true"}),
        pb.Rung(provider="cuda", options={"device_id": "0"}),
        pb.Rung(provider="cpu"),
    ],
    contract=pb.Contract(
        providers=["tensorrt", "cuda"], node_share=0.95, forbid_on_cpu=["Conv", "MatMul"], otherwise="degrade"
    ),
    attempts=[
        pb.Attempt(
            rung=1,
            provider="tensorrt",
            outcome=pb.Attempt.REFUSED,
            stage="probe",
            reason="libnvinfer.so.10: cannot open shared object file (pip install 'tensorrt-cu13<11')",
            seconds=0.04,
            log=[f"line {number} of ONNX Runtime" for number in range(7)],
        ),
        pb.Attempt(
            rung=2,
            provider="cuda",
            outcome=pb.Attempt.OPENED,
            seconds=1.24,
            numeric=found.NumericCheck(
                outputs=[found.NumericDifference(output="y", max_abs=2e-6, cosine=1)], samples=3
            ),
        ),
        pb.Attempt(rung=3, provider="cpu", outcome=pb.Attempt.NOT_NEEDED),
    ],
    serving_rung=2,
    serving_provider="cuda",
    shares=[
        pb.ProviderShare(
            provider="cuda",
            nodes=122,
            node_share=0.983,
            parameter_share=1,
            fragments=2,
            operators={"Relu": 49, "Conv": 53, "Add": 16},
            effective_options={"gpu_mem_limit": "8589934592", "device_id": "0"},
        ),
        pb.ProviderShare(
            provider="cpu",
            nodes=5,
            node_share=0.017,
            parameter_share=-1,
            fragments=1,
            operators={"Shape": 3, "NonMaxSuppression": 2},
            node_list=[
                pb.Node(name="nms_0", op_type="NonMaxSuppression"),
                pb.Node(op_type="NonMaxSuppression"),
                pb.Node(name="shape_0", op_type="Shape", shape_only=True),
            ],
        ),
    ],
    crossings=1,
    placements=[
        pb.Placement(tensor="x", direction="input", memory="Cpu"),
        pb.Placement(tensor="y", direction="output", memory="CudaPinned"),
    ],
    method="assignment recorded by ONNX Runtime at partitioning",
    complete=True,
    verdict=pb.Verdict(state=pb.Verdict.KEPT, warnings=["heavy operators left to cpu: 2 NonMaxSuppression"]),
    load_seconds=1.9,
)
BROKEN = pb.Assignment(
    model="ocr",
    version="1",
    state="FAILED",
    chain=[pb.Rung(provider="cuda"), pb.Rung(provider="cpu")],
    contract=pb.Contract(providers=["cuda"], node_share=0.5, otherwise="fail", implied=True),
    attempts=[
        pb.Attempt(
            rung=1, provider="cuda", outcome=pb.Attempt.REFUSED, stage="probe", reason="libcublasLt.so.13 is missing"
        ),
        pb.Attempt(
            rung=2,
            provider="cpu",
            outcome=pb.Attempt.REFUSED,
            stage="contract",
            reason="it would run on cpu, and the contract wants cuda",
        ),
    ],
    crossings=-1,
    verdict=pb.Verdict(
        state=pb.Verdict.BROKEN, reasons=["rung 1 (cuda) refused at probe: libcublasLt.so.13 is missing", "a way out"]
    ),
)
READY_SUMMARY = pb.AssignmentSummary(
    model="resnet",
    version="2",
    state="READY",
    verdict=pb.Verdict.KEPT,
    chain="tensorrt, cuda, cpu",
    serving_provider="cuda",
    serving_rung=2,
    nodes={"cpu": 5, "cuda": 122},
    node_share=0.983,
)
DEGRADED_SUMMARY = pb.AssignmentSummary(
    model="vad",
    version="1",
    state="DEGRADED",
    verdict=pb.Verdict.DEGRADED,
    chain="cuda, cpu",
    serving_provider="cpu",
    serving_rung=2,
    nodes={"cpu": 9},
    node_share=1.0,
    reason="it would run on cpu, and the contract wants cuda",
)
BROKEN_SUMMARY = pb.AssignmentSummary(
    model="ocr",
    version="1",
    state="FAILED",
    verdict=pb.Verdict.BROKEN,
    chain="cuda, cpu",
    reason="rung 1 (cuda): libcublasLt.so.13 is missing",
)
FAILED_SUMMARY = pb.AssignmentSummary(model="torn", version="1", state="FAILED", reason="the file is cut off")
