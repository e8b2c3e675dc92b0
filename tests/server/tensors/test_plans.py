"""What is worked out once for requests that look the same."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ortolan_server.errors import InvalidRequest
from ortolan_server.tensors import (
    DATATYPES,
    Array,
    OutputHeader,
    Signature,
    TensorHeader,
    TensorSpec,
    decode_inputs,
    decode_raw,
    encode_raw,
    signature,
)

PAIR = (TensorSpec("a", "FP32", ("batch", None)), TensorSpec("b", "INT64", ("batch", 7)))
BATCHED = Signature(PAIR, (TensorSpec("y", "FP32", ("batch",)), TensorSpec("z", "BYTES", ("batch",))))
FIXED = Signature(PAIR, (TensorSpec("y", "FP32", (1,)),))


def headers(rows: int = 2, width: int = 3) -> tuple[TensorHeader, ...]:
    return (TensorHeader("a", "FP32", (rows, width)), TensorHeader("b", "INT64", (rows, 7)))


def test_rows_are_those_of_a_batch() -> None:
    assert BATCHED.plan(headers(5)).rows == 5
    assert BATCHED.plan(headers(0)).rows == 0
    assert FIXED.plan(headers(5)).rows == 1


def test_bucket_is_the_same_for_what_can_be_stacked_and_for_nothing_else() -> None:
    bucket = BATCHED.plan(headers()).bucket
    assert hash(bucket) == hash(BATCHED.plan(headers(9)).bucket)
    assert bucket == BATCHED.plan(headers(9)).bucket == BATCHED.plan(headers()[::-1]).bucket
    assert bucket != BATCHED.plan(headers(width=4)).bucket
    assert FIXED.plan(headers()).bucket is None


def test_dimensions_without_a_name_may_differ_and_are_not_stacked_then() -> None:
    nameless = Signature(
        (TensorSpec("a", "FP32", (None, 3)), TensorSpec("b", "FP32", (None,))), (TensorSpec("y", "FP32", (None,)),)
    )
    assert nameless.has_batch_axis
    assert nameless.plan((TensorHeader("a", "FP32", (2, 3)), TensorHeader("b", "FP32", (4,)))).bucket is None
    assert nameless.plan((TensorHeader("a", "FP32", (2, 3)), TensorHeader("b", "FP32", (2,)))).bucket is not None


def test_headers_that_passed_are_remembered_and_others_are_refused_each_time() -> None:
    assert BATCHED.plan(headers()) is BATCHED.plan((("a", "FP32", (2, 3)), ("b", "INT64", (2, 7))))
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="input 'b' has datatype FP32; wanted INT64"):
            BATCHED.plan((("a", "FP32", (2, 3)), ("b", "FP32", (2, 7))))


def test_what_is_remembered_does_not_grow_for_ever() -> None:
    one = Signature((TensorSpec("x", "INT8", (None,)),), ())
    most = 0
    for size in range(2 * signature._MAX_PLANS + 10):
        assert one.plan((("x", "INT8", (size,)),)).headers == (("x", "INT8", (size,)),)
        most = max(most, len(one._plans))
    assert most == signature._MAX_PLANS


def test_outputs_of_a_request_that_names_none() -> None:
    plan = BATCHED.all_outputs
    assert (plan.names, plan.class_counts) == (("y", "z"), ())
    assert plan.headers == (OutputHeader("y", "FP32"), OutputHeader("z", "BYTES"))


@st.composite
def raw_inputs(draw: st.DrawFn) -> tuple[TensorHeader, bytes]:
    """Mostly as much data as the header says."""
    datatype = DATATYPES[draw(st.sampled_from(tuple(DATATYPES)))]
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    data = draw(st.binary(max_size=64))
    if datatype.item_size and draw(st.booleans()):
        data = (b"\1" + data * 64)[: math.prod(shape) * datatype.item_size]
    return TensorHeader("x", datatype.name, shape), data


def outcome(decode: Callable[[], Array]) -> str | tuple[object, ...]:
    try:
        array = decode()
    except InvalidRequest as error:
        return str(error)
    assert array.flags.aligned
    return array.dtype, array.shape, encode_raw(array)


@settings(max_examples=300)
@given(raw_inputs(), st.integers(0, 3))
def test_planned_inputs_are_read_as_any_other(tensor: tuple[TensorHeader, bytes], offset: int) -> None:
    header, data = tensor
    plan = Signature((TensorSpec("x", header.datatype, None),), ()).plan((header,))
    raw = memoryview(bytes(offset) + data)[offset:]
    assert outcome(lambda: decode_inputs(plan, [raw])["x"]) == outcome(lambda: decode_raw(header, data))


def test_large_inputs_are_views_where_they_are_aligned() -> None:
    message = bytes(8) + np.arange(4, dtype=np.float64).tobytes()
    plan = Signature((TensorSpec("x", "FP64", (None,)),), ()).plan((("x", "FP64", (4,)),))
    array = decode_inputs(plan, [memoryview(message)[8:]])["x"]
    assert np.shares_memory(array, np.frombuffer(message, np.uint8))
    assert array.tolist() == [0, 1, 2, 3]
