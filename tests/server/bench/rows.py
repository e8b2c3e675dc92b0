"""Rows of a bench as they could be."""

from typing import Any

from ortolan_server.bench.report import BatchFigures, Row, RowAssignment, RowState
from ortolan_server.tensors.difference import Difference

__all__ = ["apart", "figures", "row", "without_figures"]

_ON_THE_CPU = ("cpu", "ggml", "openvino", "xnnpack")  # whose checks find a CPU on a server without an accelerator


def figures(batch_size: int = 1, **changed: Any) -> BatchFigures:
    """1,000 rows a second in runs of 1 ms, on one core."""
    values: dict[str, Any] = {
        "batch_size": batch_size,
        "runs": 1000,
        "p50_s": 0.001 * batch_size,
        "p99_s": 0.010 * batch_size,
        "rows_per_s": 1000.0,
        "cpu_s_per_row": 0.001,
    }
    values |= changed
    values.setdefault("rows_per_s_low", 0.95 * values["rows_per_s"])
    values.setdefault("rows_per_s_high", 1.05 * values["rows_per_s"])
    return BatchFigures(**values)


def apart(max_abs: float = 0.5) -> Difference:
    return Difference(
        output="y", max_abs=max_abs, max_rel=1.0, cosine=0.9, top1_agreement=0.5, equal=False, within_tolerance=False
    )


def row(chain: str = "cpu", *batches: BatchFigures, **changed: Any) -> Row:
    """A measured one that keeps its contract."""
    names = tuple(chain.split(","))
    values: dict[str, Any] = {
        "chain": names,
        "options": tuple({} for _ in names),
        "state": RowState.MEASURED,
        "reason": "",
        "mend": "",
        "serving_provider": names[0],
        "verdict": "KEPT",
        "verdict_reasons": (),
        "assignment": RowAssignment(nodes={names[0]: 3}, node_share=1.0, fragments=1, crossings=0),
        "hardware": "cpu" if names[0] in _ON_THE_CPU else "accelerator",
        "load_s": 0.1,
        "first_run_s": 0.01,
        "peak_memory_bytes": 100_000_000,
        "load_memory_bytes": 10_000_000,
        "batches": batches or (figures(),),
        "differences": (),
    }
    return Row(**(values | changed))


def without_figures(chain: str, state: RowState, reason: str) -> Row:
    return row(
        chain,
        state=state,
        reason=reason,
        serving_provider="",
        verdict="",
        assignment=None,
        hardware="",
        load_s=None,
        first_run_s=None,
        peak_memory_bytes=None,
        load_memory_bytes=None,
    ).model_copy(update={"batches": ()})
