"""A log of ONNX Runtime for tests that open sessions."""

from collections.abc import Iterator

import pytest

from ortolan_backends.runtime.log import RuntimeLog


@pytest.fixture
def runtime_log() -> Iterator[RuntimeLog]:
    log = RuntimeLog(lambda _line: None)
    log.start()
    yield log
    log.stop()
