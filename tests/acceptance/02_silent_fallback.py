"""On onnxruntime-gpu without a GPU: the contract that wants CUDA is broken, or the model serves and says DEGRADED."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from environments import wheel_environment  # noqa: E402

check = [str(wheel_environment("gpu")), "-m", "tests.providers.fallback"]
sys.exit(subprocess.run(check, cwd=ROOT, check=False).returncode)
