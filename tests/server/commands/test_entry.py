"""The script and the commands' front door: what happens where a part is not installed."""

import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import Result

Script = Callable[..., subprocess.CompletedProcess[str]]

_SERVER_PACKAGES = ("grpc_channelz", "grpc_health", "grpc_reflection", "onnx", "onnxruntime", "structlog")


def _without(*packages: str) -> str:
    return f"import sys; sys.modules.update(dict.fromkeys({packages}))"


@pytest.mark.parametrize("missing", ["typer", "rich"])
@pytest.mark.parametrize("arguments", [["status"], []])
def test_the_base_install_names_the_extras(script: Script, missing: str, arguments: list[str]) -> None:
    done = script(*arguments, before=_without(missing))
    assert done.returncode == 2
    assert done.stdout == ""
    for extra in ("cli", "cpu", "gpu", "openvino"):
        assert f"pip install 'ortolan[{extra}]'" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "models"],
        ["plan", "x.onnx"],
        ["bench", "x.onnx"],
        ["doctor"],
        ["import", "triton", "models"],
        ["warm", "models"],
    ],
    ids=lambda a: a[0],
)
def test_commands_of_the_server_name_the_extra_in_one_line(script: Script, arguments: list[str]) -> None:
    done = script(*arguments, before=_without(*_SERVER_PACKAGES))
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"ortolan: `ortolan {arguments[0]}` needs a server extra: pip install 'ortolan[cpu]'")


@pytest.mark.parametrize("arguments", [["serve", "models"], ["plan", "x.onnx"], ["plan", "--help"]], ids=" ".join)
def test_without_a_wheel_it_is_one_line_too(script: Script, arguments: list[str]) -> None:
    hide = (
        "import importlib.metadata as m; found = m.distributions\n"
        "m.distributions = lambda **k: (d for d in found(**k) if not d.name.startswith('onnxruntime'))"
    )
    done = script(*arguments, before=hide)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("ortolan: no ONNX Runtime is installed; install one: `pip install 'ortolan[cpu]'`")


def test_two_backends_of_one_name_are_one_line(script: Script, tmp_path: Path) -> None:
    info = tmp_path / "ortolan_other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ortolan-other\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[ortolan.backends]\ncpu = ortolan_other:BACKEND\n", encoding="utf-8")
    done = script("doctor", path=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "two backends are called 'cpu'" in done.stderr


def test_commands_of_the_client_need_no_server(script: Script) -> None:
    for command in ("status", "infer"):
        done = script(command, "--help", before=_without(*_SERVER_PACKAGES))
        assert (done.returncode, f"Usage: ortolan {command}" in done.stdout) == (0, True), done.stderr


def test_a_protobuf_that_is_too_old_is_named_with_what_mends_it(script: Script) -> None:
    refuse = (
        "import sys\n"
        "from google.protobuf.runtime_version import VersionError\n"
        "class Finder:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'grpc_channelz': raise VersionError('gencode 7.35.1 runtime 6.33.6')\n"
        "sys.meta_path.insert(0, Finder())"
    )
    done = script("serve", "nothing", before=refuse)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for words in ("gencode 7.35.1 runtime 6.33.6", "pip check", "tritonclient"):
        assert words in done.stderr


def test_a_missing_module_that_no_extra_brings_is_not_blamed_on_one(script: Script) -> None:
    done = script("status", before=_without("ortolan_server.commands._render"))
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
    assert "pip install" not in done.stderr


def test_help_lists_the_commands_and_imports_none(script: Script) -> None:
    report = (
        "import atexit, sys; atexit.register(lambda: print([name for name in sys.modules if name == 'onnxruntime' "
        "or name.startswith('ortolan_server.commands.') and name.split('.')[-1] not in ('main', '_console')]))"
    )
    done = script("--help", before=report)
    assert done.returncode == 0, done.stderr
    for command in ("serve", "plan", "doctor", "status", "infer"):
        assert f" {command} " in done.stdout
    assert done.stdout.endswith("[]\n")


def test_version(ortolan: Callable[..., Result]) -> None:
    result = ortolan("--version")
    assert (result.exit_code, result.stdout) == (0, f"ortolan {version('ortolan')}\n")


def test_a_typo_is_a_usage_error(ortolan: Callable[..., Result]) -> None:
    result = ortolan("stauts")
    assert result.exit_code == 2
    assert "'status'" in result.stderr
