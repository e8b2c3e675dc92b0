"""`ortolan lock`, and `ortolan plan --locked`, which holds a model against what it wrote."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from ortolan_server.repository.assignment_lock import read_lock
from tests import models
from tests.faulty_provider.faulty import Faulty

Ortolan = Callable[..., Result]

BELOW = '\n[[chain]]\nprovider = "cpu"\n\n[require]\nprovider = ["faulty", "cpu"]\nnode_share = 0.0\n'
STRICT = '[require]\nforbid_on_cpu = ["Add"]\n'


@pytest.fixture
def model(faulty: Faulty, tmp_path: Path) -> Path:
    """The folder of a model whose two nodes the provider takes."""
    models.save(models.affine(), tmp_path / "m", toml=faulty.toml + BELOW)
    return tmp_path / "m"


def locked(ortolan: Ortolan, model: Path, *flags: str) -> Result:
    return ortolan("plan", str(model), "--locked", *flags)


def test_it_writes_where_the_nodes_are(ortolan: Ortolan, model: Path) -> None:
    done = ortolan("lock", str(model))
    assert done.exit_code == 0, done.output
    path = model / "1" / "assignment.lock"
    assert done.stdout == f"{path}: 2 nodes on faulty (100.0%)\n"
    lock = read_lock(path)
    assert (lock.serving, lock.rung, lock.chain) == ("faulty", 1, ("faulty", "cpu"))
    assert lock.provider[0].nodes == {"add": "Add", "mul": "Mul"}
    assert sorted(child.name for child in path.parent.iterdir()) == ["assignment.lock", "model.onnx"]


def test_the_same_again_is_the_same_text(ortolan: Ortolan, model: Path) -> None:
    ortolan("lock", str(model))
    text = (model / "1" / "assignment.lock").read_bytes()
    done = ortolan("lock", str(model))
    assert done.stdout.splitlines()[1:] == ["as in assignment.lock"]
    assert (model / "1" / "assignment.lock").read_bytes() == text


def test_a_new_one_is_shown_beside_the_one_before(ortolan: Ortolan, model: Path, faulty: Faulty) -> None:
    ortolan("lock", str(model))
    faulty.commands.say("skip Mul")
    done = ortolan("lock", str(model))
    assert done.exit_code == 0, done.output
    told, moved = done.stdout.splitlines()
    assert told.endswith(": 1 node on faulty (50.0%), 1 node on cpu (50.0%)")
    assert moved == "- mul (Mul)  faulty → cpu"
    assert read_lock(model / "1" / "assignment.lock").provider[1].nodes == {"mul": "Mul"}
    assert locked(ortolan, model).exit_code == 0


def test_every_version_that_would_be_served_has_its_own(ortolan: Ortolan, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        toml = "[versions]\nspecific = [1, 3]\n"
        models.save(models.add_one(), tmp_path / "m", version=number, toml=toml)
    assert ortolan("lock", str(tmp_path / "m")).exit_code == 0
    found = sorted(path.parent.name for path in (tmp_path / "m").rglob("assignment.lock"))
    assert found == ["1", "3"]
    done = locked(ortolan, tmp_path / "m")
    assert done.exit_code == 0
    assert [line for line in done.stdout.splitlines() if "m/" in line] == [
        "m/1: no nodes have moved down",
        "m/3: no nodes have moved down",
    ]


def test_a_file_by_itself_has_one_of_its_name(ortolan: Ortolan, tmp_path: Path) -> None:
    path = models.save(models.add_one(), tmp_path / "m").rename(tmp_path / "resnet.onnx")
    assert ortolan("lock", str(path)).exit_code == 0
    assert (tmp_path / "resnet.assignment.lock").exists()
    assert locked(ortolan, path).exit_code == 0


def test_json_says_what_was_written(ortolan: Ortolan, model: Path, faulty: Faulty) -> None:
    (first,) = json.loads(ortolan("lock", str(model), "--json").stdout)
    assert first["drift"] is None
    faulty.commands.say("skip Mul")
    (found,) = json.loads(ortolan("lock", str(model), "--json").stdout)
    assert (found["model"], found["version"], found["serving_provider"]) == ("m", "1", "faulty")
    assert (found["nodes"], found["node_share"]) == ({"faulty": 1, "cpu": 1}, {"faulty": 0.5, "cpu": 0.5})
    assert found["path"] == str(model / "1" / "assignment.lock")
    assert [node["name"] for node in found["drift"]["moved_down"]] == ["mul"]


def test_no_lock_of_a_broken_contract(ortolan: Ortolan, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=STRICT)
    done = ortolan("lock", str(tmp_path / "m"), "--allow-degraded")
    assert done.exit_code == 3
    assert "m/1: no lock is written: rung 1 (cpu) refused at contract: on the CPU, where the contract" in done.stderr
    assert not list(tmp_path.rglob("assignment.lock"))


def test_one_of_a_degraded_model_must_be_wanted(ortolan: Ortolan, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=STRICT + 'otherwise = "degrade"\n')
    done = ortolan("lock", str(tmp_path / "m"))
    assert done.exit_code == 3
    assert "--allow-degraded" in done.stderr
    assert not list(tmp_path.rglob("assignment.lock"))
    assert ortolan("lock", str(tmp_path / "m"), "--allow-degraded").exit_code == 0
    assert locked(ortolan, tmp_path / "m").exit_code == 0


def test_nothing_is_written_while_one_version_is_refused(ortolan: Ortolan, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", version=1, toml="[versions]\nall = true\n")
    models.save(models.add_one(), tmp_path / "m", version=2).write_text("no model")
    done = ortolan("lock", str(tmp_path / "m"))
    assert done.exit_code == 1
    assert "m/2: no lock is written: model.onnx is not a readable ONNX model" in done.stderr
    assert not list(tmp_path.rglob("assignment.lock"))


def test_a_lock_that_is_wrong_is_not_written_over(ortolan: Ortolan, model: Path) -> None:
    path = model / "1" / "assignment.lock"
    path.write_text("<<<<<<< HEAD\n")
    done = ortolan("lock", str(model))
    assert done.exit_code == 1
    assert f"{path}: is not TOML" in done.stderr
    assert path.read_text() == "<<<<<<< HEAD\n"


def test_drift_is_exit_status_3_with_a_line_for_each_node(ortolan: Ortolan, model: Path, faulty: Faulty) -> None:
    ortolan("lock", str(model))
    faulty.commands.say("absent")
    done = locked(ortolan, model)
    assert done.exit_code == 3
    assert done.stdout.splitlines()[:3] == [
        "m/1: 2 nodes have moved down",
        "- add (Add)  faulty → cpu",
        "- mul (Mul)  faulty → cpu",
    ]


@pytest.mark.parametrize("policy", ["refuse", "degrade", "warn"])
def test_drift_is_exit_status_3_whatever_a_load_makes_of_it(
    ortolan: Ortolan, model: Path, faulty: Faulty, policy: str
) -> None:
    toml = model / "model.toml"
    toml.write_text(f'{toml.read_text()}\n[lock]\ndrift = "{policy}"\n')
    ortolan("lock", str(model))
    faulty.commands.say("skip Mul")
    done = locked(ortolan, model, "--json")
    assert done.exit_code == 3
    (found,) = json.loads(done.stdout)
    assert found["serving_provider"] == "faulty"
    assert found["drift"]["policy"] == policy
    assert found["drift"]["moved_down"] == [
        {"name": "mul", "op_type": "Mul", "from_provider": "faulty", "to_provider": "cpu"}
    ]


def test_what_moved_up_is_fine(ortolan: Ortolan, model: Path, faulty: Faulty) -> None:
    faulty.commands.say("skip Mul")
    ortolan("lock", str(model))
    faulty.commands.say("ok")
    done = locked(ortolan, model)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == ["m/1: no nodes have moved down", "+ mul (Mul)  cpu → faulty"]


def test_a_broken_contract_is_exit_status_3_too(ortolan: Ortolan, model: Path, faulty: Faulty) -> None:
    ortolan("lock", str(model))
    (model / "model.toml").write_text(faulty.toml)
    faulty.commands.say("absent")
    done = locked(ortolan, model)
    assert done.exit_code == 3
    assert "! rung 1 (faulty) refused at probe: the device is told to be absent" in done.stdout


def test_without_a_lock_it_is_a_usage_error(ortolan: Ortolan, model: Path) -> None:
    done = locked(ortolan, model)
    assert done.exit_code == 2
    assert f"{model}/1/assignment.lock does not exist: ortolan lock writes it" in done.stderr


def test_each_lock_that_is_missing_is_a_line(ortolan: Ortolan, tmp_path: Path) -> None:
    paths = [models.save(models.add_one(), tmp_path / name).with_name("assignment.lock") for name in ("a", "b")]
    told = locked(ortolan, tmp_path).stderr.splitlines()
    assert told == [f"ortolan: {path} does not exist: ortolan lock writes it" for path in paths]


def test_of_a_lock_that_is_wrong_nothing_is_said_to_have_moved_or_not(ortolan: Ortolan, model: Path) -> None:
    path = model / "1" / "assignment.lock"
    path.touch()
    done = locked(ortolan, model)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "m/1: not held against its lock",
        f"! {path}: is empty: it has 0 bytes; without the file nothing is compared",
    ]
    (found,) = json.loads(locked(ortolan, model, "--json").stdout)
    assert found["drift"] is None


def test_a_lock_that_cannot_be_written_is_told(ortolan: Ortolan, tmp_path: Path) -> None:
    # Its name fits into the folder, the name that it is first written under does not.
    model = models.save(models.add_one(), tmp_path / "m").rename(tmp_path / f"{'m' * 235}.onnx")
    done = ortolan("lock", str(model))
    path = model.with_suffix(".assignment.lock")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"ortolan: {path}: cannot be written: File name too long\n"


@pytest.mark.parametrize("command", [("lock",), ("plan",), ("plan", "--locked")])
def test_what_a_server_would_log_of_a_model_is_no_part_of_the_answer(
    ortolan: Ortolan, tmp_path: Path, command: tuple[str, ...]
) -> None:
    models.save(models.add_one(), tmp_path / "m", toml="required = true\n")
    (tmp_path / "m" / "config.pbtxt").write_text('backend: "onnxruntime"\n')
    assert ortolan("lock", str(tmp_path / "m")).exit_code == 0
    assert json.loads(ortolan(*command, str(tmp_path / "m"), "--json").stdout)


def test_on_another_chain_it_is_only_told(ortolan: Ortolan, model: Path) -> None:
    ortolan("lock", str(model))
    done = ortolan("plan", str(model), "--chain", "cpu")
    assert done.exit_code == 0, done.output
    assert "- add (Add)  faulty → cpu" in done.stdout
    assert "chain: faulty, cpu, now cpu" in done.stdout


def test_a_plan_shows_what_a_load_would_make_of_it(ortolan: Ortolan, model: Path, faulty: Faulty) -> None:
    ortolan("lock", str(model))
    done = ortolan("plan", str(model))
    assert "as in assignment.lock" in done.stdout
    faulty.commands.say("skip Mul")
    done = ortolan("plan", str(model))
    assert done.exit_code == 3
    assert "refused at lock" in done.stdout


def test_a_whole_repository(ortolan: Ortolan, model: Path, faulty: Faulty) -> None:
    models.save(models.add_one(), model.parent / "repository" / "a")
    repository = model.rename(model.parent / "repository" / "m").parent
    done = ortolan("lock", str(repository))
    assert done.exit_code == 0, done.output
    assert sorted(path.parent.parent.name for path in repository.rglob("assignment.lock")) == ["a", "m"]
    faulty.commands.say("skip Mul")
    done = locked(ortolan, repository)
    assert done.exit_code == 3
    assert done.stdout.splitlines() == [
        "a/1: no nodes have moved down",
        "as in assignment.lock",
        "m/1: 1 node has moved down",
        "- mul (Mul)  faulty → cpu",
    ]
    (repository / "a" / "1" / "assignment.lock").unlink()
    assert locked(ortolan, repository).exit_code == 2


def test_a_repository_with_a_faulty_entry_is_not_passed_over(ortolan: Ortolan, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "a")
    models.save(models.add_one(), tmp_path / "b", toml="colour = 1\n")
    done = ortolan("lock", str(tmp_path))
    assert done.exit_code == 1
    assert "b/model.toml: colour: unknown key" in done.stderr
