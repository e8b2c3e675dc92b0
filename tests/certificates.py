"""Chains of certificates made with `openssl`, for servers and clients of tests: right ones and wrong ones."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ortolan_client import Tls

__all__ = ["HERE", "Authority", "Chains", "Pair", "make_chains", "openssl"]

HERE = "DNS:localhost,IP:127.0.0.1"
ELSEWHERE = "DNS:elsewhere.example"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# `openssl x509 -req` takes dates since OpenSSL 3.4 only; `openssl ca` has always done so, with a file of settings.
SETTINGS = """
[ca]
default_ca = this
[this]
database = {folder}/index.txt
new_certs_dir = {folder}
serial = {folder}/serial.txt
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""


def openssl(*arguments: str | Path) -> str:
    """Runs it; returns what it printed. Raises AssertionError with what it said when it fails."""
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)  # noqa: S607 - the machine's own is the one to test with
    assert done.returncode == 0, f"openssl {arguments[0]} said: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Pair:
    """A certificate's file and its private key's."""

    cert: Path
    key: Path

    def copy_to(self, other: "Pair") -> None:
        """The same content in the files of `other`, which are written to as an editor does it."""
        other.cert.write_bytes(self.cert.read_bytes())
        other.key.write_bytes(self.key.read_bytes())


class Authority:
    """A root that signs, in a folder of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.cert = folder / "ca.pem"
        folder.mkdir(parents=True)
        (folder / "index.txt").touch()
        (folder / "serial.txt").write_text("1000\n")
        (folder / "settings.cnf").write_text(SETTINGS.format(folder=folder))
        openssl("req", "-x509", *KEY, "-keyout", folder / "ca.key", "-out", self.cert, "-subj", f"/CN={name}")

    def issue(
        self,
        name: str,
        *,
        names: str = HERE,
        usage: str = "serverAuth",
        valid: tuple[timedelta, timedelta] = (timedelta(days=-1), timedelta(days=30)),
    ) -> Pair:
        """`valid`: from when until when, counted from now."""
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"basicConstraints=CA:FALSE\nsubjectAltName={names}\nextendedKeyUsage={usage}\n")
        openssl("req", *KEY, "-keyout", pair.key, "-out", request, "-subj", f"/CN={name}")
        start, end = (f"{datetime.now(UTC) + offset:%Y%m%d%H%M%SZ}" for offset in valid)
        settings = ("-batch", "-notext", "-config", self.folder / "settings.cnf", "-extfile", extensions)
        openssl("ca", *settings, "-startdate", start, "-enddate", end, "-in", request, "-out", pair.cert)
        return pair


PAST = (timedelta(days=-30), timedelta(days=-1))


@dataclass(frozen=True)
class Chains:
    """What a matrix of right and wrong certificates needs. Those of servers are for this machine unless said."""

    ca: Path
    right: Pair
    renewed: Pair
    expired: Pair
    wrong_host: Pair
    client_ca: Path
    client: Pair
    expired_client: Pair
    other_ca: Path
    other_client: Pair

    def tls(self, client: Pair | None = None) -> Tls:
        """Trusts the right authority, and shows `client`."""
        if client is None:
            return Tls(ca=self.ca)
        return Tls(ca=self.ca, cert=client.cert, key=client.key)


def make_chains(folder: Path) -> Chains:
    servers = Authority(folder / "servers", "servers")
    clients = Authority(folder / "clients", "clients")
    others = Authority(folder / "others", "others")
    return Chains(
        ca=servers.cert,
        right=servers.issue("right"),
        renewed=servers.issue("renewed"),
        expired=servers.issue("expired", valid=PAST),
        wrong_host=servers.issue("wrong_host", names=ELSEWHERE),
        client_ca=clients.cert,
        client=clients.issue("client", usage="clientAuth"),
        expired_client=clients.issue("expired_client", usage="clientAuth", valid=PAST),
        other_ca=others.cert,
        other_client=others.issue("other_client", usage="clientAuth"),
    )
