"""One inference on a version of `models.add_one`, the device that fails, and what a listener heard."""

import math
import queue
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from ortolan_backends.runtime.ort import onnxruntime
from ortolan_backends.runtime.session import Session
from ortolan_server.engine.call import InferenceCall, InferenceResult
from ortolan_server.errors import OrtolanError
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.version import ModelVersion

__all__ = ["Aside", "Heard", "add_one", "break_device", "session_of", "until"]

WAIT_S = 30.0


def add_one(version: ModelVersion, number: float) -> float:
    """The answer. Raises the error that came instead."""
    answers: queue.SimpleQueue[InferenceResult | OrtolanError] = queue.SimpleQueue()
    call = InferenceCall({"x": np.full((1, 2), number, np.float32)}, ("y",), math.inf)
    version.submit(call, answers.put)
    answer = answers.get(timeout=WAIT_S)
    if isinstance(answer, OrtolanError):
        raise answer
    return float(answer.arrays[0][0, 0])


def session_of(version: ModelVersion) -> Session:
    """The one that serves."""
    assert version._engine is not None
    session = version._engine._dispatch.serving.runner
    assert isinstance(session, Session)
    return session


def break_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on every run fails as on a GPU that has lost its context."""

    def fail(*_arguments: object) -> None:
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", fail)


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        threading.Event().wait(0.005)


class Heard:
    """`<model>/<version> <state>` for every change."""

    def __init__(self, manager: ModelManager) -> None:
        self.all: list[str] = []
        self.leave = manager.subscribe(self._note)

    def _note(self, version: ModelVersion) -> None:
        self.all.append(f"{version.model}/{version.version} {version.state}")


class Aside:
    """A call on a thread of its own, and how it ended."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.error: OrtolanError | None = None
        self._result: object = None
        self._call = call
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> str:
        """Waits for it. The error's text, or nothing."""
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        return str(self.error or "")

    def result(self) -> object:
        """Waits for it. Raises its error."""
        self.end()
        if self.error is not None:
            raise self.error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._call()
        except OrtolanError as error:
            self.error = error
