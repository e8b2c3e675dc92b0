"""What is known of versions and providers, as messages of `ortolan.v1`."""

from collections.abc import Mapping

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_backends.contract import Availability, Backend, Check, Outcome, Probe
from ortolan_backends.options import describe
from ortolan_backends.runtime.assignment import Assignment, ProviderShare
from ortolan_server.chains.chain import Chain, ProviderNames
from ortolan_server.chains.contract import Contract
from ortolan_server.chains.report import Attempt, ChainReport
from ortolan_server.lifecycle.version import ModelVersion
from ortolan_server.services.cache_use import cache_message
from ortolan_server.services.drift import drift_message
from ortolan_server.services.events import event_message
from ortolan_server.services.numeric import numeric_message

__all__ = [
    "assignment_message",
    "assignment_summary",
    "node_shares",
    "properties",
    "provider_message",
    "report_message",
]

_OUTCOMES = {
    Outcome.OK: pb.Check.OK,
    Outcome.DEGRADED: pb.Check.DEGRADED,
    Outcome.FAILED: pb.Check.FAILED,
    Outcome.SKIPPED: pb.Check.SKIPPED,
}
_AVAILABILITIES = {
    Availability.AVAILABLE: pb.Provider.AVAILABLE,
    Availability.DEGRADED: pb.Provider.DEGRADED,
    Availability.UNAVAILABLE: pb.Provider.UNAVAILABLE,
}


def provider_message(backend: Backend, probe: Probe) -> pb.Provider:
    """A provider family: what was found on this machine, and the options it takes."""
    return pb.Provider(
        name=backend.name,
        provider=backend.provider,
        summary=backend.summary,
        availability=_AVAILABILITIES[probe.availability],
        reason=probe.reason,
        checks=[_check(check) for check in probe.checks],
        devices=[
            pb.Device(kind=device.kind, id=device.id, name=device.name, memory_bytes=device.memory_bytes)
            for device in probe.devices
        ],
        versions=dict(probe.versions),
        options=[
            pb.Option(
                name=option.name,
                onnxruntime_key=option.onnxruntime_key,
                type=option.type,
                default=option.default,
                unit=option.unit,
                allowed=option.allowed,
                documentation=option.documentation,
            )
            for option in describe(backend.options)
        ],
    )


def _check(check: Check) -> pb.Check:
    return pb.Check(looked_at=check.looked_at, outcome=_OUTCOMES[check.outcome], finding=check.finding, mend=check.mend)


def assignment_message(version: ModelVersion, *, omit_nodes: bool) -> pb.Assignment:
    """All that is known of a version of this server."""
    message = pb.Assignment()
    if version.report is not None:
        message = report_message(version.report, omit_nodes=omit_nodes)
    elif version.chain is not None:
        message = pb.Assignment(chain=_rungs(version.chain), contract=_contract(version.chain.contract))
    elif version.reason:
        message.verdict.reasons.append(version.reason)
    message.verdict.warnings.extend(version.warnings)
    if not version.serves:
        message.serving_rung, message.serving_provider = 0, ""
        if message.verdict.state in (pb.Verdict.KEPT, pb.Verdict.DEGRADED):
            message.ClearField("verdict")  # of a session that is no more
    message.model = version.model
    message.version = version.version
    message.state = version.state
    message.load_seconds = round(version.load_s, 6)
    message.events.extend(map(event_message, version.history.events))
    if version.failover is not None:
        message.standby_rung = version.failover.standby_rung
    if version.loaded_at is not None:
        message.loaded_at.FromDatetime(version.loaded_at)
    return message


def report_message(report: ChainReport, *, omit_nodes: bool) -> pb.Assignment:
    """What a climb found out, of a model that need not be served."""
    message = pb.Assignment(
        chain=_rungs(report.chain),
        contract=_contract(report.chain.contract),
        attempts=[_attempt(attempt) for attempt in report.attempts],
        serving_rung=report.rung,
        serving_provider=report.provider,
        verdict=_verdict(report),
        drift=drift_message(report.drift, report.chain.contract.on_drift) if report.drift else None,
    )
    if report.assignment is not None:
        _add_assignment(message, report.assignment, report.provider_names, omit_nodes=omit_nodes)
    return message


def assignment_summary(version: ModelVersion) -> pb.AssignmentSummary:
    """One line: where it was to run, where it runs, and why not."""
    message = pb.AssignmentSummary(
        model=version.model,
        version=version.version,
        state=version.state,
        chain=str(version.chain or ""),
        reason=version.reason,
    )
    if version.changed_at is not None:
        message.changed_at.FromDatetime(version.changed_at)
    if (last := version.history.last) is not None:
        message.last_event.CopyFrom(event_message(last))
    report = version.report
    if report is None:
        return message
    verdict = _verdict(report)
    message.reason = version.reason or report.verdict.sentence
    if not version.serves:
        message.verdict = pb.Verdict.BROKEN if verdict.state == pb.Verdict.BROKEN else pb.Verdict.UNSPECIFIED
        return message
    message.verdict = verdict.state
    message.serving_provider = report.provider
    message.serving_rung = report.rung
    if report.assignment is not None and report.rung:
        message.nodes.update(_nodes_by_provider(report.assignment, report.provider_names))
        message.node_share = round(_serving_share(report, report.assignment), 6)
    return message


def node_shares(version: ModelVersion) -> Mapping[str, float]:
    """The share of the model's nodes on each provider, by short name. Empty for a version that does not serve."""
    report = version.report
    if report is None or report.assignment is None or not version.serves:
        return {}
    names = report.provider_names
    return {names[share.provider]: share.node_share for share in report.assignment.shares}


def properties(version: ModelVersion) -> Mapping[str, str]:
    """The short form, for clients that know only ModelMetadata."""
    summary = assignment_summary(version)
    short = {
        "ortolan.state": summary.state,
        "ortolan.verdict": pb.Verdict.State.Name(summary.verdict),
        "ortolan.chain": summary.chain,
        "ortolan.provider": summary.serving_provider,
        "ortolan.rung": str(summary.serving_rung),
        "ortolan.nodes": ", ".join(f"{provider}={count}" for provider, count in sorted(summary.nodes.items())),
        "ortolan.node_share": f"{summary.node_share:.4f}",
        "ortolan.cache": _cache_word(version),
        "ortolan.reason": summary.reason,
    }
    return {key: value for key, value in short.items() if value}


def _add_assignment(message: pb.Assignment, assignment: Assignment, names: ProviderNames, *, omit_nodes: bool) -> None:
    message.session_providers.extend(assignment.session_providers)
    message.shares.extend(_share(share, names, omit_nodes=omit_nodes) for share in assignment.shares)
    message.crossings = -1 if assignment.crossings is None else assignment.crossings
    message.placements.extend(
        pb.Placement(tensor=place.tensor, direction=place.direction, memory=place.memory)
        for place in assignment.placements
    )
    message.method = assignment.method
    message.complete = assignment.complete


def _share(share: ProviderShare, names: ProviderNames, *, omit_nodes: bool) -> pb.ProviderShare:
    message = pb.ProviderShare(
        provider=names[share.provider],
        nodes=len(share.nodes),
        node_share=round(share.node_share, 6),
        parameter_share=-1 if share.parameter_share is None else round(share.parameter_share, 6),
        fragments=share.fragments,
        operators=dict(share.operators),
        effective_options=dict(share.effective_options),
    )
    if not omit_nodes:
        message.node_list.extend(
            pb.Node(name=node.name, op_type=node.op_type, domain=node.domain, shape_only=node.shape_only)
            for node in share.nodes
        )
    return message


def _nodes_by_provider(assignment: Assignment, names: ProviderNames) -> dict[str, int]:
    return {names[share.provider]: len(share.nodes) for share in assignment.shares}


def _serving_share(report: ChainReport, assignment: Assignment) -> float:
    return assignment.node_share([report.chain.rungs[report.rung - 1].opening.backend.provider])


def _rungs(chain: Chain) -> list[pb.Rung]:
    return [pb.Rung(provider=rung.name, options=rung.declared) for rung in chain.rungs]


def _contract(contract: Contract) -> pb.Contract:
    return pb.Contract(
        providers=list(contract.providers),
        node_share=contract.node_share,
        forbid_on_cpu=sorted(contract.forbid_on_cpu),
        otherwise=contract.otherwise,
        implied=contract.implied,
    )


def _attempt(attempt: Attempt) -> pb.Attempt:
    message = pb.Attempt(
        rung=attempt.rung,
        provider=attempt.provider,
        outcome=pb.Attempt.Outcome.Value(attempt.outcome),
        stage=attempt.stage,
        reason=attempt.reason,
        seconds=round(attempt.seconds, 6),
        log=attempt.log,
        numeric=None if attempt.numeric is None else numeric_message(attempt.numeric),
    )
    if attempt.cache is not None:
        message.cache.CopyFrom(cache_message(attempt.cache))
    return message


def _cache_word(version: ModelVersion) -> str:
    """Of the attempt that serves: `HIT`, `MISS` or `STALE`; empty where nothing is kept."""
    report = version.report
    if report is None or not version.serves:
        return ""
    uses = (attempt.cache for attempt in report.attempts if attempt.rung == report.rung)
    return next((str(use.result) for use in uses if use is not None), "")


def _verdict(report: ChainReport) -> pb.Verdict:
    """Without a state when the model itself is at fault: no contract was judged then."""
    verdict = report.verdict
    state = pb.Verdict.UNSPECIFIED if report.model_at_fault else pb.Verdict.State.Value(verdict.state)
    return pb.Verdict(state=state, reasons=verdict.reasons, warnings=verdict.warnings)
