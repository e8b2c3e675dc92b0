"""Providers that no session can have together, known before ONNX Runtime is asked."""

from collections.abc import Mapping, Sequence

from ortolan_server.errors import InvalidConfig

__all__ = ["refuse_mixes"]

# ONNX Runtime's names, so that it holds for whatever a third party calls them.
_REFUSED: Mapping[frozenset[str], str] = {
    frozenset({"TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider"}): (
        "TensorRT and TensorRT for RTX are two builds of one library"
    ),
}


def refuse_mixes(rungs: Sequence[tuple[str, str]], where: str) -> None:
    """Raises InvalidConfig, which names both, for a chain with two rungs that exclude each other.

    `rungs` are the short name and ONNX Runtime's name of each, `where` the file. A rung is opened with those below
    it as fallback for single nodes, so a mix is no matter of order.
    """
    for providers, why in _REFUSED.items():
        mixed = [(number, name) for number, (name, provider) in enumerate(rungs, 1) if provider in providers]
        if {provider for _, provider in rungs} >= providers:
            listed = " and ".join(f"chain[{number}] {name}" for number, name in mixed)
            raise InvalidConfig(f"{where}: {listed} exclude each other in one session: {why}; take one of them out")
