"""Checks of families that are compiled into some wheels only, for some systems only."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ortolan_backends.checks import check_session, check_wheel, failed, ok, skipped
from ortolan_backends.contract import Check, Device, Outcome, Probe
from ortolan_backends.errors import RuntimeConflict
from ortolan_backends.runtime.built_in import built_in_providers
from ortolan_backends.runtime.wheel import installed_wheels, require_one_wheel

if TYPE_CHECKING:
    from ortolan_backends.contract import Backend

__all__ = ["check_built_in", "probe_built_in"]

_NO_PROVIDER = "the provider is not there"


def check_built_in(provider: str, install: str) -> Check:
    """Whether the wheel has the provider compiled in; `install` is the line that brings one that has."""
    try:
        name, version = require_one_wheel()
    except RuntimeConflict:
        return check_wheel()
    if provider in built_in_providers():
        return ok("wheel", f"{name} {version} has {provider}")
    return failed("wheel", f"{name} {version} has no {provider}", install)


def probe_built_in(
    backend: "Backend",
    *,
    install: str,
    session_mend: str,
    system: Callable[[], Sequence[Check]] = tuple,
    devices: tuple[Device, ...] = (),
) -> Probe:
    """What `system` looks at, the wheel, and a tiny session. On the wrong system the wheel is not looked at."""
    checks = list(system())
    if any(check.outcome is Outcome.FAILED for check in checks):
        return Probe((*checks, *skipped(["wheel", "session"], "not on this system")))
    wheel = check_built_in(backend.provider, install)
    if wheel.outcome is Outcome.FAILED:
        return Probe((*checks, wheel, *skipped(["session"], _NO_PROVIDER)))
    session = check_session(backend.name, {}, session_mend)
    versions = {"onnxruntime": next(iter(installed_wheels().values()))}
    return Probe((*checks, wheel, session), devices if session.outcome is Outcome.OK else (), versions)
