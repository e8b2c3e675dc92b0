"""Recorded warm-up inputs: raw values in Triton's files."""

from pathlib import Path

import numpy as np
import pytest

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.triton import parse_config, translate
from ortolan_server.repository.triton.recorded import RecordedInput, read_recorded, recorded_inputs

SAMPLE = """
    model_warmup {
      batch_size: %d
      inputs { key: "x" value: { data_type: TYPE_FP16 dims: [ 2, 3 ] input_data_file: "raw" } }
      inputs { key: "t" value: { data_type: TYPE_STRING dims: [ 1 ] input_data_file: "texts" } }
      inputs { key: "z" value: { data_type: TYPE_BF16 dims: [ 1 ] input_data_file: "brain" } }
      inputs { key: "r" value: { data_type: TYPE_FP32 dims: [ 1 ] random_data: true } }
    }
"""
KEY = 'model_warmup[1].inputs["x"].input_data_file'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "warmup").mkdir()
    (tmp_path / "warmup/raw").write_bytes(np.arange(6, dtype="<f2").tobytes())
    return tmp_path


@pytest.mark.parametrize(("batch", "rows"), [("", None), ("max_batch_size: 4", 3)])
def test_they_are_read_as_arrays(folder: Path, batch: str, rows: int | None) -> None:
    found = recorded_inputs(parse_config(batch + SAMPLE % (rows or 1), "c").config)
    assert found == {"warmup/raw-1.npy": RecordedInput(KEY, "raw", "FP16", (2, 3), rows)}
    array = read_recorded(folder, found["warmup/raw-1.npy"], "c")
    row = np.arange(6, dtype=np.float16).reshape(2, 3)
    np.testing.assert_array_equal(array, row if rows is None else [row] * rows)


def test_a_file_in_the_place_of_raw_values(folder: Path) -> None:
    (sample,) = translate(parse_config(SAMPLE % 1, "c"), "m", {KEY: "warmup/raw-1.npy"}).config.warmup
    assert sample.inputs["x"].file == "warmup/raw-1.npy"
    assert {name for name, given in sample.inputs.items() if given.file is None} == {"t", "z", "r"}


@pytest.mark.parametrize(
    ("file", "shape", "reason"),
    [
        ("gone", (2, 3), "'gone' "),
        ("../config.pbtxt", (2, 3), "'../config.pbtxt' "),
        ("/etc/passwd", (2, 3), "'/etc/passwd' "),
        ("raw", (2, 2), r"'raw' has 12 bytes; FP16 of shape \[2, 2\] has 8"),
        ("raw", (-1, -6), r"'raw' has 12 bytes"),
    ],
)
def test_files_that_are_not_taken(folder: Path, file: str, shape: tuple[int, ...], reason: str) -> None:
    (folder / "config.pbtxt").write_text("123456789012")
    with pytest.raises(InvalidConfig, match=f"^c: key: {reason}"):
        read_recorded(folder, RecordedInput("key", file, "FP16", shape, None), "c")
