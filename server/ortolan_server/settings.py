"""The server's settings. They come from the command line, which alone reads it and the environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ortolan_server.addresses import parse_address
from ortolan_server.errors import InvalidConfig
from ortolan_server.units import parse_duration_s, parse_size_bytes
from ortolan_server.validation import explain

__all__ = ["CONTROL_OFF", "HTTP_OFF", "NOTHING_GIVEN", "SHARED_MEMORY_OFF", "Settings"]

HTTP_OFF = "off"
"""A `Settings.http_address` that is none."""

CONTROL_OFF = "loading, unloading and planning are switched off on this server (ortolan serve --allow-control)"
"""What a caller is told while `Settings.control_allowed` is false."""

NOTHING_GIVEN = (
    "this server loads what is in its repository, as it is there; a configuration or files that come with a load are "
    "taken by ortolan serve --model-control explicit"
)
"""What a caller is told who sends them while `Settings.model_control` is not `explicit`."""

_FOLLOWS_ITS_FOLDER = (
    "this server loads and unloads what changes in its repository, and nothing on demand "
    "(ortolan serve --model-control explicit)"
)
SHARED_MEMORY_OFF = "shared memory is switched off on this server (ortolan serve --shared-memory)"
"""What a caller is told while `Settings.shared_memory` is false."""

_MAX_MESSAGE_BYTES = 2**31 - 1  # gRPC counts a message's bytes in an int32.
_MAX_DURATION_S = 24 * 3600.0

_Size = Annotated[int, BeforeValidator(parse_size_bytes)]
_Duration = Annotated[float, BeforeValidator(parse_duration_s)]


def _checked_address(text: str) -> str:
    return str(parse_address(text))


def _checked_http_address(text: str) -> str:
    if text in ("", HTTP_OFF):
        return HTTP_OFF
    if text.startswith("unix:"):
        raise ValueError(f"must be host:port, [ipv6]:port or {HTTP_OFF}, not a Unix socket")
    try:
        return str(parse_address(text))
    except ValueError as error:
        raise ValueError(str(error).replace("unix:/path", HTTP_OFF)) from error  # all the rest is as allowed here


class Settings(BaseModel):
    """Everything an operator can choose for the whole server.

    Sizes and durations are taken as numbers or as text with a unit (`256MiB`, `30s`). The titles are the flags of
    `ortolan serve`: messages call a setting by its flag.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    grpc_address: Annotated[str, AfterValidator(_checked_address)] = Field(
        default="127.0.0.1:8001",
        title="--grpc-address",
        description="Where to listen: host:port, [ipv6]:port or unix:/path; port 0 lets the system choose.",
    )
    http_address: Annotated[str, AfterValidator(_checked_http_address)] = Field(
        default="127.0.0.1:8002",
        title="--http-address",
        description="Where to answer /metrics, /livez and /readyz in plain HTTP: host:port or [ipv6]:port; port 0 lets "
        "the system choose; off: nowhere.",
    )
    tls_cert: Path | None = Field(
        default=None,
        title="--tls-cert",
        description="PEM file with the server's certificate, and those between it and its authority. Switches TLS on.",
    )
    tls_key: Path | None = Field(
        default=None, title="--tls-key", description="PEM file with the private key of --tls-cert, not encrypted."
    )
    tls_client_ca: Path | None = Field(
        default=None,
        title="--tls-client-ca",
        description="PEM file of authorities: every client must show a certificate signed by one of them.",
    )
    auth_tokens: Path | None = Field(
        default=None,
        title="--auth-tokens",
        description="File of bearer tokens, one a line: every call but health checks must bring one of them.",
    )
    access_log: bool = Field(
        default=False, title="--access-log", description="Log every call when it has ended, at level info."
    )
    max_message_bytes: _Size = Field(
        default=256 * 2**20,
        ge=1024,
        le=_MAX_MESSAGE_BYTES,
        title="--max-message-size",
        description="Largest request message, at most 2147483647 bytes.",
    )
    default_deadline_s: _Duration = Field(
        default=60.0,
        gt=0,
        le=_MAX_DURATION_S,
        title="--default-deadline",
        description="Given to inferences that come without a deadline.",
    )
    drain_timeout_s: _Duration = Field(
        default=30.0,
        le=_MAX_DURATION_S,
        title="--drain-timeout",
        description="How long work in flight may go on after SIGTERM.",
    )
    max_in_flight: int = Field(
        default=256,
        ge=1,
        le=65536,
        title="--max-in-flight",
        description="Unary inferences in flight at once; one more is answered as overload.",
    )
    max_in_flight_bytes: _Size = Field(
        default=1 << 30,
        ge=1024,
        title="--max-in-flight-size",
        description="Bytes of inference requests in flight at once; one message of the largest size always fits.",
    )
    max_streams: int = Field(
        default=256,
        ge=1,
        le=65536,
        title="--max-streams",
        description="Inference streams open at once; one more is answered as overload.",
    )
    fast_lane: bool = Field(
        default=True,
        title="--fast-lane",
        description="Answer inferences from gRPC's completion queue directly, where a trial at start shows it works.",
    )
    shared_memory: bool = Field(
        default=False,
        title="--shared-memory",
        description="Let callers of the same machine and user share memory with the server, for inputs and outputs.",
    )
    shared_memory_bytes: _Size = Field(
        default=1 << 30,
        ge=1,
        title="--shared-memory-size",
        description="Bytes of all regions of shared memory that callers have registered.",
    )
    model_control: Literal["none", "poll", "explicit"] = Field(
        default="none",
        title="--model-control",
        description="Which models are loaded when. none: all at start, and on demand; poll: all at start, then what "
        "changes in the repository; explicit: on demand, and at start those of --load-model.",
    )
    poll_interval_s: Annotated[_Duration, Field(ge=1, le=_MAX_DURATION_S)] | None = Field(
        default=None,
        title="--poll-interval",
        description="How often --model-control poll looks at the repository, 1s or more; 5s if not given.",
    )
    load_models: tuple[str, ...] = Field(
        default=(),
        title="--load-model",
        description="A model that --model-control explicit loads at start; * is all there are. May be repeated.",
    )
    max_load_bytes: _Size = Field(
        default=4 << 30,
        ge=1,
        title="--max-load-size",
        description="Bytes of all model files that came with loads, as they can with --model-control explicit.",
    )
    cache_dir: Path | None = Field(
        default=None,
        title="--cache-dir",
        description="Folder for what providers compile, so that the next load finds it; off: nothing is kept.",
    )
    cache_size_bytes: _Size = Field(
        default=10 << 30,
        ge=1,
        title="--cache-size",
        description="Bytes of that folder, beyond which the longest unused goes.",
    )
    memory_limit_bytes: Annotated[_Size, Field(ge=1)] | None = Field(
        default=None,
        title="--memory-limit",
        description="Bytes of this machine's memory that all models together may take, as estimated by the size of "
        "their files; all there is if not given.",
    )
    device_memory_limit_bytes: Annotated[_Size, Field(ge=1)] | None = Field(
        default=None,
        title="--device-memory-limit",
        description="Likewise of the memory of each device; what the device has if not given.",
    )
    allow_control: bool | None = Field(
        default=None,
        title="--allow-control",
        description="Allow load, unload and plan calls. By default only on loopback.",
    )
    allow_degraded: bool = Field(
        default=False,
        title="--allow-degraded",
        description="Serve models without a [require] table at a lower rung too, and say DEGRADED.",
    )
    exit_on_broken: bool = Field(
        default=False, title="--exit-on-broken", description="End with exit code 3 when a contract is broken."
    )
    exit_on_device_loss: bool = Field(
        default=False,
        title="--exit-on-device-loss",
        description="Drain and end with exit code 4 when a device is lost that only a new process gets back, so that "
        "what supervises the server starts it again.",
    )
    ready_when_empty: bool = Field(
        default=False, title="--ready-when-empty", description="Count a server without models as serving."
    )

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if self.tls_cert and not self.tls_key:
            raise ValueError("--tls-cert needs --tls-key, the file with its private key")
        if self.tls_key and not self.tls_cert:
            raise ValueError("--tls-key needs --tls-cert, the file with its certificate")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("--tls-client-ca needs --tls-cert and --tls-key: without TLS clients show no certificate")
        return self

    @model_validator(mode="after")
    def _model_control_is_asked_for(self) -> Self:
        if self.poll_interval_s is not None and self.model_control != "poll":
            raise ValueError("--poll-interval needs --model-control poll")
        if self.load_models and self.model_control != "explicit":
            raise ValueError("--load-model needs --model-control explicit: else all models are loaded")
        return self

    @model_validator(mode="after")
    def _addresses_differ(self) -> Self:
        if self.http_address == self.grpc_address and parse_address(self.grpc_address).port:
            raise ValueError(f"--http-address must be another address than --grpc-address, not {self.http_address} too")
        return self

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """Raises InvalidConfig with one line for each wrong value, naming its flag and what is allowed."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise InvalidConfig(explain(error, cls, "settings")) from error

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return parse_address(self.grpc_address).is_loopback

    @property
    def is_http_loopback(self) -> bool:
        """Whether only this machine can reach the HTTP address. True without one."""
        return self.http_address == HTTP_OFF or parse_address(self.http_address).is_loopback

    @property
    def tls(self) -> Literal["off", "tls", "mtls"]:
        """`mtls`: clients must show a certificate too."""
        if not self.tls_cert:
            return "off"
        return "mtls" if self.tls_client_ca else "tls"

    @property
    def loading_refusal(self) -> str:
        """Why clients may not load and unload models; empty: they may."""
        if not self.control_allowed:
            return CONTROL_OFF
        return _FOLLOWS_ITS_FOLDER if self.model_control == "poll" else ""

    @property
    def control_allowed(self) -> bool:
        """Whether clients may load, unload and plan models, as far as `model_control` has them loaded on demand."""
        return self.is_loopback if self.allow_control is None else self.allow_control
