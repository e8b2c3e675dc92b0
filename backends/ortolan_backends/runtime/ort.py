"""ONNX Runtime itself: `from ortolan_backends.runtime.ort import onnxruntime` is the only way to import it.

Raises RuntimeConflict when this environment has no ONNX Runtime wheel, or several.
"""

import os

from ortolan_backends.runtime.wheel import require_one_wheel

__all__ = ["onnxruntime"]

require_one_wheel()
# Official Linux wheels send telemetry since 1.29 unless this is set before the library is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime  # noqa: E402 - see above
