"""The models that the shared test vectors (clients/vectors.json) talk to."""

from pathlib import Path

from onnx import TensorProto

from tests import models

__all__ = ["write_repository"]

_BROKEN = '[[chain]]\nprovider = "cpu"\n[require]\nnode_share = 1.0\nforbid_on_cpu = ["Add"]\n'
_DEGRADED = _BROKEN + 'otherwise = "degrade"\n'


def write_repository(folder: Path) -> None:
    """Writes every model there. The server is ready with them, though `broken` does not serve."""
    for datatype, kind in models.KINDS.items():
        models.save(models.identity(kind, ["N", 3]), folder / f"echo_{datatype.lower()}")
    models.save(models.identity(TensorProto.FLOAT, []), folder / "scalar")
    models.save(models.identity(TensorProto.FLOAT, None), folder / "any_rank")
    models.save(models.simple(), folder / "simple")
    # For deadlines and cancels: a run as long as its input says.
    models.save(models.countdown(), folder / "countdown")
    models.save(models.add_one(), folder / "degraded", toml=_DEGRADED)
    models.save(models.add_one(), folder / "broken", toml="required = false\n" + _BROKEN)
