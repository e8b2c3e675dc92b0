"""The first run of a session, made before a caller waits for it."""

from math import prod

import numpy as np
import structlog

from ortolan_backends.errors import DeviceFailure, RunFailed
from ortolan_backends.runtime.session import RunHandle, Session
from ortolan_server.tensors import DATATYPES, Signature, TensorSpec

__all__ = ["warm_up"]

log = structlog.get_logger()

_MAX_BYTES = 2**31 - 1  # Larger inputs cannot come over gRPC either.


def warm_up(session: Session, signature: Signature, model: str) -> None:
    """Runs the model once on zeros, with 1 for every dimension that may vary.

    Not every model can take such an input: then it serves cold. Raises DeviceFailure.
    """
    if any(spec.shape is None for spec in signature.inputs) or sum(map(_size_bytes, signature.inputs)) > _MAX_BYTES:
        return
    feeds = {spec.name: _zeros(spec) for spec in signature.inputs}
    try:
        session.run(feeds, [spec.name for spec in signature.outputs], RunHandle())
    except DeviceFailure:
        raise
    except RunFailed as error:
        log.debug("warm_up_refused", model=model, reason=str(error))


def _shape(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else 1 for size in spec.shape or ())


def _size_bytes(spec: TensorSpec) -> int:
    return prod(_shape(spec)) * DATATYPES[spec.datatype].dtype.itemsize


def _zeros(spec: TensorSpec) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    shape = _shape(spec)
    if spec.datatype == "BYTES":
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, DATATYPES[spec.datatype].dtype)
