"""What tests of the faulty provider share."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from ortolan_backends.options import parse_options
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_backends.runtime.session import OpenRung, Session, open_session
from tests import models
from tests.faulty_provider.faulty import Faulty

OpenFaulty = Callable[[onnx.ModelProto], Session]


@pytest.fixture
def open_faulty(faulty: Faulty, tmp_path: Path, runtime_log: RuntimeLog) -> OpenFaulty:
    """`open_faulty(proto)`: a session on the provider, with its command file."""
    options = parse_options(faulty.backend, {"command_file": str(faulty.commands.file)})

    def opened(proto: onnx.ModelProto) -> Session:
        model = read_model(models.save(proto, tmp_path / "model"))
        return open_session(model, [OpenRung(faulty.backend, options)], runtime_log)[0]

    return opened
