"""On onnxruntime-openvino: every node is where ONNX Runtime's own log and profile say, and a count by hand."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from environments import wheel_environment  # noqa: E402

check = [str(wheel_environment("openvino")), "-m", "tests.providers.mixed"]
sys.exit(subprocess.run(check, cwd=ROOT, check=False).returncode)
