"""What a session of a model is estimated to take."""

from pathlib import Path

import onnx
import pytest

from ortolan_backends.catalog import Catalog
from ortolan_backends.contract import Device, Probe
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.model import ModelFile, read_model
from ortolan_backends.runtime.session import OpenRung
from ortolan_server.chains.budget import HOST, Amount
from ortolan_server.chains.need import amounts_of
from tests import models

GPUS = Probe((), (Device("gpu", "0", "a GPU", 8 << 30), Device("gpu", "1", "another", 4 << 30)))
CPUS = Probe((), (Device("cpu", "0", "a processor", 16 << 30),))


@pytest.fixture
def model(tmp_path: Path) -> ModelFile:
    """Of 1000 bytes in its file and 2000 beside it, as far as the estimate looks."""
    proto = models.add_one()
    (one,) = proto.graph.initializer
    one.ClearField("raw_data")
    one.data_location = onnx.TensorProto.EXTERNAL
    one.external_data.add(key="location", value="one.bin")
    path = models.save(proto, tmp_path)
    (path.parent / "one.bin").write_bytes(bytes(2000))
    found = read_model(path)
    path.write_bytes(bytes(1000))
    return found


def rung(name: str, **options: object) -> OpenRung:
    backend = Catalog.from_entry_points().get(name)
    return OpenRung(backend, parse_options(backend, options))


def test_on_the_cpu_what_is_in_the_file_counts_twice(model: ModelFile) -> None:
    assert amounts_of(model, rung("cpu"), CPUS) == (Amount(HOST, 4000),)


def test_who_compiles_for_the_host_takes_twice_that(model: ModelFile) -> None:
    probe = Probe((), (Device("cpu", "CPU", "a processor"),))
    assert amounts_of(model, rung("openvino", device_type="CPU"), probe) == (Amount(HOST, 8000),)


def test_a_device_holds_the_weights(model: ModelFile) -> None:
    assert amounts_of(model, rung("cuda"), GPUS) == (Amount(HOST, 4000), Amount("gpu:0", 3000, 8 << 30))
    assert amounts_of(model, rung("cuda", device_id=1), GPUS)[1] == Amount("gpu:1", 3000, 4 << 30)


def test_or_what_the_rung_may_take(model: ModelFile) -> None:
    assert amounts_of(model, rung("cuda", memory_limit="2GiB"), GPUS)[1].bytes == 2 << 30
    assert amounts_of(model, rung("cuda", memory_limit=100), GPUS)[1].bytes == 3000


def test_one_whose_devices_are_not_known_counts_on_the_host(model: ModelFile) -> None:
    assert amounts_of(model, rung("cuda"), Probe(())) == (Amount(HOST, 4000),)
