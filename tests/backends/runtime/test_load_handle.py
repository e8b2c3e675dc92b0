"""A load that is given up: before it, while ONNX Runtime opens a session, during a run, and after it."""

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import onnx
import pytest

from ortolan_backends.catalog import Catalog
from ortolan_backends.errors import LoadCancelled, OpenRefused
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import ModelFile, read_model
from ortolan_backends.runtime.session import OpenRung, RunHandle, Session, open_session
from tests import models

WAIT_S = 30.0
GONE = "the load was cancelled: nobody wants it"

Opening = Callable[[ModelFile, LoadHandle], Session]


class CancelledOnceHeard(LoadHandle):
    """Cancelled by another thread as soon as somebody can be stopped."""

    @contextmanager
    def hearing(self, listener: Callable[[str], None]) -> Iterator[None]:
        with super().hearing(listener):
            threading.Thread(target=self.cancel, args=("nobody wants it",)).start()
            yield


@pytest.fixture
def opening(runtime_log: RuntimeLog) -> Opening:
    cpu = Catalog.from_entry_points().get("cpu")
    rung = OpenRung(cpu, parse_options(cpu, {}))
    return lambda model, handle: open_session(model, [rung], runtime_log, handle=handle)[0]


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Afterwards no frame waits for the garbage collector, with a session that is half open in it."""
    gc.collect()
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        frames = [thing for thing in gc.garbage if isinstance(thing, FrameType)]
        assert not [frame.f_code.co_qualname for frame in frames if "ortolan" in frame.f_code.co_filename]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def file(proto: onnx.ModelProto, folder: Path) -> ModelFile:
    return read_model(models.save(proto, folder))


@pytest.mark.provider
@pytest.mark.usefixtures("nothing_left")
def test_onnx_runtime_is_stopped_while_it_opens_a_session(opening: Opening, tmp_path: Path) -> None:
    model = file(models.long_to_open(), tmp_path)
    with pytest.raises(LoadCancelled, match=GONE) as caught:
        opening(model, CancelledOnceHeard())
    assert "canceled" in str(caught.value.__cause__), "by ONNX Runtime itself"
    del caught
    assert opening(model, LoadHandle()).inputs[0].name == "x", "the next load is not touched"


def test_one_that_was_given_up_before_is_not_begun(opening: Opening, tmp_path: Path) -> None:
    handle = LoadHandle()
    handle.cancel("nobody wants it")
    handle.cancel("another reason")
    with pytest.raises(LoadCancelled, match=GONE):
        opening(file(models.add_one(), tmp_path), handle)


def test_one_that_is_over_is_not_touched(opening: Opening, tmp_path: Path) -> None:
    handle = LoadHandle()
    session = opening(file(models.add_one(), tmp_path), handle)
    handle.cancel("nobody wants it")
    assert session.run({"x": np.zeros((1, 2), np.float32)}, ["y"], RunHandle())[0].tolist() == [[1, 1]]


def test_who_waits_for_another_opening_is_given_up_too(opening: Opening, tmp_path: Path) -> None:
    first, second = LoadHandle(), LoadHandle()
    model = file(models.add_one(), tmp_path)
    begun, ended = threading.Event(), threading.Event()
    seen: list[str] = []

    def wait() -> None:
        try:
            opening(model, second)
        except LoadCancelled as error:
            seen.append(str(error))
        ended.set()

    def hold(_options: object) -> None:
        threading.Thread(target=wait).start()
        second.cancel("nobody wants it")
        assert ended.wait(WAIT_S)
        begun.set()

    cpu = Catalog.from_entry_points().get("cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(cpu), "attach", lambda _self, options, _written: hold(options))
        opening(model, first)
    assert begun.is_set()
    assert seen == [GONE]


def test_a_run_is_stopped(opening: Opening, tmp_path: Path) -> None:
    session = opening(file(models.countdown(), tmp_path), LoadHandle())
    handle, run = CancelledOnceHeard(), RunHandle()
    with pytest.raises(LoadCancelled, match=GONE), handle.stopped_by(run.terminate):
        session.run({"n": np.array(2**40)}, ["y"], run)


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(KeyError), LoadHandle().stopped_by(lambda: None):
        raise KeyError


@pytest.mark.usefixtures("nothing_left")
def test_a_session_that_is_refused_leaves_nothing(opening: Opening, tmp_path: Path) -> None:
    proto = models.add_one()
    proto.graph.node[0].op_type = "Nonsense"
    with pytest.raises(OpenRefused) as caught:
        opening(file(proto, tmp_path), LoadHandle())
    assert "Nonsense" in str(caught.value)
    del caught
