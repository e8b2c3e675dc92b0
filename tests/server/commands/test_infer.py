"""`ortolan infer`: tensors from files and made up, what is printed, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from ortolan.inference import inference_pb2 as v2
from ortolan_server.commands._tensor_files import json_values, preview, random_tensor
from tests.clients.canned import CannedServer

Ortolan = Callable[..., Result]
TensorMetadata = v2.ModelMetadataResponse.TensorMetadata


def test_from_files_to_files(ortolan: Ortolan, canned: CannedServer, tmp_path: Path) -> None:
    left, right = np.arange(8, dtype=np.int32).reshape(2, 4), np.full((2, 4), 3, np.int32)
    np.save(tmp_path / "left.npy", left)
    np.save(tmp_path / "right.npy", right)
    result = ortolan(
        *("infer", canned.address, "simple", "--output", f"SUM={tmp_path}/sum.npy"),
        *("--input", f"INPUT0={tmp_path}/left.npy", "-i", f"INPUT1={tmp_path}/right.npy"),
    )
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load(tmp_path / "sum.npy"), left + right)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0].startswith("simple ")
    assert lines[0].endswith("ms on cuda KEPT nodes: cuda: 52, cpu: 3")
    assert "out SUM INT32 [2, 4] 3, 4, 5, 6, 7, 8, …" in lines


def test_made_up_inputs_have_the_shapes_that_were_asked_for(ortolan: Ortolan, canned: CannedServer) -> None:
    arguments = ("infer", canned.address, "simple", "--random", "--shape", "INPUT0=3,4", "-s", "INPUT1=3,4", "--json")
    first, again, other = ortolan(*arguments), ortolan(*arguments), ortolan(*arguments, "--seed", "1")
    documents = [json.loads(result.stdout) for result in (first, again, other)]
    assert documents[0]["outputs"] == documents[1]["outputs"] != documents[2]["outputs"]
    output = documents[0]["outputs"][0]
    assert (output["name"], output["datatype"], output["shape"], len(output["data"])) == ("SUM", "INT32", [3, 4], 12)
    sent = next(request for request in canned.requests if isinstance(request, v2.ModelInferRequest))
    left, right = (np.frombuffer(raw, "<i4") for raw in sent.raw_input_contents)
    assert output["data"] == (left + right).tolist()


def test_a_file_and_the_rest_made_up(ortolan: Ortolan, canned: CannedServer, tmp_path: Path) -> None:
    np.save(tmp_path / "left.npy", np.full((1, 4), 1000, np.int32))
    result = ortolan("infer", canned.address, "simple", "-r", "-i", f"INPUT0={tmp_path}/left.npy", "--json")
    assert all(1000 <= value < 1010 for value in json.loads(result.stdout)["outputs"][0]["data"])


def test_json_says_who_served(ortolan: Ortolan, canned: CannedServer) -> None:
    document = json.loads(ortolan("infer", canned.address, "words", "--random", "--json").stdout)
    assert document.keys() == {"model", "seconds", "provider", "properties", "outputs"}
    assert (document["model"], document["provider"]) == ("words", "cuda")
    assert document["properties"]["ortolan.verdict"] == "KEPT"
    assert document["seconds"] > 0
    label, score = document["outputs"]
    assert (label["datatype"], label["data"]) == ("BYTES", ["python", "\\xff\\xfeB"])
    assert (score["shape"], score["data"]) == ([1, 2], [0.25, "NaN"])


def test_bf16_is_shown_as_numbers(ortolan: Ortolan, canned: CannedServer, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([0x3FC0, 0xC000], np.uint16))
    np.save(tmp_path / "count.npy", np.array([0x3FC0], np.uint16))
    files = ("-i", f"x={tmp_path}/x.npy", "-i", f"count={tmp_path}/count.npy")
    document = json.loads(ortolan("infer", canned.address, "echo", *files, "--json").stdout)
    assert [output["data"] for output in document["outputs"]] == [[1.5, -2.0], [0x3FC0]]
    report = ortolan("infer", canned.address, "echo", *files).stdout
    assert "out  x      BF16    [2]  1.5, -2" in report


def test_text_goes_to_a_file_that_needs_no_pickle(ortolan: Ortolan, canned: CannedServer, tmp_path: Path) -> None:
    result = ortolan("infer", canned.address, "words", "-r", "-o", f"label={tmp_path}/label.npy")
    assert result.exit_code == 0, result.output
    assert np.load(tmp_path / "label.npy", allow_pickle=False).tolist() == ["python", "\\xff\\xfeB"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "no --input for INPUT0, INPUT1"),
        (["-i", "INPUT0"], "takes name=value, not 'INPUT0'"),
        (["-i", "INPUT0=/none.npy"], "No such file"),
        (["-r", "-i", "nope=@ONE@"], "model inputs are INPUT0, INPUT1; there is no 'nope'"),
        (["-r", "-o", "nope=out.npy"], "model outputs are SUM; there is no 'nope'"),
        (["-r", "-s", "INPUT0=3,x"], "takes sizes with commas between"),
        (["-r", "-s", "INPUT0=3,5"], "shape [3, 5] does not fit the model's [-1, 4]"),
        (["-r", "-s", "INPUT0=3"], "shape [3] does not fit the model's [-1, 4]"),
        (["-r", "-s", "INPUT0=-3,4"], "shape [-3, 4] does not fit"),
        (["-r", "-s", "INPUT0=99999999999,4"], "more than"),
        (["-r", "-s", "INPUT0=1,4", "-s", "INPUT0=2,4"], "names 'INPUT0' twice"),
        (["-r", "-i", "INPUT0=@TEXT@"], "INPUT0="),
    ],
)
def test_usage_errors(ortolan: Ortolan, canned: CannedServer, tmp_path: Path, arguments: list[str], text: str) -> None:
    np.save(tmp_path / "one.npy", np.ones(1))
    (tmp_path / "text.npy").write_text("no numpy file", encoding="utf-8")
    places = {"@ONE@": f"{tmp_path}/one.npy", "@TEXT@": f"{tmp_path}/text.npy"}
    filled = arguments
    for mark, place in places.items():
        filled = [argument.replace(mark, place) for argument in filled]
    result = ortolan("infer", canned.address, "simple", *filled)
    assert result.exit_code == 2, result.output
    assert text.replace(" ", "") in "".join(result.stderr.replace("│", "").split())
    assert not any(isinstance(request, v2.ModelInferRequest) for request in canned.requests)


def test_the_servers_refusal_is_one_line(ortolan: Ortolan, canned: CannedServer, tmp_path: Path) -> None:
    np.save(tmp_path / "left.npy", np.ones((1, 4)))
    result = ortolan("infer", canned.address, "simple", "-r", "-i", f"INPUT0={tmp_path}/left.npy")
    assert (result.exit_code, result.stdout) == (1, "")
    wanted = f"ortolan: {canned.address} answers INVALID_ARGUMENT: input 'INPUT0' of model 'simple' takes INT32\n"
    assert result.stderr == wanted
    assert ortolan("infer", canned.address, "gone", "-r").exit_code == 1


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [
        ("BOOL", np.bool_),
        ("UINT8", np.uint8),
        ("INT64", np.int64),
        ("FP16", np.float16),
        ("FP32", np.float32),
        ("FP64", np.float64),
        ("BF16", np.uint16),
    ],
)
def test_made_up_tensors_have_the_declared_type(datatype: str, dtype: type[np.generic]) -> None:
    generator = np.random.default_rng(0)
    array = random_tensor(TensorMetadata(name="x", datatype=datatype, shape=[-1, 3]), [2, 3], generator)
    assert (array.dtype, array.shape) == (np.dtype(dtype), (2, 3))


def test_made_up_scalars_and_words() -> None:
    generator = np.random.default_rng(0)
    assert random_tensor(TensorMetadata(datatype="INT64"), [], generator).shape == ()
    assert random_tensor(TensorMetadata(datatype="BYTES", shape=[2]), [2], generator).dtype.kind == "U"


def test_values_that_json_cannot_say() -> None:
    array = np.array([[np.inf, -np.inf], [np.nan, 1.5]], np.float32)
    assert json_values(array) == ["Infinity", "-Infinity", "NaN", 1.5]
    assert json_values(np.array([True, False])) == [True, False]
    assert json_values(np.array([2**64 - 1], np.uint64)) == [2**64 - 1]


def test_previews_are_short() -> None:
    assert preview(np.arange(100)) == "0, 1, 2, 3, 4, 5, …"
    assert preview(np.array([], np.float32)) == ""
    assert preview(np.array([b"a\nb"], np.object_)) == '"a\\nb"'
    assert preview(np.array(1 / 3)) == "0.33333"
