import math

import pytest

from ortolan.inference.inference_pb2 import InferParameter
from ortolan_server.errors import InvalidRequest
from ortolan_server.services.parameters import input_place, output_wishes, requested_timeout_s
from ortolan_server.shared_memory import Place

INT = InferParameter(int64_param=7)
UINT = InferParameter(uint64_param=7)
TEXT = InferParameter(string_param="seven")
BOOL = InferParameter(bool_param=True)
DOUBLE = InferParameter(double_param=7.0)
EMPTY = InferParameter()


@pytest.mark.parametrize(
    ("timeout", "timeout_s"),
    [
        (InferParameter(int64_param=1_500_000), 1.5),
        (InferParameter(uint64_param=250), 0.00025),
        (InferParameter(string_param="2000000"), 2.0),
        (InferParameter(int64_param=0), math.inf),
        (InferParameter(string_param="0"), math.inf),
    ],
)
def test_timeout(timeout: InferParameter, timeout_s: float) -> None:
    assert requested_timeout_s({"timeout": timeout}) == timeout_s


@pytest.mark.parametrize("digits", ["", "-1", "1.5", "1e3", " 7", "٣", "9" * 20, "x" * 100_000])
def test_timeout_that_is_no_number(digits: str) -> None:
    with pytest.raises(InvalidRequest, match="parameter 'timeout' is .*; wanted a number of microseconds") as caught:
        requested_timeout_s({"timeout": InferParameter(string_param=digits)})
    assert len(str(caught.value)) < 200


def test_timeout_below_zero() -> None:
    with pytest.raises(InvalidRequest, match="parameter 'timeout' is -1; wanted at least 0 microseconds"):
        requested_timeout_s({"timeout": InferParameter(int64_param=-1)})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sequence_id", INT),
        ("sequence_id", UINT),
        ("sequence_id", TEXT),
        ("sequence_start", BOOL),
        ("sequence_end", BOOL),
        ("priority", INT),
        ("priority", UINT),
        ("binary_data_output", BOOL),
        ("triton_enable_empty_final_response", BOOL),
        ("my_own", DOUBLE),
        ("my_own", EMPTY),
    ],
)
def test_parameters_that_change_nothing(key: str, value: InferParameter) -> None:
    assert requested_timeout_s({key: value}) == math.inf


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("sequence_id", BOOL, "parameter 'sequence_id' of the request is bool_param; wanted int64_param"),
        ("sequence_start", INT, "parameter 'sequence_start' of the request is int64_param; wanted bool_param"),
        ("priority", TEXT, "parameter 'priority' of the request is string_param; wanted int64_param or uint64_param"),
        ("timeout", DOUBLE, "parameter 'timeout' of the request is double_param; wanted int64_param"),
        ("timeout", EMPTY, "parameter 'timeout' of the request is nothing; wanted int64_param"),
        ("triton_final_response", BOOL, "unknown parameter 'triton_final_response': names with 'triton_' in front"),
        ("triton_" + "x" * 100_000, BOOL, "unknown parameter 'triton_xxx"),
    ],
)
def test_parameters_that_are_refused(key: str, value: InferParameter, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        requested_timeout_s({key: value})
    assert text in str(caught.value)
    assert len(str(caught.value)) < 200


REGION, SIZE, OFFSET = "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"


@pytest.mark.parametrize(
    ("parameters", "place"),
    [
        ({REGION: TEXT, SIZE: INT}, Place("seven", 7)),
        ({REGION: TEXT, SIZE: UINT, OFFSET: INT}, Place("seven", 7, 7)),
        ({REGION: TEXT, SIZE: InferParameter(int64_param=0)}, Place("seven", 0)),
    ],
)
def test_shared_memory(parameters: dict[str, InferParameter], place: Place) -> None:
    assert input_place("x", parameters) == place
    assert output_wishes("y", parameters) == (0, place)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({SIZE: INT}, "names a place in shared memory, but no region; wanted 'shared_memory_region'"),
        ({OFFSET: INT}, "names a place in shared memory, but no region"),
        ({REGION: TEXT}, "is in shared memory, but of no size; wanted 'shared_memory_byte_size'"),
        ({REGION: INT, SIZE: INT}, "is int64_param; wanted string_param"),
        ({REGION: TEXT, SIZE: TEXT}, "is string_param; wanted int64_param or uint64_param"),
        ({REGION: TEXT, SIZE: InferParameter(int64_param=-1)}, "has -1 bytes at offset 0 of shared memory"),
        ({REGION: TEXT, SIZE: INT, OFFSET: InferParameter(int64_param=-8)}, "has 7 bytes at offset -8"),
    ],
)
def test_shared_memory_that_is_no_place(parameters: dict[str, InferParameter], text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        input_place("x", parameters)
    assert text in str(caught.value)
    with pytest.raises(InvalidRequest) as caught:
        output_wishes("y", parameters)
    assert text in str(caught.value)


def test_classification_in_shared_memory() -> None:
    with pytest.raises(InvalidRequest, match="output 'y' asks for classification and names shared memory"):
        output_wishes("y", {REGION: TEXT, SIZE: INT, "classification": INT})


def test_http_parameters_of_tensors_change_nothing() -> None:
    assert input_place("x", {"binary_data": BOOL, "binary_data_size": INT}) is None
    assert output_wishes("y", {"binary_data": BOOL}) == (0, None)


@pytest.mark.parametrize("value", [INT, UINT])
def test_classification(value: InferParameter) -> None:
    assert output_wishes("y", {"classification": value}) == (7, None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (InferParameter(int64_param=0), "output 'y' asks for classification 0; wanted at least 1"),
        (InferParameter(int64_param=-3), "output 'y' asks for classification -3; wanted at least 1"),
        (BOOL, "parameter 'classification' of output 'y' is bool_param; wanted int64_param or uint64_param"),
        (TEXT, "parameter 'classification' of output 'y' is string_param"),
    ],
)
def test_classification_that_is_no_count(value: InferParameter, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        output_wishes("y", {"classification": value})
    assert text in str(caught.value)
