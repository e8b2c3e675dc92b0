"""Exactly one ONNX Runtime wheel: told from metadata alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ortolan_backends.errors import RuntimeConflict
from ortolan_backends.runtime.wheel import build_info, capi_folder, installed_wheels, require_one_wheel
from tests.distributions import publish

FOLDER = "onnxruntime/__init__.py"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which packages are looked for."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def test_this_environment_has_one() -> None:
    name, version = require_one_wheel()
    assert installed_wheels() == {name: version}
    folder = capi_folder()
    assert folder is not None
    assert list(folder.glob("onnxruntime_pybind11_state*"))
    assert build_info()["package_name"] == name


def test_none_names_the_extras(site: Path) -> None:
    with pytest.raises(RuntimeConflict, match=r"no ONNX Runtime is installed; .*ortolan\[cpu\].*\[gpu\].*\[openvino\]"):
        require_one_wheel()


def test_one(site: Path) -> None:
    publish(site, "onnxruntime-gpu", "1.31.1", FOLDER)
    assert require_one_wheel() == ("onnxruntime-gpu", "1.31.1")


def test_packages_that_only_sound_like_it_do_not_count(site: Path) -> None:
    publish(site, "onnxruntime", "1.32.0", FOLDER)
    publish(site, "onnxruntime-extensions", "0.15.0", "onnxruntime_extensions/__init__.py")
    publish(site, "onnxruntime-ep-webgpu", "0.4.0", "onnxruntime_ep_webgpu/__init__.py")
    publish(site, "onnxruntime-ep-unlisted", "0.1.0")
    publish(site, "rapidocr-onnxruntime", "1.4.4", "rapidocr_onnxruntime/__init__.py")
    assert require_one_wheel() == ("onnxruntime", "1.32.0")


def test_an_installation_without_a_list_of_files_counts(site: Path) -> None:
    publish(site, "onnxruntime", "1.32.0")
    assert installed_wheels() == {"onnxruntime": "1.32.0"}


def test_two_are_named_with_the_line_that_mends_it(site: Path) -> None:
    publish(site, "onnxruntime", "1.32.0", FOLDER)
    publish(site, "onnxruntime_GPU", "1.31.1", FOLDER)
    with pytest.raises(RuntimeConflict) as caught:
        require_one_wheel()
    assert str(caught.value) == (
        "2 ONNX Runtime wheels overwrite each other's files: onnxruntime 1.32.0, onnxruntime-gpu 1.31.1; keep one: "
        "`pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu==1.31.1`"
    )


def python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)


def test_two_wheels_refuse_the_import(tmp_path: Path) -> None:
    publish(tmp_path, "onnxruntime-other", "9.9", FOLDER)
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = python("from ortolan_backends.runtime import ort", PYTHONPATH=paths)
    assert done.returncode == 1
    assert "RuntimeConflict: 2 ONNX Runtime wheels" in done.stderr


def test_telemetry_is_off_before_onnxruntime_is_imported() -> None:
    program = """
import builtins, os
original, seen = builtins.__import__, []
def spy(name, *rest):
    if name == "onnxruntime" and not seen:
        seen.append(os.environ.get("ORT_DISABLE_TELEMETRY"))
    return original(name, *rest)
builtins.__import__ = spy
from ortolan_backends.runtime.ort import onnxruntime
print(seen[0])
"""
    done = python(program, ORT_DISABLE_TELEMETRY="0")
    assert done.stdout.strip() == "1", done.stderr
