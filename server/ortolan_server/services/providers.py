"""A provider family, as a message of `ortolan.v1`."""

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_backends.contract import Availability, Backend, Check, Outcome, Probe
from ortolan_backends.options import describe

__all__ = ["provider_message"]

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
    """What was found on this machine, and the options it takes."""
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
