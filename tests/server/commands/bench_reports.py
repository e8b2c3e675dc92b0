"""Benches made by hand: one with a row of every kind, and parts of it."""

from typing import Any

from ortolan_server.bench.report import (
    BatchFigures,
    BenchReport,
    Host,
    Plan,
    Recommendation,
    Row,
    RowAssignment,
    RowState,
    Tensor,
)
from ortolan_server.tensors.difference import Difference

__all__ = ["CRASHED", "DEGRADED", "FASTER", "REFERENCE", "REFUSED", "REPORT", "WRONG", "figures", "report", "row"]

HOST = Host(
    name="demo",
    system="Linux 6.1 x86_64",
    cpu="AMD EPYC 7B13",
    cores=2,
    memory_bytes=8 << 30,
    ortolan_version="0.1.0",
    runtime="onnxruntime-openvino 1.24.1",
)


def figures(batch_size: int, rows_per_s: float) -> BatchFigures:
    """Of runs that all took what the rate says, p99 twice that; rounds 5 percent apart."""
    run_s = batch_size / rows_per_s
    return BatchFigures(
        batch_size=batch_size,
        runs=1000,
        p50_s=run_s,
        p99_s=2 * run_s,
        rows_per_s=rows_per_s,
        rows_per_s_low=0.95 * rows_per_s,
        rows_per_s_high=1.05 * rows_per_s,
        cpu_s_per_row=2 / rows_per_s,
    )


def row(*chain: str, rates: tuple[float, ...] = (), **changes: Any) -> Row:
    """A measured row with these rows a second at the batch sizes 1, 8, 32."""
    measured = {
        "chain": chain,
        "options": ({},) * len(chain),
        "state": RowState.MEASURED,
        "reason": "",
        "mend": "",
        "serving_provider": chain[0],
        "verdict": "KEPT",
        "verdict_reasons": (),
        "assignment": RowAssignment(nodes={chain[0]: 94}, node_share=1.0, fragments=1, crossings=0),
        "hardware": "cpu",
        "threads": 2,
        "load_s": 0.0412,
        "first_run_s": 0.00312,
        "peak_memory_bytes": 152 << 20,
        "load_memory_bytes": 21 << 20,
        "batches": tuple(figures(size, rate) for size, rate in zip((1, 8, 32), rates, strict=False)),
        "differences": (),
    }
    return Row.model_validate({**measured, **changes})


def _failed(*chain: str, state: RowState, reason: str, mend: str = "") -> Row:
    nothing: dict[str, Any] = dict.fromkeys(
        ("assignment", "load_s", "first_run_s", "peak_memory_bytes", "load_memory_bytes")
    )
    told: dict[str, Any] = {
        "state": state,
        "reason": reason,
        "mend": mend,
        "serving_provider": "",
        "verdict": "",
        "hardware": "",
        "threads": None,
    }
    return row(*chain, **nothing, **told)


def _difference(max_abs: float, *, within_tolerance: bool) -> Difference:
    return Difference(
        output="label",
        max_abs=max_abs,
        max_rel=0.0123,
        cosine=0.998,
        top1_agreement=0.96875,
        equal=False,
        within_tolerance=within_tolerance,
    )


REFERENCE = row("cpu", rates=(310.2, 702.4, 880.1))
FASTER = row(
    "openvino",
    "cpu",
    rates=(512.0, 1002.6, 1320.4),
    assignment=RowAssignment(nodes={"openvino": 92, "cpu": 2}, node_share=0.979, fragments=3, crossings=4),
    options=({"device_type": "CPU", "precision": "FP32"}, {}),
    load_s=1.2149,
    peak_memory_bytes=1402 << 20,
    differences=(_difference(4.1e-7, within_tolerance=True),),
)
WRONG = row("xnnpack", "cpu", rates=(280.0, 610.0, 799.0), differences=(_difference(0.0234, within_tolerance=False),))
DEGRADED = row(
    "webgpu",
    "cpu",
    rates=(309.0, 701.0, 881.0),
    serving_provider="cpu",
    verdict="DEGRADED",
    verdict_reasons=("it would run on cpu, and the contract wants webgpu",),
)
REFUSED = _failed(
    "cuda",
    "cpu",
    state=RowState.REFUSED,
    reason="libcublasLt.so.13 is missing; libcublas.so.13 is missing; libcuda.so.1 is missing",
    mend="pip install 'ortolan[gpu]' for all of them; libcuda.so.1 comes with NVIDIA's driver",
)
CRASHED = _failed(
    "ggml", "cpu", state=RowState.CRASHED, reason="its process was killed by SIGSEGV while it ran batch 8"
)


def report(*rows: Row, batch_sizes: tuple[int, ...] = (1, 8, 32), advice: Recommendation | None = None) -> BenchReport:
    return BenchReport(
        model="magika",
        version=1,
        model_sha256="0" * 64,
        started_at="2026-11-22T15:00:00+00:00",
        host=HOST,
        plan=Plan(
            inputs=(Tensor(name="bytes", datatype="INT32", shape=(1, 2048), source="random"),),
            batch_sizes=batch_sizes,
            batch_axis=True,
            rounds=5,
            seconds=1.0,
            seed=0,
        ),
        rows=rows,
        recommendation=advice,
    )


REPORT = report(
    REFERENCE,
    FASTER,
    WRONG,
    DEGRADED,
    REFUSED,
    CRASHED,
    advice=Recommendation(
        chain=("openvino", "cpu"),
        sentence="openvino,cpu does 1.50 times the rows of cpu at batch 32, on the same hardware.",
        findings={
            "webgpu,cpu": ("it ran on cpu", "no faster than cpu: 1.00 times"),
            "xnnpack,cpu": (),
            "cuda,cpu": (f"refused: {REFUSED.reason}",),
            "openvino,cpu": (),
            "ggml,cpu": (f"crashed: {CRASHED.reason}",),
        },
    ),
)
