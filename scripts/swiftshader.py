"""SwiftShader: Vulkan on the CPU, so that WebGPU has a device on a machine without a GPU.

It is part of Debian's package `chromium-common`, and so is the loader. The package is downloaded and unpacked, not
installed: no root is needed once `apt-get update` has run.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from environments import ROOT

__all__ = ["NoSwiftShaderError", "swiftshader_environment"]

_FOLDER = ROOT / ".venv-tools" / "swiftshader"
_PACKAGE = "chromium-common"
_UNPACKED = Path("usr/lib/chromium")
_DRIVER = "vk_swiftshader_icd.json"
_FILES = ("libvk_swiftshader.so", "libvulkan.so.1", _DRIVER)


class NoSwiftShaderError(RuntimeError):
    """It cannot be had here; the text says why."""


def swiftshader_environment() -> dict[str, str]:
    """The variables of a process that is to find it, downloaded before if need be. Raises NoSwiftShaderError."""
    if not all((_FOLDER / name).is_file() for name in _FILES):
        _fetch()
    others = os.environ.get("LD_LIBRARY_PATH")
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [str(_FOLDER), others])),
        "VK_ICD_FILENAMES": str(_FOLDER / _DRIVER),
        # The plugin offers itself only where Linux lists a GPU, unless this is set.
        "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER": "1",
    }


def _fetch() -> None:
    apt_get, dpkg_deb = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt_get is None or dpkg_deb is None:
        raise NoSwiftShaderError(f"SwiftShader comes in Debian's package {_PACKAGE}, and there is no apt-get here")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)  # apt-get downloads as a user of its own
        if _download(apt_get, folder):
            subprocess.run([apt_get, "update", "--quiet=2"], check=False)
            if error := _download(apt_get, folder):
                raise NoSwiftShaderError(f"apt-get cannot download {_PACKAGE}: {error}")
        (package,) = folder.glob("*.deb")
        subprocess.run([dpkg_deb, "--extract", package, folder / "unpacked"], check=True)
        _FOLDER.mkdir(parents=True, exist_ok=True)
        for file in _FILES:
            shutil.copy2(folder / "unpacked" / _UNPACKED / file, _FOLDER / file)


def _download(apt_get: str, folder: Path) -> str:
    """Empty when it worked, else what apt-get said."""
    command = [apt_get, "download", "--quiet=2", _PACKAGE]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"
