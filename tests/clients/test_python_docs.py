"""Every example of docs/python-client.md, as printed, against a real server."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests import models
from tests.serving import running_server

PAGE = Path(__file__).parents[2] / "docs" / "python-client.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
TITLES = [re.sub(r"[^a-zA-Z]+", " ", example)[:60] for example in EXAMPLES]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serves a model like the example `digits`: X FP32[N,64] → label INT64[N], probabilities FP32[N,10]."""
    nodes = [
        helper.make_node("MatMul", ["X", "weights"], ["scores"], name="matmul"),
        helper.make_node("Softmax", ["scores"], ["probabilities"], name="softmax"),
        helper.make_node("ArgMax", ["scores"], ["label"], name="argmax", axis=1, keepdims=0),
    ]
    digits = models.model(
        nodes,
        [models.value("X", TensorProto.FLOAT, ["N", 64])],
        [models.value("label", TensorProto.INT64, ["N"]), models.value("probabilities", TensorProto.FLOAT, ["N", 10])],
        [models.tensor("weights", np.eye(64, 10))],
    )
    folder = tmp_path_factory.mktemp("models")
    models.save(digits, folder / "digits")
    with running_server(folder, "--shared-memory") as server:
        yield server.address


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 7


@pytest.mark.parametrize("example", EXAMPLES, ids=TITLES)
def test_the_example_runs_as_printed(example: str, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = re.sub(r"127\.0\.0\.1:\d+", address, example)
    exec(compile(program, str(PAGE), "exec"), {"images": np.eye(3, 64, dtype=np.float32)})  # noqa: S102 (our own page)
    printed = capsys.readouterr().out
    # What the page says that is printed.
    for said in re.findall(r"# (<model .*>)$", example, re.MULTILINE):
        assert said in printed
    if "float64" in example:
        text = " ".join(PAGE.read_text(encoding="utf-8").split())
        assert f"That prints: `{printed.splitlines()[-1]}`" in text
