"""What the metrics say of models in every state, and of what was asked of them."""

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_server.cache.cache import Cache
from ortolan_server.chains.budget import HOST, Amount, Budget, Holder
from ortolan_server.chains.registry import Registry
from ortolan_server.engine.statistics import Stages
from ortolan_server.errors import InferenceFailed, InternalError, ModelNotFound, Overloaded
from ortolan_server.lifecycle.history import EventKind, Step
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from ortolan_server.repository import parse_model_toml
from ortolan_server.services.metrics import Metrics, ServerOccupancy
from ortolan_server.services.reflection import HostFacts
from ortolan_server.services.rejections import Rejections
from ortolan_server.settings import Settings
from ortolan_server.transport.status import code_name
from tests import models
from tests.server.cache.fakes import catalog as keeping
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import add_one, break_device

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
DEGRADED = '[require]\nforbid_on_cpu = ["Add"]\notherwise = "degrade"\n'
BROKEN = 'required = false\n[[chain]]\nprovider = "absent"\n'
LIMITS = "[limits]\nqueue = 7\nqueue_size = 4096\nconcurrency = 2\n"

Labels = frozenset[tuple[str, str]]


class Scrape:
    """Every sample by name and labels, as Prometheus would read them."""

    def __init__(
        self,
        manager: ModelManager,
        rejections: Rejections | None = None,
        cache: Cache | None = None,
        budget: Budget | None = None,
    ) -> None:
        facts = HostFacts("1.2.3", "9.9", "onnxruntime", "host", datetime.now(UTC) - timedelta(minutes=1), "fast")
        metrics = Metrics(
            manager,
            Settings(max_in_flight=5),
            facts,
            rejections or Rejections(),
            code_of=code_name,
            occupancy=lambda: ServerOccupancy(3, 2, 100),
            serving=lambda: manager.ready,
            budget=budget or Budget(1 << 30),
            cache=cache,
        )
        text = generate_latest(metrics.registry()).decode()
        self.samples: Mapping[tuple[str, Labels], float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self.samples[name, frozenset(labels.items())]

    def named(self, name: str) -> list[dict[str, str]]:
        return [dict(labels) for found, labels in self.samples if found == name]


def test_of_the_server(manage: Manage, tmp_path: Path) -> None:
    scrape = Scrape(manage(tmp_path))
    (build,) = scrape.named("ortolan_build_info")
    assert build.pop("grpcio")
    assert build == {"version": "1.2.3", "onnxruntime": "9.9", "onnxruntime_package": "onnxruntime", "lane": "fast"}
    assert 60.0 <= scrape("ortolan_uptime_seconds") < 120.0
    assert scrape("ortolan_ready") == 1.0
    assert (scrape("ortolan_in_flight_requests"), scrape("ortolan_in_flight_requests_limit")) == (3.0, 5.0)
    assert (scrape("ortolan_streams"), scrape("ortolan_streams_limit")) == (2.0, 256.0)
    assert (scrape("ortolan_in_flight_bytes"), scrape("ortolan_in_flight_bytes_limit")) == (100.0, 2.0**30)
    assert scrape("process_resident_memory_bytes") > 0


def test_of_versions_in_their_states(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "kept")
    models.save(models.add_one(), tmp_path / "degraded", toml=DEGRADED)
    models.save(models.add_one(), tmp_path / "broken", toml=BROKEN)
    scrape = Scrape(manage(tmp_path))
    for model, state, serves, required in (
        ("kept", State.READY, 1.0, "true"),
        ("degraded", State.DEGRADED, 1.0, "true"),
        ("broken", State.FAILED, 0.0, "false"),
    ):
        labels = {"model": model, "version": "1"}
        states = {each: scrape("ortolan_model_state", ortolan_model_state=each, **labels) for each in State}
        assert states == {each: float(each is state) for each in State}
        assert scrape("ortolan_model_serving", model=model, required=required) == serves
        assert scrape("ortolan_contract_kept", **labels) == float(model == "kept")
        provider = "cpu" if serves else ""
        assert scrape("ortolan_serving_rung", provider=provider, **labels) == serves
        assert scrape("ortolan_load_seconds", **labels) > 0 or not serves
    shares = [labels["model"] for labels in scrape.named("ortolan_node_share_ratio")]
    assert sorted(shares) == ["degraded", "kept"]
    assert scrape("ortolan_node_share_ratio", model="kept", version="1", provider="cpu") == 1.0
    assert {labels["model"] for labels in scrape.named("ortolan_runs_total")} == {"degraded", "kept"}


def test_of_what_was_inferred(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=LIMITS)
    manager = manage(tmp_path)
    version = manager.find("m", "")
    for _ in range(3):
        add_one(version, 1.0)
    statistics = version.statistics
    for batch_rows, calls in ((4, 2), (3, 1), (5000, 1)):
        statistics.record_run(
            calls=calls, rows=batch_rows, decode_s=0.5, queue_s=0.25, batch_s=2.0, run_s=1.0, inline=True
        )
    statistics.record_success(batch_rows=4, encode_s=0.125, total_s=0.3)
    statistics.record_send(0.0625)
    for error in (Overloaded(), InternalError(), InferenceFailed()):
        statistics.record_failure(error, total_s=1.0)
    scrape = Scrape(manager)
    of = {"model": "m", "version": "1", "provider": "cpu", "rung": "1"}
    codes = {
        code: scrape("ortolan_requests_total", code=code, **of) for code in ("OK", "RESOURCE_EXHAUSTED", "INTERNAL")
    }
    assert codes == {"OK": 1.0, "RESOURCE_EXHAUSTED": 1.0, "INTERNAL": 2.0}
    assert scrape("ortolan_rows_total", **of) == 3 + 4 + 3 + 5000
    assert (scrape("ortolan_runs_total", **of), scrape("ortolan_inline_runs_total", **of)) == (6.0, 3.0)
    batches = {le: scrape("ortolan_batch_rows_bucket", le=le, **of) for le in ("1.0", "2.0", "4.0", "1024.0", "+Inf")}
    assert batches == {"1.0": 3.0, "2.0": 3.0, "4.0": 5.0, "1024.0": 5.0, "+Inf": 6.0}
    assert (scrape("ortolan_batch_rows_count", **of), scrape("ortolan_batch_rows_sum", **of)) == (6.0, 5010.0)
    latency = {le: scrape("ortolan_request_duration_seconds_bucket", le=le, **of) for le in ("0.25", "0.5", "+Inf")}
    assert latency == {"0.25": 0.0, "0.5": 1.0, "+Inf": 1.0}
    assert scrape("ortolan_request_duration_seconds_sum", **of) == pytest.approx(0.3)
    name = "ortolan_stage_duration_seconds"
    counts = {field.name: scrape(f"{name}_count", stage=field.name, **of) for field in fields(Stages)}
    assert counts == {"decode": 7.0, "queue": 7.0, "batch": 6.0, "run": 6.0, "encode": 1.0, "send": 1.0}
    assert scrape(f"{name}_sum", stage="send", **of) == pytest.approx(0.0625)
    assert scrape(f"{name}_sum", stage="run", **of) == pytest.approx(3.0, abs=0.5)
    assert scrape("ortolan_last_inference_timestamp_seconds", **of) == pytest.approx(
        datetime.now(UTC).timestamp(), abs=60
    )
    limits = [scrape(f"ortolan_{name}_limit", **of) for name in ("queued_requests", "queued_bytes", "running_runs")]
    assert limits == [7.0, 4096.0, 2.0]
    now = [scrape(f"ortolan_{name}", **of) for name in ("queued_requests", "queued_bytes", "running_requests")]
    assert now == [0.0, 0.0, 0.0]


def test_a_version_whose_device_failed_keeps_its_counts(
    manage: Manage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    version = manager.find("m", "")
    add_one(version, 1.0)
    break_device(monkeypatch)
    with pytest.raises(Exception, match="device"):
        add_one(version, 1.0)
    scrape = Scrape(manager)
    of = {"model": "m", "version": "1"}
    assert scrape("ortolan_requests_total", code="OK", provider="cpu", rung="1", **of) == 0.0
    assert scrape("ortolan_runs_total", provider="cpu", rung="1", **of) == 1.0
    assert scrape("ortolan_model_state", ortolan_model_state="FAILED", **of) == 1.0
    assert scrape("ortolan_serving_rung", provider="", **of) == 0.0


def test_of_what_came_to_no_engine(manage: Manage, tmp_path: Path) -> None:
    rejections = Rejections()
    rejections.add(ModelNotFound("m"))
    for error in (InternalError(), InferenceFailed(), Overloaded()):
        rejections.add(error, "m")
    scrape = Scrape(manage(tmp_path), rejections)
    name = "ortolan_rejected_requests_total"
    assert scrape(name, model="", code="NOT_FOUND") == 1.0
    assert scrape(name, model="m", code="INTERNAL") == 2.0
    assert scrape(name, model="m", code="RESOURCE_EXHAUSTED") == 1.0


def test_of_the_memory(manage: Manage, tmp_path: Path) -> None:
    budget = Budget(host_bytes=1000)
    for rung, size in ((1, 300), (2, 100)):
        budget.take(Holder("m", "1", f"rung {rung}"), [Amount(HOST, size), Amount("gpu:0", 7, 70)])
    scrape = Scrape(manage(tmp_path), budget=budget)
    assert scrape("ortolan_memory_reserved_bytes", model="m", version="1", device="host") == 400
    assert scrape("ortolan_memory_reserved_bytes", model="m", version="1", device="gpu:0") == 14
    assert scrape("ortolan_memory_limit_bytes", device="host") == 1000
    assert scrape("ortolan_memory_limit_bytes", device="gpu:0") == 70


def kept_once(folder: Path, runtime_log: RuntimeLog) -> Cache:
    """A cache that a model was opened through twice."""
    cache = Cache(folder, 1 << 20)
    registry = Registry(keeping(), runtime_log, cache=cache)
    model = read_model(models.save(models.add_one(), folder.parent / "kept"))
    for _ in range(2):
        registry.open(model, registry.compose(parse_model_toml({"chain": [{"provider": "keeping"}]}, "t"), "t"))
    return cache


def test_of_the_cache(manage: Manage, tmp_path: Path, runtime_log: RuntimeLog) -> None:
    models.save(models.add_one(), tmp_path / "models" / "m")
    manager = manage(tmp_path / "models")
    assert not Scrape(manager).named("ortolan_cache_bytes"), "there is none"
    scrape = Scrape(manager, cache=kept_once(tmp_path / "cache", runtime_log))
    name = "ortolan_cache_requests_total"
    assert [scrape(name, provider="keeping", result=result) for result in ("MISS", "HIT")] == [1.0, 1.0]
    assert 0 < scrape("ortolan_cache_bytes") < scrape("ortolan_cache_limit_bytes") == 1 << 20
    assert scrape("ortolan_cache_evictions_total") == 0.0


def test_what_happened_to_a_version_is_counted(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    history = manager.find("m", "").history
    for step in (Step(1, "tensorrt", 2, "cuda"), Step(1, "tensorrt", 2, "cuda"), Step(2, "cuda", 3, "cpu")):
        history.note(EventKind.DEVICE_FAILED, "gone", Step(step.rung, step.provider))
        history.note(EventKind.FAILED_OVER, "gone", step)
    history.note(EventKind.RECOVERED, "", Step(3, "cpu", 1, "tensorrt"))
    history.note(EventKind.PROBE_FAILED, "absent")
    history.note(EventKind.PROBE_FAILED, "absent")
    scrape, about = Scrape(manager), {"model": "m", "version": "1"}
    assert scrape("ortolan_device_failures_total", provider="tensorrt", **about) == 2
    assert scrape("ortolan_failovers_total", from_provider="tensorrt", to_provider="cuda", **about) == 2
    assert scrape("ortolan_failovers_total", from_provider="cuda", to_provider="cpu", **about) == 1
    assert scrape("ortolan_recoveries_total", from_provider="cpu", to_provider="tensorrt", **about) == 1
    assert scrape("ortolan_recovery_probes_failed_total", **about) == 2
    assert scrape("ortolan_reloads_refused_total", **about) == 0
    assert scrape("ortolan_hung_runs", **about) == 0
    changed_s = scrape("ortolan_state_changed_timestamp_seconds", **about)
    assert abs(datetime.now(UTC).timestamp() - changed_s) < 60
    assert [event.kind for event in history.events].count(EventKind.PROBE_FAILED) == 1


def test_the_page_names_every_metric_and_no_other(manage: Manage, tmp_path: Path, runtime_log: RuntimeLog) -> None:
    models.save(models.add_one(), tmp_path / "m")
    rejections = Rejections()
    rejections.add(InternalError(), "m")
    manager = manage(tmp_path)
    for kind in EventKind:
        manager.find("m", "").history.note(kind, "", Step(1, "faulty", 2, "cpu"))
    budget = Budget(1 << 30)
    budget.take(Holder("m", "1", "rung 1 (cpu)"), [Amount(HOST, 1)])
    scrape = Scrape(manager, rejections, kept_once(tmp_path / "cache", runtime_log), budget)
    parts = re.compile("_(bucket|count|sum)$")
    ours = {parts.sub("", name) for name, _ in scrape.samples if name.startswith("ortolan_")}
    rows = [
        line.split("|")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `ortolan_")
    ]
    assert sorted(re.findall(r"`(ortolan_\w+)`", "".join(rows))) == sorted(ours)
