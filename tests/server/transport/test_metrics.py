"""The numbers after calls that were really made: over gRPC in both lanes, read over HTTP."""

import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from urllib.request import urlopen

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ortolan_client import Client, HealthStatus, OrtolanClientError
from tests import models
from tests.serving import RunningServer, running_server

LIMIT_S = 30.0
STAGES = ("decode", "queue", "batch", "run", "encode", "send")

X = np.zeros((2, 2), np.float32)


@pytest.fixture(params=["--fast-lane", "--public-lane"], scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """With a model for each test, since counts stay."""
    folder = tmp_path_factory.mktemp("repository")
    for model in ("calls", "stream", "unread", "gone"):
        models.save(
            models.add_one(), folder / model, toml="required = true\n" if model == "gone" else "required = false\n"
        )
    with running_server(folder, request.param, "--max-message-size", "1MiB") as running:
        yield running


def of(model: str) -> dict[str, str]:
    return {"model": model, "version": "1", "provider": "cpu", "rung": "1"}


class Samples:
    def __init__(self, server: RunningServer) -> None:
        with urlopen(f"http://{server.http_address}/metrics", timeout=LIMIT_S) as response:
            text = response.read().decode()
        self.all: Mapping[tuple[str, frozenset[tuple[str, str]]], float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self.all.get((name, frozenset(labels.items())), 0.0)

    def stages(self, what: str, model: str) -> dict[str, float]:
        return {stage: self(f"ortolan_stage_duration_seconds_{what}", stage=stage, **of(model)) for stage in STAGES}

    def sent(self, model: str) -> float:
        return self.stages("count", model)["send"]

    def answered(self, model: str) -> float:
        return self("ortolan_requests_total", code="OK", **of(model))


def once(server: RunningServer, holds: Callable[[Samples], bool]) -> Samples:
    """What the caller has need not have been counted as sent: that follows."""
    deadline_s = time.monotonic() + LIMIT_S
    while not holds(samples := Samples(server)):
        assert time.monotonic() < deadline_s, samples.all
    return samples


def test_the_numbers_after_unary_calls(server: RunningServer) -> None:
    with Client(server.address) as client:
        for _ in range(5):
            client.infer("calls", {"x": X})
        for model, x in (("ghost", X), ("calls", X[:, :1]), ("calls", np.zeros((200_000, 2), np.float32))):
            with pytest.raises(OrtolanClientError):
                client.infer(model, {"x": x})
    samples = once(server, lambda samples: samples.sent("calls") >= 5)
    assert samples.answered("calls") == 5.0
    rows, runs = (samples(f"ortolan_{name}_total", **of("calls")) for name in ("rows", "runs"))
    assert (rows, runs) == (10.0, 5.0)
    assert samples.stages("count", "calls") == dict.fromkeys(STAGES, 5.0)
    spent_s = samples.stages("sum", "calls")
    assert all(seconds > 0 for stage, seconds in spent_s.items() if stage != "batch")
    assert spent_s["send"] < LIMIT_S
    assert samples("ortolan_request_duration_seconds_count", **of("calls")) == 5.0
    whole_s = samples("ortolan_request_duration_seconds_sum", **of("calls"))
    assert sum(spent_s.values()) - spent_s["send"] <= whole_s
    assert samples("ortolan_rejected_requests_total", model="", code="NOT_FOUND") == 1.0
    assert samples("ortolan_rejected_requests_total", model="calls", code="INVALID_ARGUMENT") == 1.0
    assert samples("ortolan_rejected_requests_total", model="", code="RESOURCE_EXHAUSTED") == 1.0
    assert samples("ortolan_in_flight_bytes") == 0.0


def test_the_numbers_after_a_stream(server: RunningServer) -> None:
    with Client(server.address) as client, client.stream("stream", ({"x": X} for _ in range(7))) as answers:
        assert len(list(answers)) == 7
    samples = once(server, lambda samples: samples.sent("stream") >= 7 and not samples("ortolan_streams"))
    assert samples.answered("stream") == 7.0
    assert samples.stages("count", "stream") == dict.fromkeys(STAGES, 7.0)


def test_an_answer_that_nobody_reads_is_not_sent(server: RunningServer) -> None:
    calls = 60  # more than flow control and sockets take, however fast gRPC thinks that the client reads
    large = np.zeros((100_000, 2), np.float32)
    with Client(server.address) as client, client.stream("unread", ({"x": large} for _ in range(calls))) as answers:
        next(answers)
        samples = once(server, lambda samples: samples.answered("unread") == calls)
        assert samples.sent("unread") < calls
        assert samples("ortolan_streams") == 1.0
        assert len(list(answers)) == calls - 1
        once(server, lambda samples: samples.sent("unread") == calls)


def test_readiness_is_that_of_the_health_service(server: RunningServer) -> None:
    with Client(server.address) as client:
        assert (client.health(), status(server, "/readyz")) == (HealthStatus.SERVING, 200)
        client.unload("gone")
        assert (client.health(), status(server, "/readyz")) == (HealthStatus.NOT_SERVING, 503)
        assert status(server, "/livez") == 200


def status(server: RunningServer, path: str) -> int:
    connection = HTTPConnection(server.http_address, timeout=LIMIT_S)
    connection.request("GET", path)
    found = connection.getresponse().status
    connection.close()
    return found
