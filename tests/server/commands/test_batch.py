"""`ortolan batch` against a real server: files in, files out, and what becomes of rows that do not fit."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner, Result

from ortolan_server.commands import app
from tests import models
from tests.serving import running_server

pa = pytest.importorskip("pyarrow", reason="pyarrow, which reads and writes the files, has no wheel for this machine")
csv = pytest.importorskip("pyarrow.csv")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

Ortolan = Callable[..., Result]
NOBODY = "127.0.0.1:1"
ROWS = 500
X = np.arange(2 * ROWS, dtype=np.float32).reshape(ROWS, 2)


def lookup() -> onnx.ModelProto:
    """Input i INT64[N] → output y FP32[N], of a table of three: what is not in it fails the whole run."""
    return models.model(
        [helper.make_node("Gather", ["table", "i"], ["y"], name="lookup")],
        [models.value("i", TensorProto.INT64, ["N"])],
        [models.value("y", TensorProto.FLOAT, ["N"])],
        [models.tensor("table", [0.5, 1.5, 2.5])],
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("repository")
    models.save(models.add_one(), folder / "add_one")
    models.save(models.identity(TensorProto.STRING, ["N"]), folder / "words")
    models.save(models.identity(TensorProto.INT8, ["N", 2, 2]), folder / "grids")
    models.save(models.identity(TensorProto.FLOAT, ["N", "M"]), folder / "lists")
    models.save(models.identity(TensorProto.BFLOAT16, ["N"]), folder / "halves")
    models.save(lookup(), folder / "lookup")
    with running_server(folder) as server:
        yield server.address


def write(path: Path, table: Any) -> Path:
    """In the format of its suffix; arrays for .npy and .npz."""
    match path.suffix:
        case ".parquet":
            parquet.write_table(table, path, row_group_size=150)
        case ".feather":
            feather.write_feather(table, path)
        case ".csv":
            csv.write_csv(table, path)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()), encoding="utf-8")
    return path


def pairs(array: np.ndarray) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])


def table_of_x() -> Any:
    return pa.table({"id": np.arange(ROWS), "x": pairs(X)})


@pytest.mark.parametrize("suffix", ["parquet", "feather", "jsonl"])
def test_rows_of_each_format_come_out_in_order(ortolan: Ortolan, address: str, tmp_path: Path, suffix: str) -> None:
    source = write(tmp_path / f"rows.{suffix}", table_of_x())
    result = ortolan("batch", address, "add_one", "-i", str(source), "-o", f"{tmp_path}/out.parquet", "-k", "id")
    assert result.exit_code == 0, result.output
    assert (result.stderr, result.stdout.splitlines()[0][:12]) == ("", "add_one/1  5")
    out = parquet.read_table(tmp_path / "out.parquet")
    assert out.column_names == ["id", "y"]
    assert out["id"].to_pylist() == list(range(ROWS))
    assert out["y"].to_pylist() == (X + 1).tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "out.parquet.job.json", source.name]


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_rows_of_numpys_files(ortolan: Ortolan, address: str, tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"rows.{suffix}"
    if suffix == "npy":
        np.save(source, X)
    else:
        np.savez_compressed(source, x=X, id=np.arange(ROWS))
    out = tmp_path / f"out.{suffix}"
    assert ortolan("batch", address, "add_one", "-i", str(source), "-o", str(out)).exit_code == 0
    answer = np.load(out) if suffix == "npy" else np.load(out)["y"]
    np.testing.assert_array_equal(answer, X + 1)


def test_columns_of_a_csv_become_one_tensor_and_come_back_as_columns(
    ortolan: Ortolan, address: str, tmp_path: Path
) -> None:
    whole = [int(value) if value < 100 else value + 0.5 for value in X[:, 0].tolist()]  # a float only late in the file
    source = write(tmp_path / "in.csv", pa.table({"id": np.arange(ROWS), "f_0": whole, "f_1": X[:, 1]}))
    out = tmp_path / "out.csv"
    flags = ("--map", "f_*=x", "--output", "y=sum", "--keep", "id=row", "--keep", "f_1")
    result = ortolan("batch", address, "add_one", "-i", str(source), "-o", str(out), *flags)
    assert result.exit_code == 0, result.output
    table = csv.read_csv(out)
    assert table.column_names == ["row", "f_1", "sum_0", "sum_1"]
    np.testing.assert_array_equal(table["sum_0"], np.array(whole) + 1)
    np.testing.assert_array_equal(table["sum_1"], X[:, 1] + 1)


def read_words(path: Path) -> list[str]:
    match path.suffix:
        case ".npz":
            words = np.load(path)["y"].tolist()
        case ".jsonl":
            words = [json.loads(line)["y"] for line in path.read_text(encoding="utf-8").splitlines()]
        case ".csv":
            words = csv.read_csv(path, parse_options=csv.ParseOptions(newlines_in_values=True))["y"].to_pylist()
        case _:
            words = (parquet.read_table if path.suffix == ".parquet" else feather.read_table)(path)["y"].to_pylist()
    return list(words)


@pytest.mark.parametrize("suffix", ["parquet", "feather", "jsonl", "csv", "npz"])
def test_text_goes_through(ortolan: Ortolan, address: str, tmp_path: Path, suffix: str) -> None:
    words = ["one", "zwei", "", "vier, fünf", 'a "quote"', "line\nbreak"]
    source = write(tmp_path / "words.parquet", pa.table({"x": words}))
    out = tmp_path / f"out.{suffix}"
    result = ortolan("batch", address, "words", "-i", str(source), "-o", str(out))
    assert result.exit_code == 0, result.output
    assert read_words(out) == words


GRIDS = [[[row, 1], [2, 3]] for row in range(50)]


@pytest.mark.parametrize(
    "column",
    [pa.array(GRIDS, pa.list_(pa.list_(pa.int64(), 2), 2)), pa.array([[row, 1, 2, 3] for row in range(50)])],
    ids=["nested", "flat"],
)
def test_tensors_of_more_dimensions_are_lists_in_lists(
    ortolan: Ortolan, address: str, tmp_path: Path, column: Any
) -> None:
    source = write(tmp_path / "in.parquet", pa.table({"x": column}))
    assert ortolan("batch", address, "grids", "-i", str(source), "-o", f"{tmp_path}/out.parquet").exit_code == 0
    out = parquet.read_table(tmp_path / "out.parquet")
    assert out["y"].to_pylist() == GRIDS
    assert str(out.schema.field("y").type).startswith("fixed_size_list<element: fixed_size_list<")


def test_rows_of_several_lengths(ortolan: Ortolan, address: str, tmp_path: Path) -> None:
    lists = [[1.0] * (1 + row % 3) for row in range(60)]
    source = write(tmp_path / "in.parquet", pa.table({"x": lists}))
    assert ortolan("batch", address, "lists", "-i", str(source), "-o", f"{tmp_path}/out.parquet").exit_code == 0
    assert parquet.read_table(tmp_path / "out.parquet")["y"].to_pylist() == lists
    refused = ortolan("batch", address, "lists", "-i", str(source), "-o", f"{tmp_path}/out.npy")
    assert refused.exit_code == 1
    assert "rows of several shapes" in refused.stderr


def test_bf16_goes_in_and_comes_out_as_numbers(ortolan: Ortolan, address: str, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", pa.table({"x": [1.5, -2.0, 3.14159]}))
    assert ortolan("batch", address, "halves", "-i", str(source), "-o", f"{tmp_path}/out.jsonl").exit_code == 0
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["y"] for line in lines] == [1.5, -2.0, 3.140625]


def test_bad_rows_go_to_a_side_file(ortolan: Ortolan, address: str, tmp_path: Path) -> None:
    rows: list[Any] = [[float(row), 0.0] for row in range(300)]
    rows[3], rows[4], rows[299] = None, [1.0], [1.0, None]
    source = write(tmp_path / "in.jsonl", pa.table({"id": np.arange(300), "x": rows}))
    result = ortolan("batch", address, "add_one", "-i", str(source), "-o", f"{tmp_path}/out.jsonl", "-k", "id")
    assert result.exit_code == 0, result.output
    assert result.stderr == f"ortolan: 3 of 300 rows are bad: see {tmp_path}/out.jsonl.bad.jsonl\n"
    bad = [json.loads(line) for line in (tmp_path / "out.jsonl.bad.jsonl").read_text(encoding="utf-8").splitlines()]
    assert bad == [
        {"row": 3, "reason": "column 'x' is null"},
        {"row": 4, "reason": "column 'x' has 1 values, and input 'x' takes 2"},
        {"row": 299, "reason": "column 'x' has a null in it"},
    ]
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in out] == [row for row in range(300) if row not in (3, 4, 299)]
    assert all(row["y"] == [row["id"] + 1.0, 1.0] for row in out)


def test_rows_that_the_model_refuses_cost_the_others_nothing(ortolan: Ortolan, address: str, tmp_path: Path) -> None:
    indexes = [row % 3 for row in range(400)]
    indexes[17], indexes[18], indexes[399] = 99, -99, 3
    source = write(tmp_path / "in.csv", pa.table({"i": indexes}))
    result = ortolan("batch", address, "lookup", "-i", str(source), "-o", f"{tmp_path}/out.csv", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["rows"], document["bad_rows"], document["version"]) == (400, 3, "1")
    bad = [json.loads(line) for line in Path(document["bad_rows_file"]).read_text(encoding="utf-8").splitlines()]
    assert [row["row"] for row in bad] == [17, 18, 399]
    assert all("indices element out of data bounds" in row["reason"] for row in bad)
    table = csv.read_csv(tmp_path / "out.csv")
    assert table["y"].to_pylist() == [0.5 + index for index in indexes if 0 <= index < 3]


def test_values_that_the_type_cannot_hold_are_bad_rows(ortolan: Ortolan, address: str, tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", pa.table({"i": [0.0, 1.5, 2.0, float("nan")]}))
    assert ortolan("batch", address, "lookup", "-i", str(source), "-o", f"{tmp_path}/out.npy").exit_code == 0
    assert np.load(tmp_path / "out.npy").tolist() == [0.5, 2.5]
    bad = (tmp_path / "out.npy.bad.jsonl").read_text(encoding="utf-8")
    assert "has 1.5, which INT64 cannot hold" in bad
    assert bad.count("\n") == 2


@pytest.mark.parametrize("suffix", ["parquet", "csv", "npz"])
def test_no_rows_at_all(ortolan: Ortolan, address: str, tmp_path: Path, suffix: str) -> None:
    source = write(tmp_path / "in.parquet", table_of_x().slice(0, 0))
    out = tmp_path / f"out.{suffix}"
    result = ortolan("batch", address, "add_one", "-i", str(source), "-o", str(out), "-k", "id")
    assert result.exit_code == 0, result.output
    if suffix == "parquet":
        assert parquet.read_table(out).column_names == ["id", "y"]


def test_from_a_pipe_into_a_pipe(address: str, tmp_path: Path) -> None:
    lines = "".join(json.dumps({"x": row}) + "\n" for row in [*X.tolist(), None])
    flags = ("-i", "-", "-o", "-", "--in-format", "jsonl", "--out-format", "csv")
    result = CliRunner().invoke(app, ["batch", address, "add_one", *flags], input=lines)
    assert result.exit_code == 0, result.output
    printed = result.stdout.splitlines()
    assert (printed[0], printed[1], len(printed)) == ('"y_0","y_1"', "1,2", ROWS + 1)
    assert result.stderr.splitlines() == [
        '{"row": 500, "reason": "column \'x\' is null"}',
        "ortolan: 1 of 501 rows are bad",
    ]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["-i", "@none.parquet", "-o", "o.csv"], "none.parquet: does not exist"),
        (["-i", "@x.parquet", "-o", "o/o.csv"], "o/o.csv: there is no folder"),
        (["-i", "@x.parquet", "-o", "out.txt"], "the suffix does not say the format; --out-format does"),
        (["-i", "-", "-o", "out.csv"], "--in-format says what stands in -"),
        (["-i", "-", "-o", "o.csv", "--in-format", "npy"], "npy cannot stand in -"),
        (["-i", "@x.parquet", "-o", "o.csv", "--in-format", "tar"], "not 'tar'"),
        (["-i", "@x.parquet", "-o", "o.csv", "--map", "z=x"], "has no column 'z'; it has id, x"),
        (["-i", "@x.parquet", "-o", "o.csv", "--map", "x=z"], "has no input 'z'; it has x"),
        (["-i", "@x.parquet", "-o", "o.csv", "--map", "id=x"], "column 'id' is int64, and input 'x' takes FP32"),
        (["-i", "@x.parquet", "-o", "o.csv", "--map", "x"], "--map takes COLUMN=INPUT"),
        (["-i", "@x.parquet", "-o", "o.csv", "--output", "z"], "has no output 'z'; it has y"),
        (["-i", "@x.parquet", "-o", "o.csv", "--keep", "id=y"], "two columns 'y'"),
        (["-i", "@words.parquet", "-o", "o.csv"], "column 'x' is string, and input 'x' takes FP32"),
        (["-i", "@ab.parquet", "-o", "o.csv"], "no column for input x"),
        (["-i", "@x.parquet", "-o", "o.csv", "--batch-size", "none"], "--batch-size is auto or a whole number"),
    ],
)
def test_usage_errors(ortolan: Ortolan, address: str, tmp_path: Path, flags: list[str], text: str) -> None:
    write(tmp_path / "x.parquet", table_of_x())
    write(tmp_path / "words.parquet", pa.table({"x": ["one"]}))
    write(tmp_path / "ab.parquet", pa.table({"a": [1.0], "b": [2.0]}))
    there = [
        str(tmp_path / flag.removeprefix("@")) if flag[0] == "@" or flag.startswith("o") else flag for flag in flags
    ]
    result = ortolan("batch", address, "add_one", *there)
    assert result.exit_code == 2, result.output
    assert text.replace(" ", "") in "".join(result.stderr.replace("│", "").split())
    assert not list(tmp_path.glob("o*"))


def test_a_broken_file_is_one_line(ortolan: Ortolan, address: str, tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_bytes(b"no parquet at all")
    result = ortolan("batch", address, "add_one", "-i", f"{tmp_path}/in.parquet", "-o", f"{tmp_path}/out.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "in.parquet: " in result.stderr


def test_nobody_there_is_one_line(ortolan: Ortolan, tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", table_of_x())
    flags = ("-i", str(source), "-o", f"{tmp_path}/out.csv", "--retry-for", "0")
    result = ortolan("batch", NOBODY, "add_one", *flags)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.endswith("; what is done is kept: the same command goes on with it\n")
    waited = ortolan("batch", NOBODY, "add_one", *flags[:-1], "0.1")
    assert (waited.exit_code, waited.stderr.count("\n")) == (1, 2)
    assert waited.stderr.splitlines()[0].endswith("; trying again for 0 s")


def test_without_pyarrow_the_extra_is_named(script: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    hide = "import sys; sys.modules['pyarrow'] = None"
    done = script("batch", "127.0.0.1:1", "m", "--in", "a.csv", "--out", "b.csv", before=hide)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ortolan: `ortolan batch` needs pyarrow: pip install 'ortolan[batch]'\n"
