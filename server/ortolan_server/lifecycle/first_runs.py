"""The first runs of a session: a device may hang at them too, and whoever loads must not hang with it."""

import math
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from ortolan_backends.errors import RunCancelled, RunFailed, RunHung
from ortolan_backends.runtime.assignment import Assignment
from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_backends.runtime.session import RunHandle, Session
from ortolan_server.chains.contract import runs_on_cpu
from ortolan_server.engine.call import Array
from ortolan_server.repository import Failover
from ortolan_server.tensors.feeds import Arrays

__all__ = ["first_run", "limit_s"]

# Some providers compile at the first run of a shape.
_TIMES_AS_LONG = 10.0
# How long a run may go on after it was told to stop: it does so between two nodes.
_GRACE_S = 1.0
_LOOK_S = 0.05


def limit_s(assignment: Assignment | None, failover: Failover) -> float:
    """How long such a run may take; `math.inf` on the CPU, where runs end."""
    return math.inf if runs_on_cpu(assignment) else _TIMES_AS_LONG * failover.hang_after_s


def first_run(
    session: Session, feeds: Arrays, outputs: Sequence[str], handle: LoadHandle, limit_s: float = math.inf
) -> list[Array]:
    """As `Session.run()`; RunHung for one that does not end in time, nor when the load is cancelled.

    Its thread is left behind then, with the session. Raises LoadCancelled.
    """
    run = RunHandle()
    with handle.stopped_by(run.terminate):
        if limit_s == math.inf:
            return session.run(feeds, outputs, run)
        ended = SimpleQueue[list[Array] | Exception]()

        def aside() -> None:
            try:
                ended.put(session.run(feeds, outputs, run))
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                ended.put(error)

        thread = threading.Thread(target=aside, name="first-run", daemon=True)
        thread.start()
        return _wait(ended, thread, run, handle, limit_s)


def _wait(
    ended: "SimpleQueue[list[Array] | Exception]",
    thread: threading.Thread,
    run: RunHandle,
    handle: LoadHandle,
    limit_s: float,
) -> list[Array]:
    began_s = time.monotonic()
    told_s = math.inf
    while True:
        try:
            end = ended.get(timeout=_LOOK_S)
        except Empty:
            now_s = time.monotonic()
            if told_s == math.inf and (handle.cancelled or now_s - began_s >= limit_s):
                told_s = now_s
                run.terminate()
            if now_s - told_s >= _GRACE_S:
                text = f"a first run has not ended in {now_s - began_s:.1f} s, although it was told to stop"
                raise RunHung(text) from None
            continue
        thread.join()  # until it ends it has the session, whose room the next rung may need
        if not isinstance(end, Exception):
            return end
        try:
            if isinstance(end, RunCancelled) and told_s < math.inf:
                raise RunFailed(f"its first run was stopped after {limit_s:g} s")
            raise end
        finally:
            del end  # the frames of its traceback hold the session, and this one would hold it
