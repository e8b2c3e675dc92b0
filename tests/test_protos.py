"""The wire contract: fresh stubs, Triton's numbers, and peace with other clients in one process."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

from ortolan.inference import inference_pb2, model_config_pb2

ROOT = Path(__file__).parents[1]

# In the Open Inference Protocol but not in Triton's edition of it, whose clients skip what they do not know.
BEYOND_TRITON = {("inference.ModelMetadataResponse", "properties", 6)}
# Theirs sit in a `oneof`, which the wire does not show.
OURS_WITHOUT_ONEOF = {
    f"inference.ModelConfig.{name}" for name in ("dynamic_batching", "sequence_batching", "ensemble_scheduling")
}


def test_stubs_are_fresh() -> None:
    pytest.importorskip("grpc_tools", reason="the generator is a development dependency")
    done = subprocess.run(
        [sys.executable, str(ROOT / "protos" / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def messages(file: FileDescriptor) -> Iterator[Descriptor]:
    """Every message of a file, nested ones included, map entries not."""
    pending: list[Descriptor] = list(file.message_types_by_name.values())
    while pending:
        message = pending.pop()
        if not message.GetOptions().map_entry:
            yield message
            pending += message.nested_types


def shape(field: FieldDescriptor) -> dict[str, Any]:
    """All that the wire and JSON know of a field."""
    oneof = field.containing_oneof
    return {
        "name": field.name,
        "type": field.type,
        "repeated": field.is_repeated,
        "packed": field.is_packed,
        "message": field.message_type.full_name if field.message_type else None,
        "enum": field.enum_type.full_name if field.enum_type else None,
        "oneof": oneof.name if oneof and field.full_name not in OURS_WITHOUT_ONEOF else None,
    }


OURS = [message for file in (inference_pb2, model_config_pb2) for message in messages(file.DESCRIPTOR)]


@pytest.fixture(scope="module")
def triton() -> Any:
    return pytest.importorskip("tritonclient.grpc.service_pb2").DESCRIPTOR


@pytest.mark.parametrize("message", OURS, ids=lambda message: message.full_name)
def test_message_equals_tritons(message: Descriptor, triton: Any) -> None:
    theirs = triton.pool.FindMessageTypeByName(message.full_name).fields_by_number
    beyond = {
        (message.full_name, field.name, number)
        for number, field in message.fields_by_number.items()
        if number not in theirs
    }
    assert beyond <= BEYOND_TRITON
    for number, field in message.fields_by_number.items():
        if number in theirs:
            assert shape(field) == shape(theirs[number])


def test_properties_are_published() -> None:
    field = inference_pb2.ModelMetadataResponse.DESCRIPTOR.fields_by_name["properties"]
    assert field.number == 6
    assert field.message_type is not None
    assert field.message_type.GetOptions().map_entry


def test_enums_equal_tritons(triton: Any) -> None:
    ours = list(model_config_pb2.DESCRIPTOR.enum_types_by_name.values())
    ours += [enum for message in OURS for enum in message.enum_types]
    assert {enum.full_name for enum in ours} >= {"inference.DataType", "inference.ModelInstanceGroup.Kind"}
    for enum in ours:
        theirs = triton.pool.FindEnumTypeByName(enum.full_name)
        assert {value.name: value.number for value in enum.values} == {
            value.name: value.number for value in theirs.values
        }


def test_methods_equal_tritons(triton: Any) -> None:
    ours = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    theirs = triton.services_by_name["GRPCInferenceService"].methods_by_name
    assert len(ours.methods) == 18
    for method in ours.methods:
        assert method.input_type.full_name == theirs[method.name].input_type.full_name
        assert method.output_type.full_name == theirs[method.name].output_type.full_name
        assert method.client_streaming == theirs[method.name].client_streaming
        assert method.server_streaming == theirs[method.name].server_streaming


IMPORTS = {
    "ortolan_client": "import ortolan_client; from ortolan.inference import inference_pb2 as ours",
    "tritonclient.grpc": "from tritonclient.grpc import service_pb2 as theirs",
    "kserve": "from kserve.protocol.grpc import grpc_predict_v2_pb2 as theirs",
}
# Both sides' messages work, and each reads what the other wrote.
EXCHANGE = """
sent = theirs.ModelInferRequest(model_name="m", id="1", raw_input_contents=[b"abc"])
sent.inputs.add(name="x", datatype="FP32", shape=[1, 3])
read = ours.ModelInferRequest.FromString(sent.SerializeToString())
assert (read.model_name, read.inputs[0].shape[:], read.raw_input_contents[:]) == ("m", [1, 3], [b"abc"])
answer = ours.ModelMetadataResponse(name="m", properties={"ortolan.verdict": "KEPT"})
assert theirs.ModelMetadataResponse.FromString(answer.SerializeToString()).name == "m"
"""


@pytest.mark.parametrize("other", ["tritonclient.grpc", "kserve"])
@pytest.mark.parametrize("ours_first", [True, False], ids=["ours-first", "theirs-first"])
def test_lives_beside(other: str, *, ours_first: bool) -> None:
    # Not imported here: the two of them cannot share a process with each other.
    if importlib.util.find_spec(other.partition(".")[0]) is None:
        pytest.skip(f"{other} is not installed")
    order = ["ortolan_client", other] if ours_first else [other, "ortolan_client"]
    program = "\n".join([*(IMPORTS[name] for name in order), EXCHANGE])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
