"""Whoever waits until a session is gone waits for ONNX Runtime's part of it: the next may need its memory."""

from pathlib import Path

from ortolan_backends.cpu import BACKEND
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_backends.runtime.session import OpenRung, open_session
from tests import models


def test_not_before_the_last_part_is(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    path = models.save(models.add_one(), tmp_path)
    session = open_session(read_model(path), [OpenRung(BACKEND, parse_options(BACKEND, {}))], runtime_log)[0]
    gone, native = session.gone, session._session._sess
    del session
    assert not gone.is_set()
    del native
    assert gone.is_set()
