"""`ortolan import triton`: what it writes, what it says, and its exit status."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from ortolan_server.repository import Repository, load_model_toml
from tests.triton_repository import EXAMPLES, RECORDED, write_repository

Ortolan = Callable[..., Result]
REFUSED = {"inception_graphdef", "simple_sequence", "simple_dyna_sequence"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_repository(tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def importing(ortolan: Ortolan) -> Ortolan:
    return lambda *arguments: ortolan("import", "triton", *map(str, arguments))


def written(root: Path) -> set[str]:
    return {path.parent.name for path in root.glob("*/model.toml")}


def test_each_model_that_can_be_had_gets_its_file(importing: Ortolan, root: Path) -> None:
    before = Repository.scan(root).models
    done = importing(root)
    assert done.exit_code == 1, "some are refused"
    assert written(root) == EXAMPLES.keys() - REFUSED
    after = Repository.scan(root).models
    for name in written(root) - {"warm"}:
        assert after[name].config == before[name].config
        assert after[name].versions == before[name].versions
    np.testing.assert_array_equal(np.load(root / "warm/warmup/recorded-1.npy"), [RECORDED] * 2)
    assert load_model_toml(root / "warm/model.toml").warmup[0].inputs["INPUT0"].file == "warmup/recorded-1.npy"


def test_the_report_names_every_setting(importing: Ortolan, root: Path) -> None:
    lines = importing(root).stdout.splitlines()
    first = lines.index(f"simple_identity: written to {root}/simple_identity/model.toml")
    report = lines[first : lines.index("", first)]
    assert [line.strip() for line in report if line.startswith("  ") and not line.startswith("    ")] == [
        "honoured",
        "translated",
        "not honoured",
    ]
    assert "    dynamic_batching.max_queue_delay_microseconds = 500: batching.max_delay_ms = 0.5" in report
    assert "    response_cache.enable = true: nothing here does this" in report
    assert lines[lines.index("inception_graphdef: refused") + 1].startswith(
        f"  {root}/inception_graphdef/config.pbtxt: platform: is 'tensorflow_graphdef'"
    )
    assert lines[-1].startswith("9 models: 6 translated, 3 refused; settings: ")


def test_what_is_not_honoured_stands_in_the_file(importing: Ortolan, root: Path) -> None:
    importing(root)
    text = (root / "simple_identity/model.toml").read_text()
    assert text.startswith("# From config.pbtxt, by ortolan import triton.\n# not honoured: dynamic_batching.")


def test_json(importing: Ortolan, root: Path) -> None:
    report = json.loads(importing(root, "--json").stdout)
    models = {model["model"]: model for model in report["models"]}
    assert models.keys() == EXAMPLES.keys()
    assert {name for name, model in models.items() if model["refusal"]} == REFUSED
    assert {
        "key": "response_cache.enable",
        "value": "true",
        "outcome": "NOT_HONOURED",
        "text": "nothing here does this",
    } in models["simple_identity"]["settings"]
    assert 'file = "identity.onnx"' in models["simple_identity"]["model_toml"]


def test_a_dry_run_writes_nothing(importing: Ortolan, root: Path) -> None:
    before = sorted(root.rglob("*"))
    done = importing(root, "--dry-run")
    assert "simple: would be written to" in done.stdout
    assert sorted(root.rglob("*")) == before


def test_elsewhere(importing: Ortolan, root: Path, tmp_path: Path) -> None:
    before = sorted(root.rglob("*"))
    done = importing(root / "warm", "--output", tmp_path / "models")
    assert done.exit_code == 0, done.output
    assert sorted(root.rglob("*")) == before
    assert written(tmp_path / "models") == {"warm"}
    assert (tmp_path / "models/warm/warmup/recorded-1.npy").is_file()


def test_files_that_are_there_are_kept(importing: Ortolan, root: Path) -> None:
    mine = root / "simple/model.toml"
    mine.write_text("required = false")
    done = importing(root / "simple")
    assert done.exit_code == 1
    assert f"{mine}: is there already; --force writes over it" in done.stdout
    assert mine.read_text() == "required = false"
    assert importing(root / "simple", "--force").exit_code == 0
    assert load_model_toml(mine).required


def test_options_are_checked_here_too(importing: Ortolan, root: Path) -> None:
    (root / "simple/config.pbtxt").write_text(
        'instance_group { kind: KIND_CPU } parameters { key: "intra_op_thread_count" value { string_value: "-3" } }'
    )
    done = importing(root / "simple")
    assert done.exit_code == 1
    assert "chain[1]: cpu: threads" in done.stdout


def test_its_help(ortolan: Ortolan) -> None:
    assert "triton" in ortolan("import", "--help").output
    assert "--dry-run" in ortolan("import", "triton", "--help").output
    assert ortolan("import", "caffe").exit_code == 2
