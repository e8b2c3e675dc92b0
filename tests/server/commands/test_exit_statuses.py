"""The one scheme of exit statuses, as the README has it, over the commands that take models from the disk."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from tests import models
from tests.server.commands.conftest import Ortolan

pytestmark = pytest.mark.wheel("onnxruntime")

FINE, FAILURE, USAGE, BROKEN = 0, 1, 2, 3
TAKE_MODELS = ("plan", "lock", "warm", "bench --rounds 1 --seconds 0.01 --batch 1", "plan --locked")
NOT_MODELS = ("nothing", "empty", "notes.txt", "photos")
ON_CUDA = '[[chain]]\nprovider = "cuda"\n[[chain]]\nprovider = "cpu"\n'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models of all kinds, the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORTOLAN_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("buy milk")
    (tmp_path / "photos" / "2026").mkdir(parents=True)
    models.save(models.add_one(), tmp_path / "fine")
    models.save(models.add_one(), tmp_path / "wrong_key", toml="colour = 1\n")
    models.save(models.add_one(), tmp_path / "wrong_rung", toml='[[chain]]\nprovider = "tpu"\n')
    models.save(models.add_one(), tmp_path / "no_version", toml="[versions]\nspecific = [7]\n")
    models.save(models.add_one(), tmp_path / "on_cuda", toml=ON_CUDA)
    models.save(models.add_one(), tmp_path / "no_sample", toml='[[warmup]]\ninputs.x = { file = "gone.npy" }\n')
    models.save(models.add_one(), tmp_path / "other_input", toml="[[warmup]]\ninputs.z = { shape = [1] }\n")
    models.save(models.add_one(), tmp_path / "other_shape", toml="[[warmup]]\ninputs.x = { shape = [1, 2, 3] }\n")
    models.save(
        models.add_one(),
        tmp_path / "other_output",
        toml='[[output]]\nname = "z"\ndatatype = "FP32"\nshape = [1]\n',
    )
    newer = models.add_one()
    newer.ir_version = 99
    models.save(newer, tmp_path / "newer")
    unknown = models.add_one()
    unknown.graph.node.append(helper.make_node("Sing", ["x"], ["song"]))
    unknown.graph.output.append(helper.make_tensor_value_info("song", TensorProto.FLOAT, None))
    models.save(unknown, tmp_path / "unknown_operator")
    models.save(models.add_one(), tmp_path / "half")
    half = tmp_path / "half" / "1" / "model.onnx"
    half.write_bytes(half.read_bytes()[:-9])
    return tmp_path


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("path", NOT_MODELS)
@pytest.mark.parametrize("command", [*TAKE_MODELS, "import triton"])
def test_a_path_without_models_is_usage(ortolan: Ortolan, command: str, path: str) -> None:
    done = ortolan(*command.split(), path)
    assert (done.exit_code, done.stdout) == (USAGE, ""), done.output
    assert path in done.stderr


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("command", ["plan", "lock", "bench --rounds 1 --seconds 0.01 --batch 1"])
@pytest.mark.parametrize("chain", ["tpu", ","])
def test_a_chain_that_is_none_is_usage(ortolan: Ortolan, command: str, chain: str) -> None:
    assert ortolan(*command.split(), "fine", "--chain", chain).exit_code == USAGE


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("command", ["plan", "lock", "warm", "bench --rounds 1 --seconds 0.01 --batch 1"])
@pytest.mark.parametrize("model", ["wrong_key", "wrong_rung", "no_version"])
def test_a_model_toml_that_is_wrong_is_a_failure(ortolan: Ortolan, command: str, model: str) -> None:
    done = ortolan(*command.split(), model)
    assert done.exit_code == FAILURE, done.output


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("command", ["plan", "lock"])
@pytest.mark.parametrize("model", ["wrong_key", "no_version"])
def test_so_it_is_beside_a_chain_that_is_one(ortolan: Ortolan, command: str, model: str) -> None:
    assert ortolan(command, model, "--chain", "cpu").exit_code == FAILURE


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "arguments",
    [
        "plan half",
        "plan newer",
        "plan unknown_operator",
        "plan no_sample",
        "plan other_input",
        "plan other_shape",
        "plan other_output",
        "lock newer",
        "lock other_input",
    ],
)
def test_a_model_that_is_at_fault_itself_is_a_failure(ortolan: Ortolan, arguments: str) -> None:
    """Whichever way it is at fault: no contract was judged."""
    done = ortolan(*arguments.split())
    assert done.exit_code == FAILURE, done.output
    assert "BROKEN" not in done.stdout


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("command", ["plan", "lock"])
def test_a_contract_that_is_not_kept_is_3(ortolan: Ortolan, command: str) -> None:
    assert ortolan(command, "on_cuda").exit_code == BROKEN


@pytest.mark.usefixtures("place")
def test_locked_wants_a_lock(ortolan: Ortolan) -> None:
    assert ortolan("plan", "fine", "--locked").exit_code == USAGE
    assert ortolan("lock", "fine").exit_code == FINE
    assert ortolan("plan", "fine", "--locked").exit_code == FINE


def test_what_was_asked_for_and_cannot_be_written_is_a_failure(ortolan: Ortolan, place: Path) -> None:
    (place / "cache").write_text("a file")
    for command in ("cache list", "cache prune --all", "warm fine"):
        assert ortolan(*command.split()).exit_code == FAILURE
