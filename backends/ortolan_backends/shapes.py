"""Profiles of shapes: what NVIDIA's compilers want to know of inputs whose sizes vary."""

from collections.abc import Mapping
from typing import Annotated, Protocol

from pydantic import BeforeValidator, WithJsonSchema

__all__ = ["PROFILE_FORM", "ProfileShapes", "check_profile", "parse_profile"]

PROFILE_FORM = "shapes by input: { images = [1, 3, 224, 224] }"
# ONNX Runtime separates inputs and their shapes with these, and has no way to quote them.
_SEPARATORS = (",", ":")
_MAX_SIZE = (1 << 31) - 1


def _encoded(value: object) -> str:
    """`in:1x3x224x224,…`, as ONNX Runtime reads it."""
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"it takes a table: {PROFILE_FORM}")
    return ",".join(f"{_input(name)}:{_shape(name, shape)}" for name, shape in value.items())


def _input(name: object) -> str:
    if not isinstance(name, str) or not name or any(separator in name for separator in _SEPARATORS):
        raise ValueError(f"an input called {name!r} cannot be written: ONNX Runtime splits it at ',' and ':'")
    return name


def _shape(name: object, shape: object) -> str:
    if not isinstance(shape, list | tuple) or not shape or not all(map(_is_size, shape)):
        raise ValueError(f"{name}: a shape is a list of sizes, such as [1, 3, 224, 224]")
    return "x".join(map(str, shape))


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_SIZE


ProfileShapes = Annotated[str, BeforeValidator(_encoded), WithJsonSchema({"type": "object"})]
"""A table of shapes in `model.toml`, kept in ONNX Runtime's spelling."""


class _HasProfile(Protocol):
    profile_min_shapes: str | None
    profile_opt_shapes: str | None
    profile_max_shapes: str | None


def check_profile(options: _HasProfile) -> None:
    """Raises ValueError unless there is no profile, or a whole one: the same inputs, min <= opt <= max throughout."""
    texts = {name: getattr(options, f"profile_{name}_shapes") for name in ("min", "opt", "max")}
    given = {name: parse_profile(text) for name, text in texts.items() if text is not None}
    if not given:
        return
    if missing := [f"profile_{name}_shapes" for name in texts if name not in given]:
        raise ValueError(f"a profile needs its smallest, usual and largest shapes; {' and '.join(missing)} missing")
    least, usual, most = given["min"], given["opt"], given["max"]
    for name in least.keys() | usual.keys() | most.keys():
        shapes = [shapes.get(name, ()) for shapes in (least, usual, most)]
        if len({len(shape) for shape in shapes}) != 1:
            raise ValueError(f"profile_min_shapes, opt and max must have {name} with the same number of dimensions")
        if any(not low <= middle <= high for low, middle, high in zip(*shapes, strict=True)):
            raise ValueError(f"the profile of {name} must have min <= opt <= max in every dimension")


def parse_profile(text: str) -> dict[str, tuple[int, ...]]:
    """Shapes by input, from ONNX Runtime's spelling. Raises ValueError."""
    pairs = (pair.split(":") for pair in text.split(","))
    return {name: tuple(map(int, shape.split("x"))) for name, shape in pairs}
