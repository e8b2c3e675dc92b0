"""Providers that are compiled into the wheel: `python -m ortolan_backends.runtime.built_in {}` lists them."""

from collections.abc import Mapping

from ortolan_backends.runtime.child import ask, respond

__all__ = ["built_in_providers"]

_TIMEOUT_S = 60.0


def built_in_providers() -> tuple[str, ...]:
    """ONNX Runtime's names, asked for in a subprocess; empty when it does not answer."""
    answer = ask("ortolan_backends.runtime.built_in", {}, timeout_s=_TIMEOUT_S)
    return tuple(answer.value["providers"]) if answer.value else ()


def _look(_question: object) -> Mapping[str, object]:
    """The child's side. No plugin is registered in it, so that only what is compiled in is listed."""
    from ortolan_backends.runtime.ort import onnxruntime  # noqa: PLC0415 - only the child needs it

    return {"providers": onnxruntime.get_available_providers()}


if __name__ == "__main__":
    respond(_look)
