"""Who gets through over TLS and mTLS, and what the others are told: three clients, right and wrong certificates.

The server of the first part is not restarted: its files are written over, with right ones and wrong ones.
"""

import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tritonclient.grpc as triton

from ortolan_client import Client, OrtolanClientError, Tls
from tests import models
from tests.certificates import Chains, Pair, make_chains
from tests.serving import running_server

ANSWERED = "answered"
SHOWN_CHARACTERS = 96
GRPCURL = shutil.which("grpcurl")

# What each client says where it must not get through.
NOT_SIGNED = {"ours": "it is signed by no authority in ca ", "triton": "unable to get", "grpcurl": "unknown authority"}
EXPIRED = {"ours": "refused: certificate has expired", "triton": "certificate has expired", "grpcurl": "has expired"}
ELSEWHERE = {
    "ours": "it is not for the host",
    "triton": "Hostname Verification",
    "grpcurl": "doesn't contain any IP SANs",
}
NONE_SHOWN = {"ours": "it demands a client certificate", "triton": "Socket closed", "grpcurl": "Failed to dial"}
NOT_TAKEN = {"ours": "it refuses the client certificate", "triton": "Socket closed", "grpcurl": "Failed to dial"}
TLS_WANTED = {"ours": "it may want TLS", "triton": "Socket closed", "grpcurl": "Failed to dial"}
NO_TLS = {
    "ours": "does not speak TLS",
    "triton": "WRONG_VERSION_NUMBER",
    "grpcurl": "does not look like a TLS handshake",
}


def ours(address: str, tls: Tls | None) -> str:
    with Client(address, tls=tls, timeout_s=20) as client:
        try:
            return ANSWERED if client.server_live() else "not live"
        except OrtolanClientError as error:
            return str(error)


def grpcurls(address: str, tls: Tls | None) -> str:
    files = {"-cacert": tls.ca, "-cert": tls.cert, "-key": tls.key} if tls else {}
    flags = [str(part) for flag, file in files.items() if file for part in (flag, file)] if tls else ["-plaintext"]
    call = [*flags, "-connect-timeout", "20", address, "inference.GRPCInferenceService/ServerLive"]
    done = subprocess.run([str(GRPCURL), *call], capture_output=True, text=True, check=False)
    return ANSWERED if '"live": true' in done.stdout else " ".join(done.stderr.split())


def tritons(address: str, tls: Tls | None) -> str:
    ca, key, cert = (str(file) if file else None for file in ((tls.ca, tls.key, tls.cert) if tls else (None,) * 3))
    with triton.InferenceServerClient(
        address, ssl=tls is not None, root_certificates=ca, private_key=key, certificate_chain=cert
    ) as client:
        try:
            return ANSWERED if client.is_server_live(client_timeout=20) else "not live"
        except triton.InferenceServerException as error:
            return str(error)


CLIENTS: dict[str, Callable[[str, Tls | None], str]] = {"ours": ours, "triton": tritons, "grpcurl": grpcurls}


@dataclass(frozen=True)
class Cell:
    client: str
    situation: str
    wanted: str
    said: str

    @property
    def is_right(self) -> bool:
        return self.said == ANSWERED if self.wanted == ANSWERED else self.said != ANSWERED and self.wanted in self.said


def row(situation: str, address: str, tls: Tls | None, wanted: dict[str, str] | None = None) -> Iterator[Cell]:
    """Every client in this situation; `wanted` None: each gets its answer."""
    for name, call in CLIENTS.items():
        if name != "grpcurl" or GRPCURL:
            yield Cell(name, situation, wanted[name] if wanted else ANSWERED, call(address, tls))


def shown(situation: str, address: str, pair: Pair) -> Cell:
    """A handshake alone: a new connection is shown the certificate of `pair`."""
    host, _, port = address.rpartition(":")
    der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, int(port))))
    right = der == ssl.PEM_cert_to_DER_cert(pair.cert.read_text())
    return Cell("openssl", situation, ANSWERED, ANSWERED if right else "another certificate was shown")


def one_way(folder: Path, chains: Chains) -> Iterator[Cell]:
    """The server alone shows a certificate, which changes under it."""
    served = Pair(folder / "served.pem", folder / "served.key")
    chains.right.copy_to(served)
    flags = ("--tls-cert", str(served.cert), "--tls-key", str(served.key))
    right = chains.tls()
    with running_server(folder / "models", *flags) as server, Client(server.address, tls=right) as held:
        yield from row("right", server.address, right)
        yield from row("client trusts another authority", server.address, Tls(ca=chains.other_ca), NOT_SIGNED)
        yield from row("client without TLS", server.address, None, TLS_WANTED)
        held.server_live()

        served.cert.write_bytes(chains.renewed.cert.read_bytes()[:300])
        yield from row("reload of a half-written certificate", server.address, right)
        chains.renewed.copy_to(Pair(served.cert, folder / "elsewhere.key"))
        yield from row("reload before the key is there", server.address, right)
        yield shown("the old certificate is shown until then", server.address, chains.right)
        chains.renewed.copy_to(served)
        yield from row("reload of a renewed pair", server.address, right)
        yield shown("the renewed certificate is shown", server.address, chains.renewed)
        yield Cell(
            "ours", "connected since before the reload", ANSWERED, ANSWERED if held.server_live() else "not live"
        )

        chains.wrong_host.copy_to(served)
        yield from row("server's certificate is for another host", server.address, right, ELSEWHERE)
        chains.expired.copy_to(served)
        yield from row("server's certificate is expired", server.address, right, EXPIRED)
        chains.right.copy_to(served)
        yield from row("right again", server.address, right)
        yield Cell("ours", "connected since before all that", ANSWERED, ANSWERED if held.server_live() else "not live")


def both_ways(folder: Path, chains: Chains) -> Iterator[Cell]:
    """Clients must show a certificate too."""
    pair = ("--tls-cert", str(chains.right.cert), "--tls-key", str(chains.right.key))
    with running_server(folder / "models", *pair, "--tls-client-ca", str(chains.client_ca)) as server:
        address = server.address
        yield from row("mTLS, right", address, chains.tls(chains.client))
        yield from row("mTLS, no client certificate", address, chains.tls(), NONE_SHOWN)
        yield from row("mTLS, client of another authority", address, chains.tls(chains.other_client), NOT_TAKEN)
        yield from row("mTLS, client's certificate expired", address, chains.tls(chains.expired_client), NOT_TAKEN)
        yield from row("mTLS, a server's certificate as client's", address, chains.tls(chains.renewed), NOT_TAKEN)
        yield from row("mTLS, client without TLS", address, None, TLS_WANTED)


def neither(folder: Path, chains: Chains) -> Iterator[Cell]:
    with running_server(folder / "models") as server:
        yield from row("server without TLS", server.address, chains.tls(), NO_TLS)


def main() -> int:
    if GRPCURL is None:
        print("grpcurl is not installed: its cells are left out")
    right = total = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        models.save(models.add_one(), folder / "models" / "add_one")
        chains = make_chains(folder / "chains")
        for part in (one_way, both_ways, neither):
            for cell in part(folder, chains):
                total += 1
                right += cell.is_right
                fault = "" if cell.is_right else f"WANTED {cell.wanted}: "
                said = cell.said if fault else cell.said[:SHOWN_CHARACTERS]
                print(f"{cell.situation:41} {cell.client:8} {fault}{said}", flush=True)
    print(f"TLS matrix: {right} of {total} cells as they should be")
    if GRPCURL is None and os.environ.get("ORTOLAN_REQUIRE_TOOLCHAINS") == "1":
        return 1
    return 0 if right == total else 1


if __name__ == "__main__":
    sys.exit(main())
