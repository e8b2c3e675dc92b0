"""What tests of failover share: a model on a provider that fails when it is told to."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from ortolan_server.lifecycle.manager import ModelManager
from tests import models
from tests.faulty_provider.faulty import Faulty
from tests.server.conftest import Manage

Serve = Callable[..., ModelManager]


@pytest.fixture
def serve(manage: Manage, faulty: Faulty, tmp_path: Path) -> Serve:
    """`serve(toml)`: a manager of the model `m`, y = x + 1 or another, on the provider and what the text adds."""

    def make(toml: str, proto: onnx.ModelProto | None = None) -> ModelManager:
        models.save(proto or models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + toml)
        return manage(tmp_path / "models")

    return make
