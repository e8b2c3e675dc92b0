"""A batch job that is ended and begun again: it goes on where it was, or says why it does not."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from typer.testing import Result

from ortolan_client import Client
from tests import models
from tests.serving import running_server

pa = pytest.importorskip("pyarrow", reason="pyarrow, which reads and writes the files, has no wheel for this machine")
parquet = pytest.importorskip("pyarrow.parquet")

from ortolan_server.commands._batch.formats import BatchFailed, Format  # noqa: E402 (it needs pyarrow)
from ortolan_server.commands._batch.parts import BadRow, Parts, read_bad  # noqa: E402
from ortolan_server.commands._batch.run import BatchOrder, run_batch  # noqa: E402

Ortolan = Callable[..., Result]
NOBODY = "127.0.0.1:1"
ROWS = 1000
BAD = 333


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    models.save(models.add_one(), folder / "add_one", version=1)
    models.save(models.add_one(), folder / "add_one", version=2, toml="[versions]\nlatest = 2\n")
    models.save(models.identity(TensorProto.FLOAT, ["N", 2]), folder / "same")
    return folder


@pytest.fixture(scope="module")
def address(repository: Path) -> Iterator[str]:
    with running_server(repository) as server:
        yield server.address


@pytest.fixture
def source(tmp_path: Path) -> Path:
    x = [[float(row), 0.0] if row != BAD else None for row in range(ROWS)]
    parquet.write_table(pa.table({"id": np.arange(ROWS), "x": x}), tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


class Impatient:
    """Ends a job after so many rows."""

    def __init__(self, after: int) -> None:
        self._after = after

    def waiting(self, reason: str, for_s: float) -> None: ...

    def begin(self, rows: int) -> None: ...

    def show(self, rows: int, total: int | None) -> None:
        if rows >= self._after:
            raise KeyboardInterrupt


def order_of(source: Path) -> BatchOrder:
    return BatchOrder(
        model="add_one",
        version="",
        source=str(source),
        in_format=Format.PARQUET,
        target=str(source.with_name("out.parquet")),
        out_format=Format.PARQUET,
        maps=(),
        outputs=(),
        keep=("id",),
        bad_rows=None,
        batch_size=10,
        in_flight=2,
        retry_for_s=10.0,
        commit_every_s=0.0,
        restart=False,
    )


def interrupted(address: str, source: Path, *, after: int = ROWS // 2) -> Path:
    """A job that was ended after so many rows; gives its output."""
    order = order_of(source)
    with Client(address) as client, pytest.raises(KeyboardInterrupt):
        run_batch(client, order, Impatient(after))
    assert not Path(order.target).exists()
    return Path(order.target)


def again(ortolan: Ortolan, address: str, source: Path, *flags: str, model: str = "add_one") -> Result:
    return ortolan("batch", address, model, "-i", str(source), "-o", f"{source.parent}/out.parquet", "-k", "id", *flags)


def require_all_rows(target: Path) -> None:
    table = parquet.read_table(target)
    assert table["id"].to_pylist() == [row for row in range(ROWS) if row != BAD]
    assert table["y"].to_pylist() == [[row + 1.0, 1.0] for row in range(ROWS) if row != BAD]
    bad = Path(f"{target}.bad.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["row"] for line in bad] == [BAD]


@pytest.mark.parametrize("after", [1, BAD, BAD + 2, ROWS - 1, ROWS])
def test_it_goes_on_where_it_was(ortolan: Ortolan, address: str, source: Path, after: int) -> None:
    target = interrupted(address, source, after=after)
    result = again(ortolan, address, source, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["rows"], document["bad_rows"]) == (ROWS, 1)
    assert document["rows_of_this_run"] <= ROWS - after
    require_all_rows(target)
    assert not target.with_name("out.parquet.parts").exists()


def test_what_is_done_is_not_done_again(ortolan: Ortolan, address: str, source: Path) -> None:
    assert again(ortolan, address, source).exit_code == 0
    result = again(ortolan, NOBODY, source)  # and needs no server
    assert result.exit_code == 0, result.output
    assert "it was done already" in result.stdout
    require_all_rows(source.with_name("out.parquet"))


def test_parts_that_a_kill_left_after_the_end_go(ortolan: Ortolan, address: str, source: Path) -> None:
    assert again(ortolan, address, source).exit_code == 0
    with Parts(source.with_name("out.parquet.parts")) as parts:
        parts.commit(0, 5, pa.table({"id": [0]}), [])
    assert again(ortolan, address, source).exit_code == 0
    assert not source.with_name("out.parquet.parts").exists()
    require_all_rows(source.with_name("out.parquet"))


def test_a_changed_input_is_refused(ortolan: Ortolan, address: str, source: Path) -> None:
    target = interrupted(address, source)
    parquet.write_table(pa.table({"id": np.arange(3), "x": [[0.0, 0.0]] * 3}), source)
    result = again(ortolan, address, source)
    assert result.exit_code == 1
    assert (
        result.stderr == f"ortolan: {target} was begun otherwise: the input file has changed; --restart begins anew\n"
    )
    assert again(ortolan, address, source, "--restart").exit_code == 0
    assert parquet.read_table(target).num_rows == 3


def test_an_input_that_changes_meanwhile_is_noticed(ortolan: Ortolan, address: str, source: Path) -> None:
    class Touching(Impatient):
        def show(self, rows: int, total: int | None) -> None:
            os.utime(source, ns=(0, rows))

    target, order = source.with_name("out.parquet"), order_of(source)
    with Client(address) as client, pytest.raises(BatchFailed, match="was changed while it was read"):
        run_batch(client, order, Touching(ROWS))
    assert not target.exists()


@pytest.mark.parametrize(
    ("model", "flags", "text"),
    [
        ("same", [], "--model was add_one and is same now"),
        ("add_one", ["--version", "1"], "--version was not given and is 1 now"),
        ("add_one", ["--keep", "x"], "--keep was id and is id x now"),
        ("add_one", ["--map", "x=x"], "--map was not given and is x=x now"),
        ("add_one", ["--out-format", "csv"], "--out-format was parquet and is csv now"),
    ],
)
def test_other_options_are_refused(  # noqa: PLR0913 (fixtures and cases)
    ortolan: Ortolan, address: str, source: Path, model: str, flags: list[str], text: str
) -> None:
    interrupted(address, source)
    result = again(ortolan, address, source, *flags, model=model)
    assert result.exit_code == 1
    assert text in result.stderr


def test_the_version_is_pinned_when_the_job_begins(
    ortolan: Ortolan, address: str, source: Path, tmp_path: Path
) -> None:
    target = interrupted(address, source)
    assert json.loads(Path(f"{target}.job.json").read_bytes())["version"] == "2"
    models.save(models.add_one(), tmp_path / "other" / "add_one", version=3)
    with running_server(tmp_path / "other") as server:
        result = again(ortolan, server.address, source)
    assert result.exit_code == 1
    assert "NOT_FOUND" in result.stderr
    assert again(ortolan, address, source).exit_code == 0  # nothing is lost
    require_all_rows(target)


def test_a_model_that_takes_something_else_now_is_refused(
    ortolan: Ortolan, address: str, source: Path, tmp_path: Path
) -> None:
    interrupted(address, source)
    models.save(models.identity(TensorProto.FLOAT, ["N", 2]), tmp_path / "other" / "add_one", version=2)
    proto = models.identity(TensorProto.DOUBLE, ["N", 2])
    models.save(proto, tmp_path / "other" / "add_one", version=2)
    with running_server(tmp_path / "other") as server:
        result = again(ortolan, server.address, source)
    assert result.exit_code == 1
    assert "model add_one/2 has changed since the job began" in result.stderr


def test_a_file_of_somebody_else_is_not_replaced(ortolan: Ortolan, address: str, source: Path) -> None:
    target = source.with_name("out.parquet")
    target.write_text("precious", encoding="utf-8")
    result = again(ortolan, address, source)
    assert result.exit_code == 1
    assert "is there already, and no job wrote it" in result.stderr
    assert again(ortolan, address, source, "--restart", "--map", "id=nothing").exit_code == 2
    assert target.read_text(encoding="utf-8") == "precious"
    assert again(ortolan, address, source, "--restart").exit_code == 0
    require_all_rows(target)
    target.write_text("changed", encoding="utf-8")
    assert "has changed since its job was done" in again(ortolan, address, source).stderr


def test_one_process_at_a_time(ortolan: Ortolan, address: str, source: Path) -> None:
    with Parts(source.with_name("out.parquet.parts")):
        result = again(ortolan, address, source)
    assert result.exit_code == 1
    assert "another process works in" in result.stderr


def test_a_record_that_cannot_be_read(ortolan: Ortolan, address: str, source: Path) -> None:
    interrupted(address, source)
    source.with_name("out.parquet.job.json").write_text("{}", encoding="utf-8")
    result = again(ortolan, address, source)
    assert result.exit_code == 1
    assert "is no record of a job" in result.stderr


def test_the_chain_is_what_follows_from_row_0(tmp_path: Path) -> None:
    with Parts(tmp_path / "parts") as parts:
        for start, stop in ((0, 5), (0, 8), (8, 9), (20, 30)):
            parts.commit(start, stop, pa.table({"y": [1] * (stop - start)}), [BadRow(start, "why")])
        assert [(part.start, part.stop) for part in parts.chain()] == [(0, 8), (8, 9)]
        assert [json.loads(line)["row"] for line in read_bad(parts.chain())] == [0, 8]
        with pytest.raises(BatchFailed, match="another process"), Parts(tmp_path / "parts"):
            pass
    assert (tmp_path / "parts").exists()
