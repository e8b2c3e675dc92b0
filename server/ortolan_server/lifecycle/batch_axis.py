"""Whether the inferences of a model can be joined into one run, and why not."""

from collections.abc import Iterable

from ortolan_server.errors import LoadFailed
from ortolan_server.tensors import Signature, TensorSpec

__all__ = ["require_batch_axis"]


def require_batch_axis(signature: Signature) -> None:
    """Raises LoadFailed for a model with [batching] whose tensors have no first dimension to be joined along."""
    if not signature.has_batch_axis:
        raise LoadFailed(
            f"[batching] cannot join inferences of this model: {_fault(signature)}; leave [batching] out of its "
            "model.toml, or export the model with a first dimension that may vary"
        )


def _fault(signature: Signature) -> str:
    if not signature.inputs:
        return "it has no input"
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for spec in specs:
            if fault := _first_dimension_fault(spec):
                return f"{kind} {spec} {fault}"
    symbols = sorted(_first_symbols(signature.inputs))
    if len(symbols) > 1:
        return f"the first dimensions of its inputs differ: {', '.join(symbols)}"
    return f"{symbols[0]!r} is the first dimension of its inputs, and another one too"


def _first_dimension_fault(spec: TensorSpec) -> str:
    if spec.shape is None:
        return "may have any rank"
    if not spec.shape:
        return "is a scalar"
    return "has a first dimension that is fixed" if isinstance(spec.shape[0], int) else ""


def _first_symbols(specs: Iterable[TensorSpec]) -> set[str]:
    return {spec.shape[0] for spec in specs if spec.shape and isinstance(spec.shape[0], str)}
