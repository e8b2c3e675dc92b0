"""Errors of the backends. They know no transport and no server.

BackendError
├── UnknownProvider        no such short name
├── InvalidOption          an option that the provider does not take, or a bad value
├── RuntimeConflict        none or several ONNX Runtime wheels in this environment
├── OpenRefused            a session could not be opened at a rung
│   └── UnservableModel    no rung can help: the model itself is at fault
├── LoadCancelled          nobody wants what was being opened any more
└── RunFailed              a run of an open session ended without a result
    ├── InvalidInput       the caller's tensors are at fault; the session is fine
    ├── OutOfMemory        the session is fine
    ├── RunCancelled       the run was terminated on request
    └── DeviceFailure      the session can no longer be trusted
        └── RunHung        the run does not end
"""

__all__ = [
    "BackendError",
    "DeviceFailure",
    "InvalidInput",
    "InvalidOption",
    "LoadCancelled",
    "OpenRefused",
    "OutOfMemory",
    "RunCancelled",
    "RunFailed",
    "RunHung",
    "RuntimeConflict",
    "UnknownProvider",
    "UnservableModel",
]


class BackendError(Exception):
    """The base of all errors of this package."""


class UnknownProvider(BackendError):
    """No backend has that short name; the text lists those that are known."""


class InvalidOption(BackendError):
    """An option that the provider does not take, or a bad value; the text says what is allowed."""


class RuntimeConflict(BackendError):
    """None or several ONNX Runtime wheels are installed; the text has the pip line that mends it."""


class OpenRefused(BackendError):
    """A session could not be opened at a rung.

    `stage` is where the attempt ended: `probe`, `memory`, `attach`, `open` or `read`; `log` is what ONNX Runtime
    logged meanwhile, warnings and worse.
    """

    def __init__(self, reason: str, *, stage: str, log: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stage = stage
        self.log = log


class UnservableModel(OpenRefused):
    """The model itself is at fault, so that no other rung can help."""


class LoadCancelled(BackendError):
    """Nobody wants what was being opened any more; the text says why. No other rung is to be tried."""


class RunFailed(BackendError):
    """A run ended without a result, and the reason fits none of the classes below."""


class InvalidInput(RunFailed):
    """The caller's tensors are at fault; the session is fine."""


class OutOfMemory(RunFailed):
    """Not enough memory for this run; the session is fine."""


class RunCancelled(RunFailed):
    """The run was terminated on request."""


class DeviceFailure(RunFailed):
    """The device or its driver failed; the session can no longer be trusted.

    `sticky`: no session of this process can use the device again; only a new process can.
    """

    def __init__(self, text: str, *, sticky: bool = False) -> None:
        super().__init__(text)
        self.sticky = sticky


class RunHung(DeviceFailure):
    """A run does not end, whatever it is told: its thread is lost."""
