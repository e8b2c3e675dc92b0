"""`ortolan doctor`: against the wheel that is installed, and against environments that are broken on purpose."""

import json
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import Result

from tests.distributions import publish

Ortolan = Callable[..., Result]
Script = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.provider


def test_json_has_every_family_with_its_checks(ortolan: Ortolan) -> None:
    result = ortolan("doctor", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document.keys() == {"ortolan", "python", "platform", "onnxruntime", "providers"}
    assert document["ortolan"] == version("ortolan")
    assert len(document["onnxruntime"]["wheels"]) == 1
    assert document["onnxruntime"]["conflict"] == ""
    providers = {provider["name"]: provider for provider in document["providers"]}
    assert providers.keys() >= {"cpu", "cuda", "openvino"}
    cpu = providers["cpu"]
    assert (cpu["provider"], cpu["availability"]) == ("CPUExecutionProvider", "AVAILABLE")
    assert cpu["devices"][0]["kind"] == "cpu"
    for provider in providers.values():
        assert provider["checks"]
        assert provider["options"]
        for check in provider["checks"]:
            assert check["outcome"] in ("OK", "DEGRADED", "FAILED", "SKIPPED")
            assert check["finding"]
        if provider["availability"] == "UNAVAILABLE":
            assert provider["reason"]


def without_spaces(text: str) -> str:
    """A line breaks at spaces, and where a path is longer than it."""
    return "".join(text.split())


def test_the_report_agrees_with_the_json(ortolan: Ortolan) -> None:
    document = json.loads(ortolan("doctor", "--json").stdout)
    report = without_spaces(ortolan("doctor").stdout)
    for provider in document["providers"]:
        assert f"{provider['name']}{provider['availability'].lower()}{provider['provider']}" in report
        for check in provider["checks"]:
            shown = check["looked_at"] if check["outcome"] == "SKIPPED" else f"{check['looked_at']}: {check['finding']}"
            assert without_spaces(shown) in report
            assert without_spaces(check["mend"]) in report


def test_named_providers_decide_the_exit_code(ortolan: Ortolan) -> None:
    document = json.loads(ortolan("doctor", "--json").stdout)
    for provider in document["providers"]:
        result = ortolan("doctor", provider["name"])
        assert result.exit_code == (1 if provider["availability"] == "UNAVAILABLE" else 0)
        others = [other["provider"] for other in document["providers"] if other is not provider]
        assert not any(f"  {other}" in result.stdout for other in others)


def test_options_are_described(ortolan: Ortolan) -> None:
    document = json.loads(ortolan("doctor", "cuda", "--json").stdout)
    report = " ".join(ortolan("doctor", "cuda", "--options").stdout.split())
    for option in document["providers"][0]["options"]:
        assert option["name"] in report
    assert "options in model.toml" not in ortolan("doctor", "cuda").stdout


def test_an_unknown_provider_is_a_usage_error(ortolan: Ortolan) -> None:
    result = ortolan("doctor", "warp_drive")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("ortolan: no provider 'warp_drive'; known: coreml, cpu, cuda, ")


def test_two_wheels_are_named_and_nothing_is_imported(script: Script, tmp_path: Path) -> None:
    publish(tmp_path, "onnxruntime-directml", "1.0", "onnxruntime/__init__.py")
    done = script("doctor", path=str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert "onnxruntime-directml 1.0" in done.stdout
    assert "pip uninstall -y" in done.stdout
    document = json.loads(script("doctor", "--json", path=str(tmp_path)).stdout)
    assert len(document["onnxruntime"]["wheels"]) == 2
    assert "onnxruntime-directml" in document["onnxruntime"]["conflict"]
    assert document["providers"] == []


def test_no_wheel_names_the_extras_in_one_line(script: Script) -> None:
    hide = (
        "import importlib.metadata as m; found = m.distributions\n"
        "m.distributions = lambda **k: (d for d in found(**k) if not d.name.startswith('onnxruntime'))"
    )
    done = script("doctor", before=hide)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "ortolan[cpu]" in done.stderr


def test_a_backend_that_cannot_be_imported_is_reported_beside_the_others(script: Script, tmp_path: Path) -> None:
    publish(tmp_path, "ortolan-warp", "1.0", entry_points="[ortolan.backends]\nwarp = ortolan_warp_missing:BACKEND\n")
    done = script("doctor", "--json", path=str(tmp_path))
    assert done.returncode == 0, done.stderr
    warp = next(provider for provider in json.loads(done.stdout)["providers"] if provider["name"] == "warp")
    assert warp["availability"] == "UNAVAILABLE"
    assert "ortolan-warp" in warp["checks"][0]["finding"]
    assert script("doctor", "warp", path=str(tmp_path)).returncode == 1


def test_a_backend_whose_probe_raises_is_reported_beside_the_others(script: Script, tmp_path: Path) -> None:
    publish(tmp_path, "ortolan-warp", "1.0", entry_points="[ortolan.backends]\nwarp = ortolan_warp:BACKEND\n")
    module = """
from ortolan_backends.options import ProviderOptions

class Warp:
    name, provider, summary, compiles, options = "warp", "WarpExecutionProvider", "Warps.", False, ProviderOptions

    def probe(self):
        raise LookupError("no dilithium")

    def attach(self, session_options, options):
        raise NotImplementedError

BACKEND = Warp()
"""
    (tmp_path / "ortolan_warp.py").write_text(module, encoding="utf-8")
    done = script("doctor", "--json", path=str(tmp_path))
    assert done.returncode == 0, done.stderr
    warp = next(provider for provider in json.loads(done.stdout)["providers"] if provider["name"] == "warp")
    assert warp["availability"] == "UNAVAILABLE"
    assert [(check["outcome"], check["finding"]) for check in warp["checks"]] == [
        ("FAILED", "its probe raised LookupError: no dilithium")
    ]
    assert script("doctor", "warp", path=str(tmp_path)).returncode == 1
