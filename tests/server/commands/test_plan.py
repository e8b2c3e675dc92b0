"""`ortolan plan`: what it prints, and its exit status."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests import models
from tests.faulty_provider.faulty import Faulty

Ortolan = Callable[..., Result]
CONTRACT = '[require]\nforbid_on_cpu = ["Add"]\n'


@pytest.fixture
def plan(ortolan: Ortolan) -> Ortolan:
    return lambda *arguments: ortolan("plan", *map(str, arguments))


def test_a_kept_contract_is_shown(plan: Ortolan, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    done = plan(tmp_path / "m")
    assert done.exit_code == 0, done.output
    assert "KEPT" in done.stdout
    assert "cpu" in done.stdout


def test_a_broken_contract_is_exit_status_3(plan: Ortolan, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=CONTRACT)
    done = plan(tmp_path / "m")
    assert done.exit_code == 3
    assert "BROKEN" in done.stdout
    assert "1 Add" in done.stdout


def test_answers_that_are_wrong_break_it_with_the_figures(plan: Ortolan, faulty: Faulty, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=faulty.toml)
    assert plan(tmp_path / "m").exit_code == 0
    faulty.commands.say("wrong 0.5")
    done = plan(tmp_path / "m", "--json")
    assert done.exit_code == 3
    (attempt,) = json.loads(done.stdout)["attempts"]
    assert (attempt["outcome"], attempt["stage"]) == ("REFUSED", "numeric")
    assert attempt["numeric"]["outputs"][0]["max_abs"] == 0.5
    assert attempt["numeric"]["outputs"][0]["within_tolerance"] is False


def test_a_degraded_one_is_not_broken(plan: Ortolan, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=CONTRACT + 'otherwise = "degrade"\n')
    done = plan(tmp_path / "m")
    assert done.exit_code == 0
    assert "DEGRADED" in done.stdout


def test_json_is_the_message(plan: Ortolan, tmp_path: Path) -> None:
    path = models.save(models.add_one(), tmp_path / "m")
    found = json.loads(plan(path, "--json").stdout)
    assert (found["model"], found["version"], found["verdict"]["state"]) == ("model", "1", "KEPT")
    assert found["attempts"][0]["outcome"] == "OPENED"
    (share,) = found["shares"]
    assert (share["provider"], share["nodes"], share["node_share"]) == ("cpu", 1, 1.0)
    assert [node["name"] for node in share["node_list"]] == ["add"]
    assert found["crossings"] == 0


def test_a_broken_one_is_json_too(plan: Ortolan, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=CONTRACT)
    done = plan(tmp_path / "m", "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["verdict"]["state"] == "BROKEN"


def test_a_file_that_is_no_model_fails_and_says_why(plan: Ortolan, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("no model")
    done = plan(tmp_path / "m.onnx", "--json")
    assert done.exit_code == 1
    assert "not a readable ONNX model" in json.loads(done.stdout)["verdict"]["reasons"][0]


def test_another_chain_keeps_the_options_of_its_rungs(plan: Ortolan, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml='[[chain]]\nprovider = "cpu"\nthreads = 2\n')
    found = json.loads(plan(tmp_path / "m", "--chain", " cpu , cpu,", "--json").stdout)
    assert found["chain"] == [{"provider": "cpu", "options": {"threads": "2"}}] * 2


def test_the_version_is_the_one_that_would_be_served(plan: Ortolan, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        models.save(models.add_one(), tmp_path / "m", version=number, toml="[versions]\nspecific = [1, 2]\n")
    assert json.loads(plan(tmp_path / "m", "--json").stdout)["version"] == "2"


def test_a_repository_wants_the_name_of_one(plan: Ortolan, tmp_path: Path) -> None:
    for name in ("a", "b"):
        models.save(models.add_one(), tmp_path / name)
    done = plan(tmp_path)
    assert done.exit_code == 2
    assert "is a repository; name one of its models: a, b" in done.stderr


@pytest.mark.parametrize(("chain", "told"), [("tpu", "no provider 'tpu'; known: "), (" , ", "names no provider")])
def test_a_wrong_chain_is_a_usage_error(plan: Ortolan, tmp_path: Path, chain: str, told: str) -> None:
    models.save(models.add_one(), tmp_path / "m")
    done = plan(tmp_path / "m", "--chain", chain)
    assert done.exit_code == 2
    assert "--chain" in done.stderr
    assert told in done.stderr


def test_a_wrong_model_toml_is_a_failure(plan: Ortolan, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml="colour = 1\n")
    done = plan(tmp_path / "m")
    assert done.exit_code == 1
    assert f"{tmp_path}/m/model.toml: colour: unknown key" in done.stderr
    assert done.stdout == ""


def test_no_argument_is_a_usage_error(plan: Ortolan) -> None:
    assert plan().exit_code == 2
