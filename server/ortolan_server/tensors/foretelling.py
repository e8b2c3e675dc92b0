"""Shapes of outputs before the run, as far as a model's declared shapes tell."""

from collections.abc import Iterable, Sequence

from ortolan_server.tensors.plans import TensorHeader
from ortolan_server.tensors.signature import Signature, TensorSpec

__all__ = ["foretell"]


def foretell(
    signature: Signature, headers: Iterable[TensorHeader], outputs: Sequence[str]
) -> list[tuple[int, ...]] | None:
    """The shapes that `outputs` will have for inputs that the signature has passed; None: of one it cannot be told.

    A symbol stands for the size that it has in the inputs. Models may declare what is not so: whoever relies on this
    has to bear another shape.
    """
    declared = {spec.name: spec.shape for spec in signature.inputs}
    sizes = {
        want: size
        for header in headers
        for want, size in zip(declared[header.name] or (), header.shape, strict=False)
        if isinstance(want, str)
    }
    shapes = [_shape(signature.output(name), sizes) for name in outputs]
    return None if None in shapes else [shape for shape in shapes if shape is not None]


def _shape(spec: TensorSpec, sizes: dict[str, int]) -> tuple[int, ...] | None:
    if spec.shape is None:
        return None
    shape = [sizes.get(size) if isinstance(size, str) else size for size in spec.shape]
    return None if None in shape else tuple(size for size in shape if size is not None)
