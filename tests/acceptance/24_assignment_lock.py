"""An assignment.lock made on onnxruntime-openvino and checked on the plain wheel names every node that has moved."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from environments import wheel_environment  # noqa: E402

check = [str(wheel_environment("openvino")), "-m", "tests.providers.locked", sys.executable]
sys.exit(subprocess.run(check, cwd=ROOT, check=False).returncode)
