"""A worse reload of a model that is served, as its clients see it."""

from pathlib import Path

import grpc
import numpy as np
import pytest

from ortolan.inference import inference_pb2 as pb
from ortolan_client import Client, OrtolanClientError
from tests import models
from tests.faulty_provider.faulty import Faulty
from tests.serving import running_server

BELOW = '\n[[chain]]\nprovider = "cpu"\n\n[require]\nprovider = ["faulty", "cpu"]\nnode_share = 0.0\n'
MOVED = "1 node runs further down than now: mul (Mul) faulty → cpu"
ONES = {"x": np.ones((1, 2), np.float32)}


def load_by_force(address: str) -> None:
    request = pb.RepositoryModelLoadRequest(model_name="m")
    request.parameters["ortolan_force"].bool_param = True
    with grpc.insecure_channel(address) as channel:
        load = channel.unary_unary(
            "/inference.GRPCInferenceService/RepositoryModelLoad",
            request_serializer=pb.RepositoryModelLoadRequest.SerializeToString,
            response_deserializer=pb.RepositoryModelLoadResponse.FromString,
        )
        load(request, timeout=60)


def test_it_is_refused_with_the_nodes_by_name_until_it_is_forced(faulty: Faulty, tmp_path: Path) -> None:
    models.save(models.affine(), tmp_path / "models" / "m", toml=faulty.toml + BELOW)
    with (
        running_server(tmp_path / "models", env=faulty.environment) as server,
        Client(server.address) as client,
    ):
        faulty.commands.say("skip Mul")
        with pytest.raises(OrtolanClientError) as refused:
            client.load("m")
        assert refused.value.code == "FAILED_PRECONDITION"
        assert MOVED in refused.value.message
        assert "ortolan_force = true" in refused.value.message
        (row,) = client.index()
        assert row.state == "READY"
        (summary,) = client.assignments()
        assert row.reason == summary.reason
        assert MOVED in row.reason
        assert client.infer("m", ONES)["y"].tolist() == [[3, 3]]
        assert {share.provider: share.nodes for share in client.assignment("m").shares} == {"faulty": 2}

        load_by_force(server.address)
        assert {share.provider: share.nodes for share in client.assignment("m").shares} == {"faulty": 1, "cpu": 1}
        (row,) = client.index()
        assert (row.state, row.reason) == ("READY", "")
        assert client.infer("m", ONES)["y"].tolist() == [[3, 3]]
