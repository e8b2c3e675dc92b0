"""onnxruntime-gpu on a machine without a GPU: where ONNX Runtime alone falls back silently."""

from pathlib import Path

import pytest

from tests.providers.fallback import check

pytestmark = pytest.mark.wheel("onnxruntime-gpu")


def test_the_fallback_is_refused_or_said(tmp_path: Path) -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has an NVIDIA GPU: there is no fallback to see")
    found = check(tmp_path)
    assert [finding for finding in found if finding[1] != finding[2]] == []
