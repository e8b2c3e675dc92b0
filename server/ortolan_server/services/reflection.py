"""`ortolan.v1.ProviderReflection`: where models run, and why there."""

import threading
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_backends.errors import BackendError, LoadCancelled
from ortolan_server.chains.load import Load
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import InvalidConfig, InvalidRequest, ModelNotFound, NotAllowed, ServerStopping
from ortolan_server.lifecycle.manager import ModelManager, parse_version
from ortolan_server.lifecycle.opening import open_model
from ortolan_server.lifecycle.version import ModelVersion
from ortolan_server.repository import ChainRung, ModelEntry, ModelToml
from ortolan_server.services.reports import (
    assignment_message,
    assignment_summary,
    provider_message,
    report_message,
)
from ortolan_server.settings import CONTROL_OFF, Settings
from ortolan_server.tensors.wording import quoted

__all__ = ["HostFacts", "ReflectionService"]

# A plan holds up every other load while it climbs.
_MAX_RUNGS = 32
# Python refuses to turn integers of some thousand digits into text, in messages too.
_MAX_VALUE_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What does not change while the server runs."""

    version: str
    onnxruntime_version: str
    onnxruntime_package: str
    host: str
    started_at: datetime
    lane: str
    """`fast` or `public`."""


class ReflectionService:
    """Request message in, response message out, or a domain error."""

    def __init__(self, manager: ModelManager, registry: Registry, settings: Settings, facts: HostFacts) -> None:
        self._manager = manager
        self._registry = registry
        self._settings = settings
        self._facts = facts

    def get_server(self, _request: pb.GetServerRequest) -> pb.GetServerResponse:
        response = pb.GetServerResponse(
            version=self._facts.version,
            onnxruntime_version=self._facts.onnxruntime_version,
            onnxruntime_package=self._facts.onnxruntime_package,
            host=self._facts.host,
            limits=pb.Limits(
                max_message_bytes=self._settings.max_message_bytes,
                default_deadline_seconds=self._settings.default_deadline_s,
                max_in_flight=self._settings.max_in_flight,
                max_streams=self._settings.max_streams,
                max_in_flight_bytes=max(self._settings.max_in_flight_bytes, self._settings.max_message_bytes),
            ),
            control_allowed=self._settings.control_allowed,
            lane=self._facts.lane,
        )
        response.started_at.FromDatetime(self._facts.started_at)
        return response

    def list_providers(self, request: pb.ListProvidersRequest) -> pb.ListProvidersResponse:
        """Probes what was not probed yet: the first call can take seconds.

        Raises NotAllowed for `refresh`, which makes work, where control is switched off.
        """
        if request.refresh and not self._settings.control_allowed:
            raise NotAllowed(CONTROL_OFF)
        try:
            backends = [self._registry.backend(name) for name in dict.fromkeys(request.names or self._registry.names)]
        except BackendError as error:
            raise InvalidRequest(str(error)) from error
        return pb.ListProvidersResponse(
            providers=[
                provider_message(backend, self._registry.probe(backend.name, refresh=request.refresh))
                for backend in backends
            ]
        )

    def list_assignments(self, request: pb.ListAssignmentsRequest) -> pb.ListAssignmentsResponse:
        return pb.ListAssignmentsResponse(assignments=self._summaries(request.model))

    def get_assignment(self, request: pb.GetAssignmentRequest) -> pb.GetAssignmentResponse:
        version = self._manager.known(request.model, request.version)
        message = assignment_message(version, omit_nodes=request.omit_nodes)
        return pb.GetAssignmentResponse(assignment=message)

    def watch_assignments(
        self, request: pb.WatchAssignmentsRequest, send: Callable[[pb.WatchAssignmentsResponse], None]
    ) -> Callable[[], None]:
        """Sends the present state of each version, then every change. Returns how to leave.

        `send` is called on the thread that changed the version, and must not wait.
        """
        wanted = request.model
        in_turn = threading.Lock()

        def changed(version: ModelVersion) -> None:
            if wanted in ("", version.model):
                with in_turn:  # so that what is sent last is what was read last
                    send(pb.WatchAssignmentsResponse(assignment=assignment_summary(version)))

        if wanted:
            self._manager.model(wanted)  # raises ModelNotFound
        with in_turn:
            leave = self._manager.subscribe(changed)
            for summary in self._summaries(wanted):
                send(pb.WatchAssignmentsResponse(assignment=summary))
        return leave

    def plan_assignment(self, request: pb.PlanAssignmentRequest) -> pb.PlanAssignmentResponse:
        """Opens the model aside and lets it go again. Given up when the server stops: raises ServerStopping."""
        if not self._settings.control_allowed:
            raise NotAllowed(CONTROL_OFF)
        entry = self._manager.entry(request.model)
        if entry.error:
            raise InvalidRequest(f"model {request.model!r}: {entry.error}")
        number = parse_version(request.version or self._usual_version(entry))
        path = entry.versions.get(number)
        if path is None:
            raise ModelNotFound(f"model {request.model!r} has no version {number} on disk")
        if number in entry.refused:
            raise InvalidRequest(f"model {request.model!r} version {number}: {entry.refused[number]}")
        try:
            config = _with_chain(entry.config, request.chain) if request.chain else entry.config
            chain = self._registry.compose(config, "chain of the request" if request.chain else str(entry.folder))
        except InvalidConfig as error:
            raise InvalidRequest(str(error)) from error
        try:
            with self._manager.aside() as handle:
                load = Load(handle=handle, model=request.model, version=str(number))
                report = open_model(self._registry, path, chain, config, entry.folder, load).report
        except LoadCancelled as error:
            raise ServerStopping(str(error)) from error
        message = report_message(report, omit_nodes=request.omit_nodes)
        message.verdict.warnings.extend(entry.warnings)
        message.model, message.version = request.model, str(number)
        return pb.PlanAssignmentResponse(assignment=message)

    def _usual_version(self, entry: ModelEntry) -> str:
        """The one that serves; of a model that nobody has asked for the highest that would."""
        if entry.name not in self._manager.waiting:
            return self._manager.known(entry.name, "").version
        try:
            return str(entry.wanted[-1])
        except InvalidConfig as error:
            raise InvalidRequest(str(error)) from error

    def _summaries(self, model: str) -> list[pb.AssignmentSummary]:
        if model:
            self._manager.model(model)  # raises ModelNotFound
        summaries = [assignment_summary(version) for version in self._manager.versions if model in ("", version.model)]
        summaries += [
            pb.AssignmentSummary(model=other.entry.name, state="FAILED", reason=other.entry.error)
            for other in self._manager.models
            if other.entry.error and not other.versions and model in ("", other.entry.name)
        ]
        return sorted(summaries, key=lambda summary: (summary.model, int(summary.version or 0)))


def _with_chain(config: ModelToml, rungs: Sequence[pb.Rung]) -> ModelToml:
    """`config` on the chain of a request. Raises InvalidRequest."""
    if len(rungs) > _MAX_RUNGS:
        raise InvalidRequest(f"the chain has {len(rungs)} rungs; wanted at most {_MAX_RUNGS}")
    return config.on_chain(tuple(_rung(number, rung) for number, rung in enumerate(rungs, start=1)))


def _rung(number: int, rung: pb.Rung) -> ChainRung:
    if not rung.provider:
        raise InvalidRequest(f"chain[{number}] names no provider")
    return ChainRung.of(rung.provider, {key: _value(key, text) for key, text in rung.options.items()})


def _value(key: str, text: str) -> object:
    """A value as model.toml would have it: what is no TOML value stands for itself, as text."""
    if len(text) > _MAX_VALUE_CHARACTERS:
        raise InvalidRequest(
            f"option {quoted(key)} has a value of {len(text)} characters; wanted at most {_MAX_VALUE_CHARACTERS}"
        )
    try:
        document = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return document["value"] if len(document) == 1 else text
