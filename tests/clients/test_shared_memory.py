"""Shared memory with a real server: what does not travel, who cleans up, and what is said where it cannot be."""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import SupportsIndex

import numpy as np
import pytest
from onnx import TensorProto

from ortolan_client import AsyncClient, Client, InvalidInput, NotAllowed, NotFound, SharedMemory
from ortolan_client import _regions as regions
from ortolan_client._calls import unregister_region
from tests import models
from tests.clients.canned import CannedServer
from tests.serving import running_server

FOLDER = Path("/dev/shm")  # noqa: S108 (not for temporary files)
LARGE = (1, 2**18)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    models.save(models.identity(TensorProto.FLOAT, ["N", "M"]), folder / "identity")
    models.save(models.identity(TensorProto.STRING, ["N"]), folder / "words")
    models.save(models.simple(), folder / "simple")
    return folder


@pytest.fixture(scope="module")
def address(repository: Path) -> Iterator[str]:
    with running_server(repository, "--shared-memory", "--shared-memory-size", "16MiB") as server:
        yield server.address


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address, timeout_s=20) as client:
        yield client


def left() -> list[str]:
    """Of this process: others test at the same time."""
    return [path.name for path in FOLDER.glob(f"ortolan-{os.getpid()}-*")]


@pytest.mark.parametrize("shape", [(1, 3), LARGE])
def test_inputs_and_outputs_stay_in_the_region(client: Client, shape: tuple[int, int]) -> None:
    with client.shared_memory(2**22) as memory:
        x, y = memory.empty(shape), memory.empty(shape)
        x[...] = np.arange(x.size).reshape(shape)
        y[...] = -1
        came = client.infer("identity", {"x": x}, outputs={"y": y})["y"]
        np.testing.assert_array_equal(y, x)
        assert np.shares_memory(came, y)
        x[0, 0] = 7
        assert client.infer("identity", {"x": x})["y"][0, 0] == 7  # the output in the answer
        assert client.infer("identity", {"x": np.ones((1, 2), np.float32)}, outputs={"y": y})["y"].tolist() == [[1, 1]]
    np.testing.assert_array_equal(y[0, :2], [1, 1])  # arrays outlive their region


def test_a_request_that_is_only_places_is_small(client: Client) -> None:
    from ortolan_client._messages import write_request  # noqa: PLC0415

    with client.shared_memory(2**22) as memory:
        x, y = memory.array(np.ones(LARGE, np.float32)), memory.empty(LARGE)
        for inputs in (x, x[:, 1:], x[:, ::2]):
            data = write_request(
                "m", {"x": inputs}, version="", outputs={"y": y}, request_id="", declared={}, regions=[memory]
            )
            assert (len(data) < 1000) is bool(inputs.flags.c_contiguous)


def test_streams_futures_and_handles_use_it_too(client: Client) -> None:
    with client.shared_memory(2**22) as memory:
        x, y = memory.array(np.ones(LARGE, np.float32)), memory.empty(LARGE)
        identity = client.model("identity")
        assert np.shares_memory(client.submit("identity", {"x": x}, outputs={"y": y}).result(20)["y"], y)
        assert np.shares_memory(identity.infer(x, outputs={"y": y})["y"], y)
        (answer,) = client.stream("identity", [{"x": x}], outputs={"y": y})
        assert np.shares_memory(answer["y"], y)


def test_one_of_two_outputs_and_one_of_two_inputs(client: Client) -> None:
    ones = np.ones((1, 16), np.int32)
    with client.shared_memory(2**12) as memory:
        shared, total = memory.array(ones * 5), memory.empty((1, 16), np.int32)
        answer = client.infer("simple", {"INPUT0": ones, "INPUT1": shared}, outputs={"OUTPUT1": None, "OUTPUT0": total})
        assert (total == 6).all()
        assert np.shares_memory(answer["OUTPUT0"], total)
        assert (answer["OUTPUT1"] == -4).all()


def test_text_may_come_through_it(client: Client) -> None:
    with client.shared_memory(2**12) as memory:
        place = memory.empty(100, np.uint8)
        words = client.infer("words", {"x": np.array(["größe", "b"])}, outputs={"y": place})["y"]
        assert words.tolist() == ["größe".encode(), b"b"]


def test_nothing_is_left_behind(client: Client, address: str) -> None:
    before = left()
    memory = client.shared_memory(2**12)
    x = memory.array(np.ones((1, 2), np.float32))
    assert left() == before  # the server has it mapped: it needs no name any more
    memory.close()
    memory.close()
    assert client.infer("identity", {"x": x})["y"].tolist() == [[1, 1]]  # as any other array
    with Client(address, timeout_s=20) as other:
        other.shared_memory(2**24 - 2**12)
    client.shared_memory(2**24 - 2**12).close()  # the limit of all regions: that of the other client is gone


def test_what_does_not_fit_is_told(client: Client) -> None:
    with client.shared_memory(1000) as memory:
        memory.empty(100)
        with pytest.raises(ValueError, match=r"float32 \[200\] takes 800 bytes; 552 of 1000 are left"):
            memory.empty(200)
        assert memory.left_bytes == 600
        with pytest.raises(ValueError, match="arrays in shared memory are of numbers"):
            memory.empty(2, object)
        with pytest.raises(ValueError, match="no counterpart in the protocol"):
            memory.empty(2, np.complex64)
        with pytest.raises(InvalidInput, match="output 'y' is to be written to an array that is not in shared memory"):
            client.infer("identity", {"x": np.ones((1, 2), np.float32)}, outputs={"y": np.empty((1, 2), np.float32)})
        small = memory.empty((1, 2))
        with pytest.raises(InvalidInput, match="output 'y' has 12 bytes; wanted at most the 8 bytes"):
            client.infer("identity", {"x": np.ones((1, 3), np.float32)}, outputs={"y": small})


@pytest.mark.parametrize("shape", [3, np.int64(3), (3,), [3], (), (0, 3)])
def test_shapes_are_those_of_numpy(shape: SupportsIndex | Sequence[int]) -> None:
    region = regions.Region(2**12)
    region.forget_name()
    assert region.empty(shape).shape == np.empty(shape).shape


def test_what_was_given_out_is_not_given_again() -> None:
    region = regions.Region(2**20)
    region.forget_name()
    first = region.empty(16)
    with pytest.raises(ValueError, match="negative dimensions"):
        region.empty(-20)
    assert not np.shares_memory(first, region.empty(16))


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """They take turns as often as they can."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval_s)


@pytest.mark.usefixtures("hasty_threads")
def test_threads_get_arrays_of_their_own() -> None:
    region = regions.Region(2**20)
    region.forget_name()
    with ThreadPoolExecutor(8) as threads:
        arrays = list(threads.map(lambda _: region.empty(16), range(4000)))
    assert len({array.__array_interface__["data"][0] for array in arrays}) == len(arrays)


@pytest.mark.usefixtures("hasty_threads")
def test_threads_keep_and_drop_regions(client: Client) -> None:
    def use(region: regions.Region) -> None:
        for _ in range(2000):
            assert client._drop(region)
            client._keep(region)

    made = [regions.Region(64) for _ in range(64)]
    for region in made:
        region.forget_name()
        client._keep(region)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, made))
    assert len(client._regions) == len(made)
    client._regions = ()


def test_a_server_that_has_it_off_says_how_to_switch_it_on(repository: Path) -> None:
    before = left()
    with running_server(repository) as server, Client(server.address, timeout_s=20) as client:
        with pytest.raises(NotAllowed, match="--shared-memory"):
            client.shared_memory(2**12)
        assert left() == before
        gone = SharedMemory(2**12, client._unregister)
        gone.forget_name()
        client._regions = (gone,)
        server.stop()
        gone.close()  # a server that is gone has forgotten it: no error


def test_closing_goes_on_where_a_server_refuses(canned: CannedServer) -> None:
    with Client(canned.address, timeout_s=20) as client:  # it knows no call of shared memory
        for _ in range(2):
            region = SharedMemory(2**12, client._unregister)
            region.forget_name()
            client._keep(region)
        region.close()
    assert client._regions == ()
    with pytest.raises(ValueError, match="closed"):
        client.server_live()


def test_a_server_elsewhere_is_recognised(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its /dev/shm is not ours, as on another host.
    monkeypatch.setattr(regions, "_FOLDER", tmp_path)
    with pytest.raises(InvalidInput, match="needs a server on this machine that sees the same /dev/shm"):
        client.shared_memory(2**12)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_started_anew_does_not_know_it(client: Client) -> None:
    with client.shared_memory(2**12) as memory:
        client._call(unregister_region(memory.name), {})
        with pytest.raises(NotFound, match="no shared memory region"):
            client.infer("identity", {"x": memory.array(np.ones((1, 2), np.float32))})


def test_it_is_one_servers() -> None:
    with Client("127.0.0.1:1,127.0.0.1:2") as client, pytest.raises(ValueError, match="shared memory is one server's"):
        client.shared_memory(2**12)


def test_a_region_of_nothing_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="a region has at least one byte, not 0"):
        client.shared_memory(0)


def test_asyncio(address: str) -> None:
    async def use() -> None:
        async with AsyncClient(address, timeout_s=20) as client, await client.shared_memory(2**22) as memory:
            x, y = memory.array(np.ones(LARGE, np.float32)), memory.empty(LARGE)
            assert np.shares_memory((await client.infer("identity", {"x": x}, outputs={"y": y}))["y"], y)
            await memory.close()

    asyncio.run(use())
    assert left() == []
