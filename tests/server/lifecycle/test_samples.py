"""From `[[warmup]]` to the inputs of runs."""

from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from ortolan_server.errors import LoadFailed
from ortolan_server.lifecycle.samples import Sample, made_up_to, read_samples
from ortolan_server.repository import Batching, parse_model_toml
from ortolan_server.tensors import Signature, TensorSpec

ROWS = Signature((TensorSpec("x", "FP32", ("N", 2)),), (TensorSpec("y", "FP32", ("N", 2)),))
FIXED = Signature((TensorSpec("x", "FP32", (1, 2)),), (TensorSpec("y", "FP32", (1, 2)),))


def samples(folder: Path, *warmup: dict[str, object], **more: object) -> tuple[Sample, ...]:
    document = {**more, "warmup": list(warmup)} if warmup else more
    return read_samples(parse_model_toml(document, "test"), folder)


def shapes(sample: Sample, signature: Signature = ROWS) -> list[tuple[int, ...]]:
    return [batch.feeds["x"].shape for batch in sample.batches(signature)]


@pytest.mark.parametrize(
    ("batching", "sizes"),
    [
        (None, ()),
        (Batching(max_size=1), (1,)),
        (Batching(max_size=8), (1, 2, 4, 8)),
        (Batching(max_size=12, preferred_sizes=(6, 8)), (1, 2, 4, 6, 8, 12)),
    ],
)
def test_the_sizes_that_batches_are_made_up_to(batching: Batching | None, sizes: tuple[int, ...]) -> None:
    assert made_up_to(batching) == sizes


def test_there_is_a_bound_to_their_number() -> None:
    assert len(made_up_to(Batching(max_size=65536, preferred_sizes=tuple(range(1, 60000))))) <= 64


def test_without_any_it_is_one_run_on_zeros(tmp_path: Path) -> None:
    (sample,) = samples(tmp_path)
    (batch,) = sample.batches(ROWS)
    assert (sample.declared, batch.rows, batch.feeds["x"].tolist()) == (False, None, [[0.0, 0.0]])


def test_without_any_batches_are_made_up_all_the_same(tmp_path: Path) -> None:
    (sample,) = samples(tmp_path, batching={"max_size": 4})
    assert shapes(sample) == [(1, 2), (2, 2), (4, 2)]


def test_sizes_that_are_written_take_the_place_of_the_others(tmp_path: Path) -> None:
    (sample,) = samples(tmp_path, {"batch_sizes": [5, 3, 5]}, batching={"max_size": 4})
    assert [str(batch) for batch in sample.batches(ROWS)] == [" at 3 rows", " at 5 rows"]


def test_a_recorded_input_has_its_own_rows(tmp_path: Path) -> None:
    recorded = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.save(tmp_path / "x.npy", recorded)
    given: dict[str, object] = {"inputs": {"x": {"file": "x.npy"}}}
    (sample,) = samples(tmp_path, given)
    (batch,) = sample.batches(ROWS)
    assert sample.recorded
    assert np.array_equal(batch.feeds["x"], recorded)
    (sample,) = samples(tmp_path, given, batching={"max_size": 4})
    *_, largest = sample.batches(ROWS)
    assert largest.feeds["x"].tolist() == [[0, 1], [2, 3], [4, 5], [0, 1]]


def test_what_is_made_up_is_random_unless_zeros_are_wanted(tmp_path: Path) -> None:
    made = samples(tmp_path, {}, {"data": "zeros"}, {"data": "zeros", "inputs": {"x": {"data": "random"}}}, {})
    values = [sample.inputs(ROWS, 1)["x"] for sample in made]
    assert [bool(array.any()) for array in values] == [True, False, True, True]
    assert not np.array_equal(values[0], values[3])
    assert np.array_equal(values[0], made[0].inputs(ROWS, 1)["x"])


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("../x.npy", "has '..'; it must stay in the model's folder"),
        ("/etc/passwd", "is an absolute path; it must be relative to the model's folder"),
        ("out.npy", "is a link that leaves the model's folder"),
        ("nothing.npy", "cannot be read: No such file or directory"),
    ],
)
def test_files_that_do_not_lie_in_the_folder(file: str, fault: str, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    np.save(tmp_path / "x.npy", np.zeros((1, 2), np.float32))
    (folder / "out.npy").symlink_to(tmp_path / "x.npy")
    with pytest.raises(LoadFailed) as raised:
        samples(folder, {"name": "usual", "inputs": {"x": {"file": file}}})
    assert str(raised.value) == f"warm-up sample 'usual': input 'x': {file!r} {fault}"


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[object()]]), allow_pickle=True)
    (sample,) = samples(tmp_path, {"inputs": {"x": {"file": "x.npy"}}})
    with pytest.raises(LoadFailed, match="warm-up sample 1: input 'x': .*x.npy: Object arrays cannot be loaded"):
        sample.require_fit(ROWS)


@pytest.mark.parametrize(
    ("recorded", "fault"),
    [
        (np.zeros((1, 2)), "holds float64; wanted float32"),
        (np.zeros((1, 3), np.float32), "has shape [1,3]; wanted [N,2]: dimension 1 is 3, not 2"),
    ],
)
def test_a_recorded_input_that_does_not_fit(
    recorded: np.ndarray[tuple[int, ...], np.dtype[np.generic]], fault: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", recorded)
    (sample,) = samples(tmp_path, {"inputs": {"x": {"file": "x.npy"}}})
    with pytest.raises(LoadFailed) as raised:
        sample.require_fit(ROWS)
    assert str(raised.value).startswith("warm-up sample 1: input 'x'")
    assert str(raised.value).endswith(fault)


def test_batch_sizes_need_a_batch_axis(tmp_path: Path) -> None:
    (sample,) = samples(tmp_path, {"batch_sizes": [1, 2]})
    with pytest.raises(
        LoadFailed, match="warm-up sample 1: batch_sizes need a model whose inputs and outputs all have"
    ):
        sample.require_fit(FIXED)
    samples(tmp_path, {})[0].require_fit(FIXED)


def test_what_is_too_large_is_left_out_and_said(tmp_path: Path) -> None:
    wide = Signature((TensorSpec("x", "UINT8", ("N", 1 << 20)),), (TensorSpec("y", "FP32", ("N",)),))
    (sample,) = samples(tmp_path, {"batch_sizes": [1, 2, 2048], "data": "zeros"})
    with capture_logs() as events:
        assert shapes(sample, wide) == [(1, 1 << 20), (2, 1 << 20)]
    (event,) = events
    assert (event["event"], event["sample"], event["batch_sizes"]) == ("warm_up_left_out", "warm-up sample 1", [2048])
