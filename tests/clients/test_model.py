"""Model handles: what a model takes is known here, and what does not fit is told before anything is sent."""

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import ArrayLike

from ortolan.inference.inference_pb2 import ModelMetadataResponse
from ortolan_client import BadAnswer, Client, InvalidInput, NotFound, TensorSpec
from ortolan_client._signature import Signature, signature_of
from tests.clients.canned import CannedServer

FOUR = np.ones((1, 4), np.int32)


def spec(datatype: str, *shape: int) -> TensorSpec:
    return TensorSpec("x", datatype, shape)


def test_a_handle_knows_its_model(client: Client) -> None:
    simple = client.model("simple")
    assert (simple.name, simple.version, simple.batch_axis) == ("simple", "", 0)
    assert list(simple.inputs) == ["INPUT0", "INPUT1"]
    takes = simple.inputs["INPUT1"]
    assert (takes.datatype, takes.dtype, takes.shape) == ("INT32", np.dtype(np.int32), (-1, 4))
    assert [str(spec) for spec in simple.outputs.values()] == ["INT32 [-1, 4]"]
    assert repr(client.model("words", "1")) == (
        "<model words/1: text BYTES [-1, 1] → label BYTES [-1], score FP32 [-1, 2]>"
    )
    assert simple.ready()
    with pytest.raises(NotFound):
        client.model("nobody")


def test_a_handle_infers(client: Client, canned: CannedServer) -> None:
    simple = client.model("simple", "1")
    feeds: dict[str, ArrayLike] = {"INPUT0": FOUR, "INPUT1": [[1, 2, 3, 4]]}
    assert simple.infer(feeds)["SUM"].tolist() == [[2, 3, 4, 5]]
    assert canned.requests[-1].model_version == "1"
    assert simple.submit(feeds).result(20)["SUM"].tolist() == [[2, 3, 4, 5]]
    assert [answer["SUM"].tolist() for answer in simple.stream([feeds, feeds])] == [[[2, 3, 4, 5]]] * 2


def test_the_only_input_needs_no_name(client: Client) -> None:
    assert client.model("words").infer([["hello"]])["label"].tolist() == [b"python", b"\xff\xfeB"]


@pytest.mark.parametrize(
    ("feeds", "text"),
    [
        ({"INPUT0": FOUR}, "model 'simple': needs input 'INPUT1' INT32 [-1, 4]"),
        (
            {"INPUT0": FOUR, "INPUT1": FOUR, "INPUT2": FOUR},
            "model 'simple': has no input 'INPUT2'; it takes 'INPUT0' INT32 [-1, 4], 'INPUT1' INT32 [-1, 4]",
        ),
        (
            {"INPUT0": FOUR, "INPUT1": FOUR.astype(np.int64)},
            (
                "model 'simple': input 'INPUT1': takes INT32 [-1, 4], got int64 [1, 4], which could lose values: "
                "array.astype(np.int32) says that this is meant"
            ),
        ),
        (
            {"INPUT0": FOUR, "INPUT1": FOUR[0]},
            "model 'simple': input 'INPUT1': takes INT32 [-1, 4], got [4]; a batch of one is array[np.newaxis]",
        ),
        ({"INPUT0": FOUR, "INPUT1": FOUR[:, :3]}, "model 'simple': input 'INPUT1': takes INT32 [-1, 4], got [1, 3]"),
        (FOUR, "model 'simple': has 2 inputs, to be given by name: 'INPUT0' INT32 [-1, 4], 'INPUT1' INT32 [-1, 4]"),
    ],
)
def test_what_does_not_fit_is_not_sent(client: Client, canned: CannedServer, feeds: ArrayLike, text: str) -> None:
    simple = client.model("simple")
    canned.requests.clear()
    for call in (simple.infer, simple.submit, lambda feeds: next(simple.stream([feeds]))):
        with pytest.raises(InvalidInput) as caught:
            call(feeds)
        assert (caught.value.message, caught.value.model) == (text, "simple")
    with pytest.raises(InvalidInput, match=r"has no output 'SUMS'; it gives 'SUM' INT32 \[-1, 4\]"):
        simple.infer({"INPUT0": FOUR, "INPUT1": FOUR}, outputs=["SUMS"])
    assert canned.requests == []


def test_metadata_that_break_the_protocol_are_an_error() -> None:
    metadata = ModelMetadataResponse(name="m")
    metadata.inputs.add(name="x", datatype="FP33", shape=[1])
    with pytest.raises(BadAnswer, match="'FP33' is no datatype of the protocol"):
        signature_of(metadata, "")


def test_the_batch_axis_is_that_of_all() -> None:
    batched, fixed = {"x": spec("FP32", -1, 2)}, {"x": spec("FP32", 2, -1)}
    assert Signature("m", "", batched, batched).batch_axis == 0
    assert Signature("m", "", batched, fixed).batch_axis is None
    assert Signature("m", "", {**batched, "rate": spec("INT64")}, batched).batch_axis is None


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        (spec("FP32", -1), np.array([1, 2], np.int16)),
        (spec("FP32", -1), np.array([1, 2], np.float16)),
        (spec("FP64", -1), np.array([1, 2], np.int64)),
        (spec("INT64", -1), np.array([True, False])),
        (spec("INT64", -1), np.array([1, 2], ">i2")),
        (spec("FP32", -1), [0.1, 2]),
        (spec("FP32", -1), [1, 2]),
        (spec("FP16", -1), [1.5, float("nan"), float("inf")]),
        (spec("UINT8", -1), [0, 255]),
        (spec("INT8"), -128),
        (spec("UINT64", -1), [2**64 - 1]),
        (spec("BOOL", -1), [True, False]),
        (spec("FP32", -1), []),
        (spec("BYTES", -1), []),
        (spec("BF16", -1), []),
        (spec("INT64", -1), np.zeros((2, 3), np.int64)),  # [-1] may be any rank
    ],
)
def test_what_loses_nothing_is_cast(wanted: TensorSpec, value: ArrayLike) -> None:
    array = wanted.array(value)
    assert array.dtype == wanted.dtype
    np.testing.assert_array_equal(array, np.asarray(value).astype(wanted.dtype))


@pytest.mark.parametrize(
    ("wanted", "value", "text"),
    [
        (spec("FP32", -1), np.array([1.0]), r"takes FP32 \[-1\], got float64 \[1\], which could lose values"),
        (spec("INT32", -1), np.array([1.0], np.float32), "got float32"),
        (spec("FP32", -1), np.array([1], np.int32), "got int32"),
        (spec("BOOL", -1), np.array([1], np.uint8), "got uint8"),
        (spec("FP32", -1), np.array(["1"]), "got <U1"),
        (spec("FP32", -1), np.array([1j]), "got complex128"),
        (spec("INT8", -1), [0, 128], r"takes INT8 \[-1\], which cannot hold 128"),
        (spec("UINT8", -1), [0, -1], "cannot hold -1"),
        (spec("UINT64", -1), [-1], "cannot hold -1"),
        (spec("INT64", -1), [2**63], "cannot hold 9223372036854775808"),
        (spec("FP16", -1), [65_520], "cannot hold 65520"),
        (spec("FP16", -1), [1e6], "cannot hold 1000000.0"),
        (spec("FP32", -1), [2**24 + 1], "cannot hold 16777217"),
        (spec("FP64", -1), [2**63 - 1], "cannot hold 9223372036854775807"),
        (spec("INT64", -1), [1.0], "got floats"),
        (spec("BOOL", -1), [1], "got whole numbers"),
        (spec("BYTES", -1), [1], "got whole numbers; BYTES are arrays of str or bytes"),
        (spec("BYTES", -1), np.array([1.5]), "got float64"),
        (spec("BF16", -1), [1.5], "BF16 is ml_dtypes.bfloat16"),
        (spec("BF16", -1), np.array([1.5], np.float32), "BF16 is ml_dtypes.bfloat16"),
        (spec("FP32", -1, 2), [[1], [2, 3]], "inhomogeneous"),
        (spec("FP32"), [1.0], r"takes FP32 \[\], got \[1\]"),
    ],
)
def test_what_could_lose_something_is_refused(wanted: TensorSpec, value: ArrayLike, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        wanted.array(value)


@pytest.mark.parametrize(
    "value",
    [np.array(["a", "b"]), np.array([b"a"]), np.array(["a", b"b"], object), ["a", "b"]],
    ids=["str", "bytes", "object", "list"],
)
def test_text_goes_as_it_is(value: ArrayLike) -> None:
    assert spec("BYTES", -1).array(value).dtype.kind in "OSU"


def test_bf16_is_its_own_type_or_its_bits() -> None:
    bits = np.array([0x3F80], np.uint16)
    assert spec("BF16", -1).array(bits) is bits
    assert spec("BF16", -1).array(bits.view(ml_dtypes.bfloat16)).dtype == ml_dtypes.bfloat16
