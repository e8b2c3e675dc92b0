"""The parameters of a load: types, and which need which."""

import pytest

from ortolan.inference.inference_pb2 import ModelRepositoryParameter
from ortolan_server.errors import InvalidRequest, NotSupported
from ortolan_server.services.load_parameters import LoadParameters, read_load_parameters

P = ModelRepositoryParameter
CONFIG = P(string_param="{}")


def test_none() -> None:
    assert read_load_parameters({}) == LoadParameters()


def test_all_of_them() -> None:
    parameters = {"config": CONFIG, "file:1/model.onnx": P(bytes_param=b"x"), "ortolan_force": P(bool_param=True)}
    assert read_load_parameters(parameters) == LoadParameters(force=True, config="{}", files={"1/model.onnx": b"x"})


def test_an_empty_configuration_is_one() -> None:
    assert read_load_parameters({"config": P(string_param="")}).config == ""


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"ortolan_force": P(string_param="yes")}, "'ortolan_force' is string_param; wanted bool_param"),
        ({"config": P(bytes_param=b"{}")}, "'config' is bytes_param; wanted string_param"),
        ({"config": P()}, "'config' is nothing; wanted string_param"),
        (
            {"config": CONFIG, "file:1/model.onnx": P(string_param="x")},
            "'file:1/model.onnx' is string_param; wanted bytes_param",
        ),
        ({"file:1/model.onnx": P(bytes_param=b"x")}, "'file:1/model.onnx' needs the parameter 'config' beside it"),
    ],
)
def test_what_makes_no_sense(parameters: dict[str, ModelRepositoryParameter], told: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_load_parameters(parameters)
    assert str(raised.value) == f"load parameter {told}"


def test_unknown_ones_are_named() -> None:
    with pytest.raises(
        NotSupported, match=r"load parameters \(File:x, colour\) .*known: config, file:<path>, ortolan_f"
    ):
        read_load_parameters({"colour": P(string_param="blue"), "File:x": P(bytes_param=b"x")})
