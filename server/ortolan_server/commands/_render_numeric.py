"""The numeric check of an attempt, on one line."""

from ortolan.v1 import findings_pb2 as pb
from ortolan_server.units import counted

__all__ = ["numeric_text"]


def numeric_text(check: pb.NumericCheck) -> str:
    """`numeric  max abs 1.2e-06, cosine 1.0000 over 3 samples`: the worst of all outputs."""
    if check.skipped:
        return f"numeric  not compared: {check.skipped}"
    if not check.samples:
        return "numeric  no answer to compare"
    max_abs = max((found.max_abs for found in check.outputs), default=-1.0)
    cosines = [found.cosine for found in check.outputs if found.cosine >= -1]
    figures = [f"max abs {max_abs:.2g}"] if max_abs >= 0 else []
    figures += [f"cosine {min(cosines):.4f}"] if cosines else []
    kind = "recorded" if check.recorded else "made-up"
    samples = counted(check.samples, f"{kind} sample")
    return f"numeric  {', '.join(figures) or 'texts'} over {samples}"
