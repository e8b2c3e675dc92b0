import pytest

from ortolan_server.addresses import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("127.0.0.1:8001", Address("127.0.0.1", 8001), True),
        ("127.8.9.1:0", Address("127.8.9.1", 0), True),
        ("localhost:65535", Address("localhost", 65535), True),
        ("LOCALHOST:1", Address("localhost", 1), True),
        ("[::1]:8001", Address("::1", 8001), True),
        ("[0:0:0:0:0:0:0:1]:8001", Address("::1", 8001), True),
        ("[::ffff:127.0.0.1]:1", Address("::ffff:127.0.0.1", 1), True),
        ("unix:/run/ortolan.sock", Address(path="/run/ortolan.sock"), True),
        ("0.0.0.0:8001", Address("0.0.0.0", 8001), False),  # noqa: S104 - only parsed
        ("[::]:8001", Address("::", 8001), False),
        ("10.0.0.7:8001", Address("10.0.0.7", 8001), False),
        ("[::ffff:10.0.0.7]:1", Address("::ffff:10.0.0.7", 1), False),
        ("gpu-7.example.org:8001", Address("gpu-7.example.org", 8001), False),
        ("localhost.example.org:8001", Address("localhost.example.org", 8001), False),
    ],
)
def test_addresses(text: str, address: Address, loopback: bool) -> None:  # noqa: FBT001 - a parameter of the table
    parsed = parse_address(text)
    # The text form of a mapped address differs between versions of Python: compare what it stands for.
    assert parse_address(str(parsed)) == parsed
    assert (parsed.port, parsed.path) == (address.port, address.path)
    assert parsed == address or "ffff" in text
    assert parsed.is_loopback is loopback


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("", "must be host:port"),
        ("8001", "must be host:port"),
        ("localhost", "must be host:port"),
        ("localhost:", "must be host:port"),
        ("localhost:http", "must be host:port"),
        ("localhost:-1", "must be host:port"),
        ("localhost:65536", "the port must be at most 65535"),
        (":8001", "has no host; 0.0.0.0 is every IPv4 interface"),
        ("::1:8001", "must be host:port"),
        ("[::1]", "must be host:port"),
        ("[127.0.0.1]:1", "is not an IPv6 address"),
        ("[::g]:1", "is not an IPv6 address"),
        ("127.0.0.256:1", "is not an IPv4 address"),
        ("127.1:1", "is not an IPv4 address"),
        ("*:8001", "is not a host name"),
        ("-a:1", "is not a host name"),
        ("a b:1", "is not a host name"),
        ("a..b:1", "is not a host name"),
        ("http://localhost:1", "must be host:port"),
        ("localhost:٨", "must be host:port"),
        ("localhost:1\n", "must be host:port"),
        ("unix:relative.sock", "an absolute path"),
        ("unix:", "an absolute path"),
        ("unix:/run/", "an absolute path"),
        ("unix:/run/\0", "an absolute path"),
        (f"unix:/{'a' * 107}", "at most 107 bytes"),
    ],
)
def test_what_is_no_address(text: str, pattern: str) -> None:
    with pytest.raises(ValueError, match=pattern):
        parse_address(text)
