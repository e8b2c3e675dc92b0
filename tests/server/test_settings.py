from pathlib import Path

import pytest
from pydantic import ValidationError

from ortolan_server.errors import InvalidConfig
from ortolan_server.settings import Settings


def test_defaults() -> None:
    assert Settings().model_dump() == {
        "grpc_address": "127.0.0.1:8001",
        "http_address": "127.0.0.1:8002",
        "tls_cert": None,
        "tls_key": None,
        "tls_client_ca": None,
        "auth_tokens": None,
        "access_log": False,
        "max_message_bytes": 256 * 1024 * 1024,
        "default_deadline_s": 60.0,
        "drain_timeout_s": 30.0,
        "max_in_flight": 256,
        "max_in_flight_bytes": 1 << 30,
        "max_streams": 256,
        "fast_lane": True,
        "shared_memory": False,
        "shared_memory_bytes": 1 << 30,
        "model_control": "none",
        "poll_interval_s": None,
        "load_models": (),
        "max_load_bytes": 4 << 30,
        "cache_dir": None,
        "cache_size_bytes": 10 << 30,
        "memory_limit_bytes": None,
        "device_memory_limit_bytes": None,
        "allow_control": None,
        "allow_degraded": False,
        "exit_on_broken": False,
        "exit_on_device_loss": False,
        "ready_when_empty": False,
    }


def test_sizes_and_durations_come_with_units() -> None:
    settings = Settings.parse({"max_message_bytes": "1.5GiB", "default_deadline_s": "500ms", "drain_timeout_s": 0})
    assert settings.max_message_bytes == 3 * 2**29
    assert settings.default_deadline_s == pytest.approx(0.5)
    assert settings.drain_timeout_s == 0.0


@pytest.mark.parametrize(
    ("address", "allow_control", "loopback", "allowed"),
    [
        ("127.0.0.1:0", None, True, True),
        ("127.0.0.1:0", False, True, False),
        ("127.0.0.1:0", True, True, True),
        ("0.0.0.0:0", None, False, False),
        ("0.0.0.0:0", False, False, False),
        ("0.0.0.0:0", True, False, True),
        ("unix:/run/o.sock", None, True, True),
    ],
)
def test_control_is_for_loopback_unless_said_otherwise(
    address: str,
    allow_control: bool | None,  # noqa: FBT001 - a parameter of the table
    loopback: bool,  # noqa: FBT001 - as above
    allowed: bool,  # noqa: FBT001 - as above
) -> None:
    settings = Settings(grpc_address=address, allow_control=allow_control)
    assert settings.grpc_address == address
    assert settings.is_loopback is loopback
    assert settings.control_allowed is allowed


@pytest.mark.parametrize(
    ("address", "listens", "loopback"),
    [
        ("127.0.0.1:0", "127.0.0.1:0", True),
        ("0.0.0.0:8002", "0.0.0.0:8002", False),
        ("off", "off", True),
        ("", "off", True),
    ],
)
def test_http_may_be_off(address: str, listens: str, *, loopback: bool) -> None:
    settings = Settings(http_address=address)
    assert settings.http_address == listens
    assert settings.is_http_loopback is loopback


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        (
            {"grpc_address": ":1"},
            [
                (
                    "settings: --grpc-address: has no host; 0.0.0.0 is every IPv4 interface, [::] every one; "
                    "allowed: host:port, [ipv6]:port or unix:/path"
                )
            ],
        ),
        (
            {"http_address": "localhost"},
            ["settings: --http-address: must be host:port, [ipv6]:port or off, not 'localhost'"],
        ),
        (
            {"http_address": "unix:/tmp/s"},
            ["settings: --http-address: must be host:port, [ipv6]:port or off, not a Unix socket"],
        ),
        (
            {"http_address": "127.0.0.1:8001"},
            ["settings: --http-address must be another address than --grpc-address, not 127.0.0.1:8001 too"],
        ),
        ({"grpc_address": 8001}, ["settings: --grpc-address: must be a text in quotes, not 8001"]),
        (
            {"max_message_bytes": "2GiB"},
            ["settings: --max-message-size: must be less than or equal to 2147483647, not 2147483648"],
        ),
        (
            {"max_message_bytes": -1},
            [
                (
                    "settings: --max-message-size: must be a size: a whole number of bytes, "
                    "or a number with B, KB, MB, GB, KiB, MiB or GiB, not -1"
                )
            ],
        ),
        ({"cache_size_bytes": 0}, ["settings: --cache-size: must be greater than or equal to 1, not 0"]),
        ({"memory_limit_bytes": 0}, ["settings: --memory-limit: must be greater than or equal to 1, not 0"]),
        ({"max_message_bytes": 1}, ["settings: --max-message-size: must be greater than or equal to 1024, not 1"]),
        ({"default_deadline_s": 0}, ["settings: --default-deadline: must be greater than 0, not 0.0"]),
        (
            {"default_deadline_s": "2h 1s"},
            [
                (
                    "settings: --default-deadline: must be a duration: a number of seconds, "
                    "or a number with ms, s, m, h or d, not '2h 1s'"
                )
            ],
        ),
        ({"drain_timeout_s": "25h"}, ["settings: --drain-timeout: must be less than or equal to 86400, not 90000.0"]),
        (
            {"max_in_flight": 0, "max_streams": "8"},
            [
                "settings: --max-in-flight: must be greater than or equal to 1, not 0",
                'settings: --max-streams: must be a valid integer, not "8"',
            ],
        ),
        ({"allow_control": 1}, ["settings: --allow-control: must be true or false, not 1"]),
    ],
)
def test_a_wrong_value_names_its_flag(values: dict[str, object], lines: list[str]) -> None:
    with pytest.raises(InvalidConfig) as raised:
        Settings.parse(values)
    assert str(raised.value).splitlines() == lines


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"tls_cert"}, "settings: --tls-cert needs --tls-key, the file with its private key"),
        ({"tls_key"}, "settings: --tls-key needs --tls-cert, the file with its certificate"),
        ({"tls_key", "tls_client_ca"}, "settings: --tls-key needs --tls-cert, the file with its certificate"),
        (
            {"tls_client_ca"},
            "settings: --tls-client-ca needs --tls-cert and --tls-key: without TLS clients show no certificate",
        ),
    ],
)
def test_the_files_of_tls_go_together(given: set[str], line: str) -> None:
    with pytest.raises(InvalidConfig) as raised:
        Settings.parse({name: Path(name) for name in given})
    assert str(raised.value) == line


@pytest.mark.parametrize(
    ("given", "tls"),
    [(set(), "off"), ({"tls_cert", "tls_key"}, "tls"), ({"tls_cert", "tls_key", "tls_client_ca"}, "mtls")],
)
def test_control_stays_on_loopback_whatever_tls_says(given: set[str], tls: str) -> None:
    settings = Settings.parse({"grpc_address": "10.0.0.7:1", **{name: Path(name) for name in given}})
    assert (settings.tls, settings.control_allowed) == (tls, False)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"model_control": "maybe"}, """--model-control: must be 'none', 'poll' or 'explicit', not "maybe\""""),
        ({"poll_interval_s": "2s"}, "--poll-interval needs --model-control poll"),
        (
            {"model_control": "poll", "poll_interval_s": "999ms"},
            '--poll-interval: must be greater than or equal to 1, not "999ms"',
        ),
        ({"load_models": ("m",)}, "--load-model needs --model-control explicit: else all models are loaded"),
        (
            {"model_control": "poll", "load_models": ("m",)},
            "--load-model needs --model-control explicit: else all models are loaded",
        ),
    ],
)
def test_flags_of_model_control_go_together(values: dict[str, object], line: str) -> None:
    with pytest.raises(InvalidConfig) as raised:
        Settings.parse(values)
    assert str(raised.value) == f"settings: {line}"


@pytest.mark.parametrize(
    ("model_control", "allow_control", "refusal"),
    [
        ("none", True, ""),
        ("explicit", True, ""),
        ("poll", True, "loads and unloads what changes in its repository, and nothing on demand"),
        ("poll", False, "loading, unloading and planning are switched off"),
        ("explicit", False, "loading, unloading and planning are switched off"),
    ],
)
def test_who_may_load_on_demand(model_control: str, *, allow_control: bool, refusal: str) -> None:
    settings = Settings.parse({"model_control": model_control, "allow_control": allow_control})
    assert refusal in settings.loading_refusal
    assert bool(refusal) is bool(settings.loading_refusal)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="max_stream: unknown key; did you mean 'max_streams'?"):
        Settings.parse({"max_stream": 1})


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().max_streams = 1


def test_every_setting_has_a_flag_and_a_description() -> None:
    for name, field in Settings.model_fields.items():
        assert (field.title or "").startswith("--"), name
        assert field.description, name
