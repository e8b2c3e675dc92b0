"""Errors of the server's domain. They know no transport: `transport/status.py` has the one table to codes.

OrtolanError
├── InvalidRequest         what came cannot be understood or does not fit the model
├── ModelNotFound          no such model, or no such version of it
├── RegionNotFound         no region of shared memory has that name
├── RegionExists           that name of a region is taken
├── ModelNotReady          known, but it does not serve now; the reason is in the text
├── LoadFailed             a load was asked for and ended without a serving version
├── InvalidConfig          settings or model.toml: the text names file, key and what is allowed
├── CannotListen           an address that is in use, or not one of this host
├── Overloaded             a bound is reached; try again later
├── DeadlineExpired        the call's time is over
├── CallCancelled          the caller left
├── Unauthenticated        the caller has not said who they are, or not in a way that this server takes
├── NotAllowed             switched off by the operator, or not permitted to this caller
├── NotSupported           understood, but this server does not do it
├── InferenceFailed        the model failed on this input
├── ServerStopping         the server drains and takes nothing new
└── InternalError          a fault of ours: the text says nothing, the log has it
"""

__all__ = [
    "CallCancelled",
    "CannotListen",
    "DeadlineExpired",
    "InferenceFailed",
    "InternalError",
    "InvalidConfig",
    "InvalidRequest",
    "LoadFailed",
    "ModelNotFound",
    "ModelNotReady",
    "NotAllowed",
    "NotSupported",
    "OrtolanError",
    "Overloaded",
    "RegionExists",
    "RegionNotFound",
    "ServerStopping",
    "Unauthenticated",
]


class OrtolanError(Exception):
    """The base of all errors of the server; the text is written for the caller."""


class InvalidRequest(OrtolanError):
    """What came cannot be understood or does not fit the model."""


class ModelNotFound(OrtolanError):
    """No such model, or no such version of it."""


class RegionNotFound(OrtolanError):
    """No region of shared memory is registered under that name."""


class RegionExists(OrtolanError):
    """Other memory is registered under that name."""


class ModelNotReady(OrtolanError):
    """The model is known, but it does not serve now; the text says why."""


class LoadFailed(OrtolanError):
    """A load was asked for and ended without a serving version."""


class InvalidConfig(OrtolanError):
    """Settings or a model.toml are wrong; the text names file, key and what is allowed."""


class CannotListen(OrtolanError):
    """An address is in use, or not one of this host; the text names the flag for another."""


class Overloaded(OrtolanError):
    """A bound is reached: the caller may try again later."""


class DeadlineExpired(OrtolanError):
    """The call's time is over."""


class CallCancelled(OrtolanError):
    """The caller left."""


class Unauthenticated(OrtolanError):
    """The caller has not said who they are, or not in a way that this server takes; the text says what is wanted."""


class NotAllowed(OrtolanError):
    """The operator has switched this off, and the text says how to switch it on; or this caller may not do it."""


class NotSupported(OrtolanError):
    """Understood, but this server does not do it."""


class InferenceFailed(OrtolanError):
    """The model failed on this input."""


class ServerStopping(OrtolanError):
    """The server drains and takes nothing new."""


class InternalError(OrtolanError):
    """A fault of ours. The caller learns nothing of it; details are in the log only."""

    def __init__(self) -> None:
        super().__init__("internal error")
