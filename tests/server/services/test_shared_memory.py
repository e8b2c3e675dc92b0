"""Shared memory at the service: a region that goes while a call runs, and the calls that it has of its own."""

import math
import secrets
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from ortolan.inference import inference_pb2 as pb
from ortolan_backends.runtime.session import RunHandle
from ortolan_server.codec import read_request
from ortolan_server.engine.call import Array
from ortolan_server.errors import NotAllowed, NotSupported, RegionNotFound
from ortolan_server.services.inference import InferenceService
from ortolan_server.services.shared_memory import SharedMemoryService
from ortolan_server.shared_memory import Regions
from ortolan_server.shared_memory.objects import FOLDER
from tests.server.services.models import WAIT_S, Done, Lookup, Target, signature


@pytest.fixture
def path() -> Iterator[Path]:
    path = Path(FOLDER) / f"ortolan-test-{secrets.token_hex(8)}"
    path.write_bytes(np.arange(4, dtype=np.float32).tobytes() + bytes(16))
    path.chmod(0o600)
    yield path
    path.unlink()


def test_a_region_goes_when_the_last_call_ends(path: Path) -> None:
    started, release = threading.Event(), threading.Event()

    def hold(feeds: Mapping[str, Array], _handle: RunHandle) -> Mapping[str, Array]:
        started.set()
        assert release.wait(WAIT_S)
        return {"y": np.negative(feeds["x"])}

    regions = Regions(1024)
    regions.register("r", path.name, 0, 32)
    target = Target("hold", signature({"x": ("FP32", (4,))}, {"y": ("FP32", (4,))}), hold)
    target.engine.start()
    request = pb.ModelInferRequest(model_name="hold")
    for tensor, offset in (
        (request.inputs.add(name="x", datatype="FP32", shape=[4]), 0),
        (request.outputs.add(name="y"), 16),
    ):
        tensor.parameters["shared_memory_region"].string_param = "r"
        tensor.parameters["shared_memory_byte_size"].int64_param = 16
        tensor.parameters["shared_memory_offset"].int64_param = offset
    done = Done()
    InferenceService(Lookup([target]), math.inf, regions).infer(
        read_request(request.SerializeToString()), math.inf, done
    )
    assert started.wait(WAIT_S)
    regions.unregister_all()
    assert not regions.all
    release.set()
    assert isinstance(done.only(), bytes)
    target.engine.stop()
    assert np.frombuffer(path.read_bytes()[16:], np.float32).tolist() == [0, -1, -2, -3]


def test_calls(path: Path) -> None:
    service = SharedMemoryService(Regions(1024))
    service.register(pb.SystemSharedMemoryRegisterRequest(name="r", key=path.name, offset=8, byte_size=16))
    for name in ("", "r"):
        (region,) = service.status(pb.SystemSharedMemoryStatusRequest(name=name)).regions.values()
        assert (region.name, region.key, region.offset, region.byte_size) == ("r", path.name, 8, 16)
    with pytest.raises(RegionNotFound):
        service.status(pb.SystemSharedMemoryStatusRequest(name="s"))
    service.unregister(pb.SystemSharedMemoryUnregisterRequest(name="s"))
    assert service.status(pb.SystemSharedMemoryStatusRequest()).regions
    service.unregister(pb.SystemSharedMemoryUnregisterRequest())
    assert not service.status(pb.SystemSharedMemoryStatusRequest()).regions


def test_calls_while_it_is_off() -> None:
    service = SharedMemoryService(None)
    for call in (
        lambda: service.status(pb.SystemSharedMemoryStatusRequest()),
        lambda: service.register(pb.SystemSharedMemoryRegisterRequest(name="r", key="k", byte_size=1)),
        lambda: service.unregister(pb.SystemSharedMemoryUnregisterRequest()),
    ):
        with pytest.raises(NotAllowed, match="ortolan serve --shared-memory"):
            call()


def test_cuda_is_not_implemented() -> None:
    service = SharedMemoryService(Regions(1024))
    with pytest.raises(NotSupported, match="CUDA shared memory is not implemented"):
        service.cuda_register(pb.CudaSharedMemoryRegisterRequest(name="r"))
    with pytest.raises(NotSupported, match="CUDA shared memory is not implemented"):
        service.cuda_status(pb.CudaSharedMemoryStatusRequest())
    assert service.cuda_unregister(pb.CudaSharedMemoryUnregisterRequest()) == pb.CudaSharedMemoryUnregisterResponse()
