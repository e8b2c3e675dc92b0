"""The log of what becomes of the versions of models."""

import structlog

from ortolan_server.lifecycle.states import State
from ortolan_server.lifecycle.version import ModelVersion

__all__ = ["log_change"]

log = structlog.get_logger()


def log_change(version: ModelVersion) -> None:
    """The verdict of every load, and every other change of a version."""
    event: dict[str, object] = {"model": version.model, "version": version.version}
    report = version.report
    if report is not None and version.state in (State.READY, State.DEGRADED):
        event |= {
            "provider": report.provider,
            "rung": report.rung,
            "verdict": str(report.verdict.state),
            "load_s": round(version.load_s, 3),
        }
    if version.state is State.READY:
        log.info("model_ready", **event)
        for warning in report.verdict.warnings if report else ():
            log.warning("verdict_warned", text=warning, **event)
    elif version.state is State.DEGRADED:
        log.warning("model_degraded", reason=version.reason, **event)
    elif version.state is State.FAILED:
        log.error("model_failed", reason=version.reason, **event)
    elif version.state in (State.DRAINING, State.UNLOADED):
        log.info("model_changed", state=str(version.state), **event)
    else:
        log.debug("model_changed", state=str(version.state), **event)
