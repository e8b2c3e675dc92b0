"""Metadata and configuration as messages."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from ortolan.inference import inference_pb2 as pb
from ortolan.inference import model_config_pb2 as config_pb
from ortolan_server.errors import InvalidRequest, ModelNotFound, ModelNotReady
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.services.metadata import MetadataService
from tests import models
from tests.server.conftest import Manage

DEGRADED = '[require]\nforbid_on_cpu = ["Add"]\notherwise = "degrade"\n'


def service(manager: ModelManager, *, ready_when_empty: bool = False) -> MetadataService:
    return MetadataService(manager, version="1.2.3", ready_when_empty=ready_when_empty)


@pytest.fixture
def metadata(manage: Manage, tmp_path: Path) -> MetadataService:
    models.save(models.add_one(), tmp_path / "add_one", toml="[limits]\nconcurrency = 3\n")
    models.save(models.add_one(), tmp_path / "degraded", toml=DEGRADED)
    models.save(models.add_one(), tmp_path / "broken", toml='[[chain]]\nprovider = "absent"\n')
    kinds = models.model(
        [
            helper.make_node("Identity", ["text"], ["same"], name="text"),
            helper.make_node("Identity", ["any"], ["any_same"], name="any"),
            helper.make_node("Cast", ["scalar"], ["half"], name="half", to=TensorProto.FLOAT16),
        ],
        [
            models.value("text", TensorProto.STRING, ["N", None, 3]),
            models.value("any", TensorProto.FLOAT, None),
            models.value("scalar", TensorProto.INT64, []),
        ],
        [
            models.value("same", TensorProto.STRING, ["N", None, 3]),
            models.value("any_same", TensorProto.FLOAT, None),
            models.value("half", TensorProto.FLOAT16, []),
        ],
    )
    models.save(kinds, tmp_path / "kinds")
    return service(manage(tmp_path))


def test_the_server(metadata: MetadataService) -> None:
    answer = metadata.server_metadata(pb.ServerMetadataRequest())
    assert (answer.name, answer.version) == ("ortolan", "1.2.3")
    assert {"binary_tensor_data", "model_repository", "statistics"} <= set(answer.extensions)
    assert metadata.server_live(pb.ServerLiveRequest()).live


def test_ready_when_every_required_model_serves(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "good" / "m")
    models.save(models.add_one(), tmp_path / "bad" / "m", toml='[[chain]]\nprovider = "absent"\n')
    for folder, ready in (("good", True), ("bad", False)):
        answer = service(manage(tmp_path / folder)).server_ready(pb.ServerReadyRequest())
        assert answer.ready is ready


@pytest.mark.parametrize("ready", [True, False])
def test_an_empty_server_is_what_the_settings_say(manage: Manage, tmp_path: Path, *, ready: bool) -> None:
    metadata = service(manage(tmp_path), ready_when_empty=ready)
    assert metadata.server_ready(pb.ServerReadyRequest()).ready is ready


def test_which_models_are_ready(metadata: MetadataService) -> None:
    def ready(name: str, version: str = "") -> bool:
        return metadata.model_ready(pb.ModelReadyRequest(name=name, version=version)).ready

    assert ready("add_one")
    assert ready("add_one", "1")
    assert ready("degraded")
    assert not ready("broken")
    with pytest.raises(ModelNotFound):
        ready("nothing")
    with pytest.raises(ModelNotFound):
        ready("add_one", "2")
    with pytest.raises(InvalidRequest):
        ready("add_one", "newest")


def test_a_model_with_an_unusable_file_is_known_and_not_ready(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml="colour = 1\n")
    metadata = service(manage(tmp_path))
    assert not metadata.model_ready(pb.ModelReadyRequest(name="m")).ready
    with pytest.raises(ModelNotReady, match="colour"):
        metadata.model_metadata(pb.ModelMetadataRequest(name="m"))


def test_tensors_with_minus_one_for_what_varies(metadata: MetadataService) -> None:
    answer = metadata.model_metadata(pb.ModelMetadataRequest(name="kinds"))
    inputs = {tensor.name: (tensor.datatype, list(tensor.shape)) for tensor in answer.inputs}
    assert inputs == {"text": ("BYTES", [-1, -1, 3]), "any": ("FP32", [-1]), "scalar": ("INT64", [])}
    assert [tensor.name for tensor in answer.outputs] == ["same", "any_same", "half"]
    assert answer.outputs[2].datatype == "FP16"
    assert (answer.platform, list(answer.versions)) == ("onnxruntime_onnx", ["1"])


def test_properties_of_a_kept_contract(metadata: MetadataService) -> None:
    answer = metadata.model_metadata(pb.ModelMetadataRequest(name="add_one"))
    assert dict(answer.properties) == {
        "ortolan.state": "READY",
        "ortolan.verdict": "KEPT",
        "ortolan.chain": "cpu",
        "ortolan.provider": "cpu",
        "ortolan.rung": "1",
        "ortolan.nodes": "cpu=1",
        "ortolan.node_share": "1.0000",
    }


def test_properties_of_a_degraded_one_say_why(metadata: MetadataService) -> None:
    found = metadata.model_metadata(pb.ModelMetadataRequest(name="degraded")).properties
    assert (found["ortolan.state"], found["ortolan.verdict"]) == ("DEGRADED", "DEGRADED")
    assert found["ortolan.reason"] == "on the CPU, where the contract forbids them: 1 Add"


def test_a_failed_model_has_no_metadata_but_a_reason(metadata: MetadataService) -> None:
    for ask in (
        lambda: metadata.model_metadata(pb.ModelMetadataRequest(name="broken")),
        lambda: metadata.model_config(pb.ModelConfigRequest(name="broken")),
    ):
        with pytest.raises(ModelNotReady, match="model 'broken' version 1 is FAILED: .*libabsent.so.1 is missing"):
            ask()


def test_the_configuration(metadata: MetadataService) -> None:
    config = metadata.model_config(pb.ModelConfigRequest(name="add_one")).config
    assert (config.name, config.platform, config.backend) == ("add_one", "onnxruntime_onnx", "onnxruntime")
    assert config.max_batch_size == 0
    (x,), (y,) = config.input, config.output
    assert (x.name, x.data_type, list(x.dims)) == ("x", config_pb.TYPE_FP32, [-1, 2])
    assert (y.name, y.data_type, list(y.dims)) == ("y", config_pb.TYPE_FP32, [-1, 2])
    assert config.instance_group[0].count == 3
    assert config.default_model_filename == "model.onnx"
    assert config.version_policy.latest.num_versions == 1
    assert config.parameters["ortolan.provider"].string_value == "cpu"
    assert not config.model_transaction_policy.decoupled


def test_texts_are_strings_in_the_configuration(metadata: MetadataService) -> None:
    config = metadata.model_config(pb.ModelConfigRequest(name="kinds")).config
    assert [tensor.data_type for tensor in config.input] == [
        config_pb.TYPE_STRING,
        config_pb.TYPE_FP32,
        config_pb.TYPE_INT64,
    ]


@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ("latest = 2", config_pb.ModelVersionPolicy(latest=config_pb.ModelVersionPolicy.Latest(num_versions=2))),
        ("all = true", config_pb.ModelVersionPolicy(all=config_pb.ModelVersionPolicy.All())),
        ("specific = [1]", config_pb.ModelVersionPolicy(specific=config_pb.ModelVersionPolicy.Specific(versions=[1]))),
    ],
)
def test_version_policies(manage: Manage, tmp_path: Path, policy: str, shown: config_pb.ModelVersionPolicy) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=f"[versions]\n{policy}\n")
    config = service(manage(tmp_path)).model_config(pb.ModelConfigRequest(name="m")).config
    assert config.version_policy == shown


def test_a_model_that_batches_shows_it_as_triton_does(manage: Manage, tmp_path: Path) -> None:
    toml = "[batching]\nmax_size = 16\nmax_delay_ms = 1.5\npreferred_sizes = [4, 8]\n"
    models.save(models.add_one(), tmp_path / "m", toml=toml)
    models.save(models.add_one(), tmp_path / "alone")
    metadata = service(manage(tmp_path))
    config = metadata.model_config(pb.ModelConfigRequest(name="m")).config
    assert config.max_batch_size == 16
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 8]
    assert config.dynamic_batching.max_queue_delay_microseconds == 1500
    # Triton's clients put the batch dimension in front of these, and not of those of the metadata.
    assert (list(config.input[0].dims), list(config.output[0].dims)) == ([2], [2])
    shapes = metadata.model_metadata(pb.ModelMetadataRequest(name="m")).inputs
    assert [list(tensor.shape) for tensor in shapes] == [[-1, 2]]
    alone = metadata.model_config(pb.ModelConfigRequest(name="alone")).config
    assert (alone.max_batch_size, alone.HasField("dynamic_batching")) == (0, False)
    assert list(alone.input[0].dims) == [-1, 2]
