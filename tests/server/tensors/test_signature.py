from dataclasses import dataclass

import pytest

from ortolan_server.errors import InvalidRequest, LoadFailed
from ortolan_server.tensors import Shape, Signature, TensorHeader, TensorSpec

PAIR = Signature(
    (TensorSpec("a", "FP32", ("batch", 3)), TensorSpec("b", "INT64", ("batch", None))),
    (TensorSpec("y", "FP32", ("batch",)),),
)


@dataclass(frozen=True)
class Declared:
    name: str
    onnx_type: str
    shape: Shape = ()


def check(signature: Signature, *headers: tuple[str, str, tuple[int, ...]]) -> None:
    signature.check([TensorHeader(*header) for header in headers])


def one(shape: Shape, datatype: str = "FP32") -> Signature:
    return Signature((TensorSpec("x", datatype, shape),), ())


def test_of_translates_what_a_session_declares() -> None:
    signature = Signature.of(
        [Declared("x", "tensor(float)", ("N", 3, None, "", -1, 0)), Declared("any", "tensor(string)", None)],
        [Declared("y", "tensor(bfloat16)")],
    )
    assert signature.inputs == (
        TensorSpec("x", "FP32", ("N", 3, None, None, None, 0)),
        TensorSpec("any", "BYTES", None),
    )
    assert signature.outputs == (TensorSpec("y", "BF16", ()),)


def test_of_refuses_what_the_protocol_cannot_carry_and_names_it() -> None:
    with pytest.raises(LoadFailed) as caught:
        Signature.of(
            [Declared("x", "tensor(float)"), Declared("c", "tensor(complex64)")],
            [Declared("probabilities", "seq(map(int64,tensor(float)))"), Declared("o", "optional(tensor(float))")],
        )
    text = str(caught.value)
    assert "input 'c' is tensor(complex64)" in text
    assert "output 'probabilities' is seq(map(int64,tensor(float))) (a ZipMap" in text
    assert "output 'o' is optional(tensor(float))" in text
    assert "'x'" not in text


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        ([("N", 3), ("N",)], [("N",)], True),
        ([("N", 3), (None, 3)], [(None, 2)], True),
        ([("N", 3)], [("unk__7", 2)], True),
        ([(1, 3)], [("N",)], False),
        ([("N", 3)], [(1, 3)], False),
        ([("N", 3), ()], [("N",)], False),
        ([("N", 3), None], [("N",)], False),
        ([("N", 3), (2, "N", 128)], [("N",)], False),
        ([("N", "N")], [("N",)], False),
        ([("N",), ("M",)], [("N",)], False),
        ([], [("N",)], False),
    ],
)
def test_has_batch_axis(inputs: list[Shape], outputs: list[Shape], *, expected: bool) -> None:
    signature = Signature(
        tuple(TensorSpec(f"x{index}", "FP32", shape) for index, shape in enumerate(inputs)),
        tuple(TensorSpec(f"y{index}", "FP32", shape) for index, shape in enumerate(outputs)),
    )
    assert signature.has_batch_axis is expected


@pytest.mark.parametrize("shape", [(2, 3), (0, 3), (2**40, 3)])
def test_fitting_inputs_pass_in_any_order(shape: tuple[int, int]) -> None:
    check(PAIR, ("b", "INT64", (shape[0], 7)), ("a", "FP32", shape))


def test_scalars_and_any_rank() -> None:
    check(one(()), ("x", "FP32", ()))
    check(one(None), ("x", "FP32", ()))
    check(one(None), ("x", "FP32", (1, 2, 3)))


A = ("a", "FP32", (2, 3))
B = ("b", "INT64", (2, 5))


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ([A], "missing input 'b' INT64[batch,?]; came: 'a'"),
        ([], "missing input 'a' FP32[batch,3], 'b' INT64[batch,?]; came: nothing"),
        ([A, ("c", "FP32", (1,))], "the model has no input 'c'; it takes 'a' FP32[batch,3], 'b' INT64[batch,?]"),
        ([A, B, ("c", "FP32", (1,))], "the model has no input 'c'"),
        ([A, A], "input 'a' came more than once"),
        ([A, B, B], "input 'b' came more than once"),
        ([("a", "FP64", (2, 3)), B], "input 'a' has datatype FP64; wanted FP32"),
        ([("a", "float32", (2, 3)), B], "input 'a' has datatype 'float32', which is none of BOOL, INT8"),
        ([("a", "", (2, 3)), B], "input 'a' has datatype '', which is none of BOOL"),
        ([("a", "FP32", (2, 3, 1)), B], "input 'a' has shape [2,3,1] of rank 3; wanted [batch,3] of rank 2"),
        ([("a", "FP32", ()), B], "input 'a' has shape [] of rank 0; wanted [batch,3] of rank 2"),
        ([("a", "FP32", (2, 4)), B], "input 'a' has shape [2,4]; wanted [batch,3]: dimension 1 is 4, not 3"),
        ([("a", "FP32", (-1, 3)), B], "input 'a' has shape [-1,3] with a negative dimension; wanted [batch,3]"),
        ([A, ("b", "INT64", (4, 5))], "dimension 'batch' is 2 in input 'a' and 4 in input 'b'; wanted one size"),
        ([B, ("a", "FP32", (9, 3))], "dimension 'batch' is 2 in input 'b' and 9 in input 'a'; wanted one size"),
    ],
)
def test_unfitting_inputs_are_refused_by_name(headers: list[tuple[str, str, tuple[int, ...]]], text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(PAIR, *headers)
    assert text in str(caught.value)


def test_symbol_twice_in_one_input() -> None:
    square = one(("n", "n"))
    check(square, ("x", "FP32", (3, 3)))
    with pytest.raises(InvalidRequest, match=r"dimension 'n' is 3 in input 'x' and 4 in input 'x'"):
        check(square, ("x", "FP32", (3, 4)))


@pytest.mark.parametrize(
    ("datatype", "shape"),
    [
        ("FP32", (2**62, 4)),
        ("FP32", (2**61, 1)),
        ("INT8", (2**63 - 1, 2)),
        ("INT8", (0, 2**62, 2**62)),
        ("BYTES", (2**60, 1)),
    ],
)
def test_sizes_that_overflow_are_refused(datatype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRequest, match="input 'x' has shape .* more bytes than can be counted"):
        check(one((None,) * len(shape), datatype), ("x", datatype, shape))


@pytest.mark.parametrize(
    ("datatype", "shape", "size_bytes"),
    [
        ("FP32", (0, 2**29), 2**31),
        ("FP32", (2**26 + 1, 0), 2**28 + 4),
        ("INT8", (2**14, 0, 2**15, 0), 2**29),
        ("BYTES", (0, 2**26), 2**29),
    ],
)
def test_empty_tensors_with_huge_dimensions_are_refused(datatype: str, shape: tuple[int, ...], size_bytes: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(one((None,) * len(shape), datatype), ("x", datatype, shape))
    dimensions = ",".join(map(str, shape))
    assert str(caught.value) == (
        f"input 'x' has shape [{dimensions}]: empty, but {size_bytes} bytes without its zeros; wanted at most 268435456"
    )


@pytest.mark.parametrize("shape", [(0, 2**26), (2**13, 0, 2**13), (0, 0), (0, 3, 2160, 3840)])
def test_empty_tensors_with_dimensions_that_data_could_fill_pass(shape: tuple[int, ...]) -> None:
    check(one(None), ("x", "FP32", shape))


def test_largest_countable_size_passes() -> None:
    check(one((None, None), "INT8"), ("x", "INT8", (2**63 - 1, 1)))


def test_more_dimensions_than_arrays_have() -> None:
    with pytest.raises(InvalidRequest, match="input 'x' has 33 dimensions; wanted at most 32"):
        check(one(None), ("x", "FP32", (1,) * 33))


def test_messages_stay_short_and_printable_whatever_comes() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(PAIR, A, ("evil\r\n" * 100_000, "FP32", (1,)))
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidRequest) as caught:
        check(one((1,)), ("x", "D" * 100_000, (1,)))
    assert len(str(caught.value)) < 400
    many = [(f"{index}", "FP32", (1,)) for index in range(1000)]
    with pytest.raises(InvalidRequest) as caught:
        check(Signature((), ()), *many)
    assert len(str(caught.value)) < 400


def test_output_by_name() -> None:
    assert PAIR.output("y") == TensorSpec("y", "FP32", ("batch",))
    with pytest.raises(InvalidRequest, match=r"the model has no output 'z'; it gives 'y' FP32\[batch\]"):
        PAIR.output("z")
