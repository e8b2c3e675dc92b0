"""A truly mixed assignment, on the wheel that has one."""

from pathlib import Path

import pytest

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
