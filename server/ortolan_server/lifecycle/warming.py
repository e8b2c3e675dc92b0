"""The first runs of a session, made before a caller waits for them."""

import math
import time
from collections.abc import Sequence

import structlog

from ortolan_backends.errors import DeviceFailure, OutOfMemory, RunFailed
from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_backends.runtime.session import Session
from ortolan_server.errors import LoadFailed
from ortolan_server.lifecycle.first_runs import first_run
from ortolan_server.lifecycle.samples import Sample
from ortolan_server.tensors import Signature

__all__ = ["warm_up"]

log = structlog.get_logger()


def warm_up(  # noqa: PLR0913 - all that its runs need
    session: Session,
    signature: Signature,
    samples: Sequence[Sample],
    model: str,
    handle: LoadHandle,
    limit_s: float = math.inf,
) -> None:
    """Runs the model on its samples, each at its batch sizes from the smallest, as often as it says.

    Raises LoadFailed for a sample that does not fit the model or that the model refuses; where nobody wrote it, the
    model serves cold instead. Raises DeviceFailure, also for a run that hangs for `limit_s`, OutOfMemory, which
    names sample and rows, and LoadCancelled.
    """
    start_s = time.monotonic()
    runs = 0
    for sample in samples:
        try:
            runs += _run_all(session, signature, sample, handle, limit_s)
        except LoadFailed as error:
            if sample.declared:
                raise
            log.debug("warm_up_refused", model=model, reason=str(error))
    say = log.info if any(sample.declared for sample in samples) else log.debug
    say("model_warmed", model=model, runs=runs, seconds=round(time.monotonic() - start_s, 3))


def _run_all(session: Session, signature: Signature, sample: Sample, handle: LoadHandle, limit_s: float) -> int:
    """Returns how many runs it were."""
    runs = 0
    outputs = [spec.name for spec in signature.outputs]
    for batch in sample.batches(signature):
        try:
            for _ in range(sample.runs):
                first_run(session, batch.feeds, outputs, handle, limit_s)
                runs += 1
        except DeviceFailure:
            raise
        except OutOfMemory as error:
            raise OutOfMemory(f"{sample.label}{batch}: {error}") from error
        except RunFailed as error:
            raise LoadFailed(f"{sample.label}{batch}: the model refuses it: {error}") from error
    return runs
