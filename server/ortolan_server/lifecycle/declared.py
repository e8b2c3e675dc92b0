"""Whether a model is what its owner says it is."""

from collections.abc import Sequence

from ortolan_server.errors import LoadFailed
from ortolan_server.repository import DeclaredTensor, ModelToml
from ortolan_server.tensors import Signature, TensorSpec
from ortolan_server.tensors.wording import listed, quoted, shape_text

__all__ = ["require_declared"]


def require_declared(signature: Signature, config: ModelToml) -> None:
    """Raises LoadFailed, which names each tensor, for a model that contradicts its [[input]] or [[output]] tables."""
    faults = [
        *_faults("input", config.input, signature.inputs),
        *_faults("output", config.output, signature.outputs),
    ]
    if faults:
        raise LoadFailed("; ".join(faults))


def _faults(kind: str, declared: Sequence[DeclaredTensor], specs: Sequence[TensorSpec]) -> list[str]:
    found = {spec.name: spec for spec in specs}
    faults = []
    for tensor in declared:
        spec = found.get(tensor.name)
        said = f"{tensor.datatype}{shape_text([None if size == -1 else size for size in tensor.shape])}"
        if spec is None:
            faults.append(f"{kind} {quoted(tensor.name)} is declared, and the model has {listed(map(str, specs))}")
        elif spec.datatype != tensor.datatype or not _agree(tensor.shape, spec.shape):
            faults.append(f"{kind} {spec} is declared as {said}")
    return faults


def _agree(declared: Sequence[int], shape: Sequence[int | str | None] | None) -> bool:
    if shape is None:
        return True
    return len(declared) == len(shape) and all(
        size == -1 or not isinstance(real, int) or size == real for size, real in zip(declared, shape, strict=True)
    )
