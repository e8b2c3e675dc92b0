"""What a model takes and gives, and whether the tensors of a request fit it."""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol, Self

from ortolan_server.errors import InvalidRequest, LoadFailed
from ortolan_server.tensors.datatypes import DATATYPES, DATATYPES_BY_ONNX_TYPE
from ortolan_server.tensors.plans import InputPlan, OutputHeader, OutputPlan, TensorHeader, plan_inputs
from ortolan_server.tensors.wording import listed, quoted, shape_text

__all__ = ["DeclaredTensor", "Shape", "Signature", "TensorSpec"]

Shape = tuple[int | str | None, ...] | None
"""Of a declared tensor. A text is a symbol, None a dimension without a name; both may vary. None for all: any rank."""

Headers = tuple[tuple[str, str, tuple[int, ...]], ...]
"""Of a request's inputs: each a `TensorHeader`, or a plain tuple of the same, which is quicker to make."""

_MAX_BYTES = 2**63 - 1
_MAX_RANK = 32  # numpy before 2.0 has no more
# A zero-size tensor brings no data that would bound it, and a reduction over its empty dimension gives a tensor of all
# the others, which exists several times over until the response is sent. As much as a message carries by default.
_MAX_BYTES_BESIDE_ZERO = 2**28
# Shapes are the callers' choice: without a bound each new one would cost memory for good.
_MAX_PLANS = 1024


class DeclaredTensor(Protocol):
    """An input or output as a session declares it."""

    @property
    def name(self) -> str: ...

    @property
    def onnx_type(self) -> str: ...

    @property
    def shape(self) -> Shape: ...


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model, in the protocol's terms."""

    name: str
    datatype: str
    """The protocol's name: a key of `DATATYPES`."""
    shape: Shape

    def __str__(self) -> str:
        return f"{quoted(self.name)} {self.datatype}{shape_text(self.shape)}"


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of a model, in the model's order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    has_batch_axis: bool = field(init=False, compare=False)
    """Whether dimension 0 is a batch, as far as the declared shapes tell.

    It may vary in every input and output, is the same symbol in all inputs that name it, and occurs nowhere else
    in them.
    """
    all_outputs: OutputPlan = field(init=False, repr=False, compare=False)
    """Of a request that asks for none by name."""
    _inputs: Mapping[str, TensorSpec] = field(init=False, repr=False, compare=False)
    _outputs: Mapping[str, TensorSpec] = field(init=False, repr=False, compare=False)
    _plans: dict[Headers, InputPlan] = field(init=False, repr=False, compare=False, default_factory=dict)
    _buckets: dict[Hashable, int] = field(init=False, repr=False, compare=False, default_factory=dict)
    _numbers: Iterator[int] = field(init=False, repr=False, compare=False, default_factory=count)

    def __post_init__(self) -> None:
        object.__setattr__(self, "has_batch_axis", _have_batch_axis(self.inputs, self.outputs))
        headers = tuple(OutputHeader(spec.name, spec.datatype) for spec in self.outputs)
        everything = OutputPlan(tuple(spec.name for spec in self.outputs), headers)
        object.__setattr__(self, "all_outputs", everything)
        object.__setattr__(self, "_inputs", {spec.name: spec for spec in self.inputs})
        object.__setattr__(self, "_outputs", {spec.name: spec for spec in self.outputs})

    @classmethod
    def of(cls, inputs: Iterable[DeclaredTensor], outputs: Iterable[DeclaredTensor]) -> Self:
        """The signature of an open session.

        Raises LoadFailed, with every tensor the protocol cannot carry and its type.
        """
        inputs, outputs = tuple(inputs), tuple(outputs)
        faults = [
            f"{kind} {quoted(tensor.name)} is {tensor.onnx_type}{_hint(tensor.onnx_type)}"
            for kind, tensors in (("input", inputs), ("output", outputs))
            for tensor in tensors
            if tensor.onnx_type not in DATATYPES_BY_ONNX_TYPE
        ]
        if faults:
            raise LoadFailed(f"the Open Inference Protocol cannot carry this model's tensors: {'; '.join(faults)}")
        return cls(tuple(map(_spec, inputs)), tuple(map(_spec, outputs)))

    def output(self, name: str) -> TensorSpec:
        """Raises InvalidRequest for an output that the model does not have."""
        spec = self._outputs.get(name)
        if spec is None:
            raise InvalidRequest(f"the model has no output {quoted(name)}; it gives {listed(self.outputs)}")
        return spec

    def plan(self, headers: Headers) -> InputPlan:
        """How to read the inputs of a request with these headers. Threads may share it.

        Raises InvalidRequest as `check()` does. What has passed is remembered.
        """
        plan = self._plans.get(headers)
        return self._new_plan(headers) if plan is None else plan

    def _new_plan(self, headers: Headers) -> InputPlan:
        named = tuple(TensorHeader(*header) for header in headers)
        self.check(named)
        plan = plan_inputs(named, has_batch_axis=self.has_batch_axis)
        if len(self._plans) >= _MAX_PLANS:
            self._plans.clear()
        self._plans[named] = plan
        return plan

    def bucket(self, plan: InputPlan, outputs: OutputPlan) -> int | None:
        """The same number for requests that can run as one batch; None: this one joins no other.

        Threads may share it: two numbers for the same requests cost a batch, and nothing else.
        """
        if plan.bucket is None:
            return None
        key = (plan.bucket, outputs.names)
        number = self._buckets.get(key)
        if number is None:
            if len(self._buckets) >= _MAX_PLANS:
                self._buckets.clear()
            number = self._buckets[key] = next(self._numbers)
        return number

    def check(self, headers: Sequence[TensorHeader]) -> None:
        """Holds the inputs of one request against the model, without looking at their data.

        After it every header has the model's name, datatype, rank and fixed dimensions, no dimension is
        negative, a symbol stands for one size throughout, and the tensor's bytes can be counted in an int64. The
        dimensions of a zero-size tensor that are not zero make at most 256 MiB.
        Raises InvalidRequest naming the tensor, what came and what is wanted.
        """
        specs = self._inputs
        if len(headers) != len(specs) or {header.name for header in headers} != specs.keys():
            raise self._name_fault(headers)
        sizes: dict[str, tuple[int, str]] = {}
        for header in headers:
            spec = specs[header.name]
            if header.datatype != spec.datatype:
                raise _datatype_fault(header, spec)
            _check_size(header, spec)
            if spec.shape is not None:
                _check_shape(header, spec, spec.shape, sizes)

    def _name_fault(self, headers: Sequence[TensorHeader]) -> InvalidRequest:
        seen: set[str] = set()
        for header in headers:
            if header.name not in self._inputs:
                wanted = listed(self.inputs)
                return InvalidRequest(f"the model has no input {quoted(header.name)}; it takes {wanted}")
            if header.name in seen:
                return InvalidRequest(f"input {quoted(header.name)} came more than once")
            seen.add(header.name)
        missing = [spec for spec in self.inputs if spec.name not in seen]
        came = listed(quoted(header.name) for header in headers)
        return InvalidRequest(f"missing input {listed(missing)}; came: {came}")


def _have_batch_axis(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bool:
    if not inputs or not all(spec.shape and not isinstance(spec.shape[0], int) for spec in (*inputs, *outputs)):
        return False
    shapes = [spec.shape for spec in inputs if spec.shape]
    symbols = {shape[0] for shape in shapes} - {None}
    return len(symbols) <= 1 and not any(symbols.intersection(shape[1:]) for shape in shapes)


def _spec(tensor: DeclaredTensor) -> TensorSpec:
    shape = None if tensor.shape is None else tuple(map(_dimension, tensor.shape))
    return TensorSpec(tensor.name, DATATYPES_BY_ONNX_TYPE[tensor.onnx_type].name, shape)


def _dimension(size: int | str | None) -> int | str | None:
    # Some exporters write -1 or an empty symbol for a dimension that may vary.
    if isinstance(size, int):
        return size if size >= 0 else None
    return size or None


def _hint(onnx_type: str) -> str:
    if onnx_type.startswith("seq(map("):
        return " (a ZipMap: skl2onnx leaves it out with options={'zipmap': False})"
    return ""


def _datatype_fault(header: TensorHeader, spec: TensorSpec) -> InvalidRequest:
    if header.datatype not in DATATYPES:
        came = f"{quoted(header.datatype)}, which is none of {', '.join(DATATYPES)}"
        return InvalidRequest(f"input {quoted(header.name)} has datatype {came}; wanted {spec.datatype}")
    return InvalidRequest(f"input {quoted(header.name)} has datatype {header.datatype}; wanted {spec.datatype}")


def _check_size(header: TensorHeader, spec: TensorSpec) -> None:
    """No negative dimension, not too many of them, and no overflow when bytes are counted."""
    name, _, shape = header
    if len(shape) > _MAX_RANK:
        raise InvalidRequest(f"input {quoted(name)} has {len(shape)} dimensions; wanted at most {_MAX_RANK}")
    if shape and min(shape) < 0:
        raise InvalidRequest(
            f"input {quoted(name)} has shape {shape_text(shape)} with a negative dimension; "
            f"wanted {shape_text(spec.shape)}"
        )
    # A zero empties the tensor, but the products of the other dimensions are still computed downstream.
    size_bytes = math.prod([size or 1 for size in shape]) * DATATYPES[header.datatype].dtype.itemsize
    if size_bytes > _MAX_BYTES:
        raise InvalidRequest(
            f"input {quoted(name)} has shape {shape_text(shape)}, more bytes than can be counted; "
            f"wanted {shape_text(spec.shape)}"
        )
    if size_bytes > _MAX_BYTES_BESIDE_ZERO and 0 in shape:
        raise InvalidRequest(
            f"input {quoted(name)} has shape {shape_text(shape)}: empty, but {size_bytes} bytes without its zeros; "
            f"wanted at most {_MAX_BYTES_BESIDE_ZERO}"
        )


def _check_shape(
    header: TensorHeader, spec: TensorSpec, wanted: tuple[int | str | None, ...], sizes: dict[str, tuple[int, str]]
) -> None:
    """`sizes` has the size of each symbol seen so far in this request, and the input it was seen in."""
    name, _, shape = header
    if len(shape) != len(wanted):
        raise InvalidRequest(
            f"input {quoted(name)} has shape {shape_text(shape)} of rank {len(shape)}; "
            f"wanted {shape_text(spec.shape)} of rank {len(wanted)}"
        )
    for axis, (size, want) in enumerate(zip(shape, wanted, strict=True)):
        if isinstance(want, int):
            if size != want:
                raise InvalidRequest(
                    f"input {quoted(name)} has shape {shape_text(shape)}; "
                    f"wanted {shape_text(spec.shape)}: dimension {axis} is {size}, not {want}"
                )
        elif want is not None:
            first_size, first_name = sizes.setdefault(want, (size, name))
            if first_size != size:
                raise InvalidRequest(
                    f"dimension {quoted(want)} is {first_size} in input {quoted(first_name)} "
                    f"and {size} in input {quoted(name)}; wanted one size"
                )
