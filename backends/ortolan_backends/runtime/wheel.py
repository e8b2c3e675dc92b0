"""The ONNX Runtime wheel of this environment, looked at without importing it.

The full wheels (CPU, GPU, OpenVINO, …) share the folder `onnxruntime/`: the last one installed overwrites the
others' files, so exactly one may be there.
"""

import ast
import re
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path

from ortolan_backends.errors import RuntimeConflict

__all__ = ["build_info", "capi_folder", "installed_wheels", "require_one_wheel"]

_PLAIN = "onnxruntime"
_INIT = "onnxruntime/__init__.py"
_BUILD_INFO = "build_and_package_info.py"
_INSTALL = "install one: `pip install 'ortolan[cpu]'`, `'ortolan[gpu]'` (NVIDIA) or `'ortolan[openvino]'` (Intel)"


def installed_wheels() -> dict[str, str]:
    """The distributions that own the folder `onnxruntime/`: name -> version, in order of name."""
    found: dict[str, str] = {}
    for distribution in distributions():
        name = re.sub(r"[-_.]+", "-", distribution.name or "").lower()
        if name.startswith((_PLAIN, "ort-")) and _owns_the_folder(distribution, name):
            found.setdefault(name, distribution.version)
    return dict(sorted(found.items()))


def require_one_wheel() -> tuple[str, str]:
    """Name and version. Raises RuntimeConflict, with the pip line that mends it, for none and for several."""
    wheels = installed_wheels()
    if not wheels:
        raise RuntimeConflict(f"no ONNX Runtime is installed; {_INSTALL}")
    if len(wheels) > 1:
        listed = ", ".join(f"{name} {version}" for name, version in wheels.items())
        # Packages that need any ONNX Runtime bring the plain wheel: the other one was asked for.
        kept = next(name for name in wheels if name != _PLAIN)
        raise RuntimeConflict(
            f"{len(wheels)} ONNX Runtime wheels overwrite each other's files: {listed}; keep one: "
            f"`pip uninstall -y {' '.join(wheels)} && pip install {kept}=={wheels[kept]}`"
        )
    return next(iter(wheels.items()))


def capi_folder() -> Path | None:
    """Where the wheel keeps its native libraries; None without a wheel."""
    spec = find_spec(_PLAIN)  # of a top-level package: nothing is imported
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "capi"


def build_info() -> dict[str, str]:
    """What the wheel says of its build, e.g. `{"package_name": …, "cuda_version": "13.0"}`; empty without one."""
    folder = capi_folder()
    if folder is None or not (folder / _BUILD_INFO).is_file():
        return {}
    tree = ast.parse((folder / _BUILD_INFO).read_text(encoding="utf-8"))
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _owns_the_folder(distribution: Distribution, name: str) -> bool:
    files = distribution.files
    if files is None:  # installed without a list of files
        return name == _PLAIN
    return any(file.as_posix() == _INIT for file in files)
