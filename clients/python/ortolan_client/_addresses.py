"""Where to connect: one server, or several that serve the same."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Target", "find_target"]

_MAX_PORT = 65535
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_DNS = "dns:///"
_WANTED = f"an address is HOST:PORT (port at most {_MAX_PORT}), dns:///HOST:PORT or unix:PATH"


@dataclass(frozen=True, slots=True)
class Target:
    """What gRPC is told of the servers' addresses."""

    uri: str
    hosts: frozenset[str]
    """As the caller named them; none for a Unix socket."""
    authority: str = ""
    """The HOST:PORT whom the calls are for; empty: gRPC takes it from the URI."""
    balanced: bool = False
    """Whether calls go round between several servers."""

    @property
    def direct(self) -> bool:
        """Never through `http_proxy`, where gRPC would send even what is for this machine."""
        return bool(self.authority) or not self.hosts.isdisjoint(_LOOPBACK)


def find_target(address: str | Sequence[str]) -> Target:
    """Several addresses, as a sequence or with commas between, are looked up now: gRPC takes lists of numbers only.

    Raises ValueError for what is no address, and for a name that cannot be looked up.
    """
    addresses = address.split(",") if isinstance(address, str) else list(address)
    if len(addresses) == 1:
        return _one(addresses[0])
    pairs = [_host_and_port(each.strip()) for each in addresses]
    if not pairs:
        raise ValueError(f"{_WANTED}; there is none")
    return Target(
        uri=_uri([_look_up(host, port) for host, port in pairs]),
        hosts=frozenset(host for host, _ in pairs),
        authority=f"{pairs[0][0]}:{pairs[0][1]}",
        balanced=True,
    )


def _one(address: str) -> Target:
    if address.startswith("unix:"):
        return Target(address, frozenset())
    if address.startswith(_DNS):
        host, _ = _host_and_port(address.removeprefix(_DNS))
        return Target(address, frozenset((host,)), balanced=True)
    host, _ = _host_and_port(address)
    return Target(address, frozenset((host,)))


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or "/" in host or host.startswith("unix:") or not port.isdecimal() or int(port) > _MAX_PORT:
        raise ValueError(f"{_WANTED}, not {address!r}")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{_WANTED}; an IPv6 address stands in brackets, not {address!r}")
    return host, int(port)


_Numbers = dict[socket.AddressFamily, list[str]]


def _look_up(host: str, port: int) -> _Numbers:
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"address {host}:{port} cannot be looked up: {error.strerror}") from error
    numbers: _Numbers = {}
    for family, _, _, _, address in found:
        number = f"[{address[0]}]:{port}" if family == socket.AF_INET6 else f"{address[0]}:{port}"
        numbers.setdefault(family, []).append(number)
    return numbers


def _uri(servers: Sequence[_Numbers]) -> str:
    """A list of gRPC's is of one family."""
    for scheme, family in (("ipv4", socket.AF_INET), ("ipv6", socket.AF_INET6)):
        if all(family in numbers for numbers in servers):
            # A name can stand for several servers, and several names for one.
            unique = dict.fromkeys(number for numbers in servers for number in numbers[family])
            return f"{scheme}:{','.join(unique)}"
    raise ValueError("of several addresses all have IPv4 numbers or all have IPv6 numbers: gRPC takes no mixed list")
