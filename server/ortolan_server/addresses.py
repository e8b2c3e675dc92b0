"""Where the server listens: `host:port`, `[ipv6]:port` or `unix:/path`."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

__all__ = ["Address", "parse_address"]

_MAX_PORT = 65535
_MAX_UNIX_PATH_BYTES = 107  # sun_path of sockaddr_un on Linux, less its closing zero
_HOST_AND_PORT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_ALLOWED = "host:port, [ipv6]:port or unix:/path"


@dataclass(frozen=True, slots=True)
class Address:
    """One of the two forms; `path` is empty for host and port, `host` for a Unix socket."""

    host: str = ""
    port: int = 0
    """0: the system chooses one."""
    path: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it.

        A host name other than `localhost` counts as no: what it stands for can change.
        """
        if self.path or self.host == "localhost":
            return True
        try:
            address = ip_address(self.host)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return (mapped or address).is_loopback

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Raises ValueError that says what is allowed."""
    if text.startswith("unix:"):
        return _unix(text.removeprefix("unix:"))
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None:
        raise ValueError(f"must be {_ALLOWED}, not '{text}'")
    port = int(match["port"])
    if port > _MAX_PORT:
        raise ValueError(f"the port must be at most {_MAX_PORT} (0: the system chooses), not {port}")
    return Address(host=_ipv6(match["v6"]) if match["v6"] else _host(match["host"]), port=port)


def _unix(path: str) -> Address:
    if not path.startswith("/") or not path.isprintable() or path.endswith("/"):
        raise ValueError(f"a Unix socket must be unix: and an absolute path, not '{path}'")
    if len(path.encode()) > _MAX_UNIX_PATH_BYTES:
        raise ValueError(f"a Unix socket's path must have at most {_MAX_UNIX_PATH_BYTES} bytes, not '{path}'")
    return Address(path=path)


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise ValueError(f"'{text}' is not an IPv6 address; allowed: {_ALLOWED}") from None


def _host(text: str) -> str:
    if not text:
        raise ValueError(f"has no host; 0.0.0.0 is every IPv4 interface, [::] every one; allowed: {_ALLOWED}")
    if re.fullmatch(r"[0-9.]+", text):
        try:
            return str(ip_address(text))
        except ValueError:
            raise ValueError(f"'{text}' is not an IPv4 address; allowed: {_ALLOWED}") from None
    if not _HOST_NAME.fullmatch(text):
        raise ValueError(f"'{text}' is not a host name; allowed: {_ALLOWED}")
    return text.lower()
