"""A truly mixed assignment, and answers beside those of the CPU, on the wheel that has both."""

from pathlib import Path

import pytest

from ortolan_backends.catalog import Catalog
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_server.chains.registry import Registry
from ortolan_server.lifecycle.opening import open_model
from ortolan_server.repository import parse_model_toml
from tests import models
from tests.providers.mixed import EXPECTATIONS, Reading, by_placement_log, by_profile, ours

pytestmark = pytest.mark.wheel("onnxruntime-openvino")


@pytest.mark.parametrize("name", EXPECTATIONS)
def test_every_node_is_where_we_say(name: str, tmp_path: Path) -> None:
    expected = EXPECTATIONS[name]()
    path = models.save(expected.proto, tmp_path)
    reading, on_openvino, crossings = ours(path)
    assert reading == Reading(expected.on_cpu, expected.fragments)
    assert on_openvino == expected.on_top
    assert crossings == expected.crossings
    assert by_placement_log(path) == reading
    assert by_profile(path) == reading


@pytest.mark.parametrize(("rtol", "atol"), [(1e-2, 1e-3), (0.0, 1e-5)])
def test_its_answers_are_those_of_the_cpu(rtol: float, atol: float, tmp_path: Path, runtime_log: RuntimeLog) -> None:
    path = models.save(models.convolution("Relu"), tmp_path)
    registry = Registry(Catalog.from_entry_points(), runtime_log)
    document = {"chain": [{"provider": "openvino"}, {"provider": "cpu"}], "numeric": {"rtol": rtol, "atol": atol}}
    config = parse_model_toml(document, "test")
    report = open_model(registry, path, registry.compose(config, "test"), config, tmp_path).report
    assert report.provider == "openvino"
    found = report.attempts[0].numeric
    assert found is not None
    assert (found.skipped, found.samples, [output.within_tolerance for output in found.outputs]) == ("", 3, [True])
