"""What an image promises, checked on its files and on a container of it."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import numpy as np

from ortolan_client import Client
from tests import models
from tests.certificates import ELSEWHERE, make_chains
from tests.image.build import Image
from tests.image.running import ADDRESS, HTTP_ADDRESS, Container, container

__all__ = ["Outcome", "check_container", "check_files"]

LIMIT_S = 60.0
STEPS = 3_000_000  # a run of seconds: it lasts until it was seen and the signal has come
TRIES = 5
_BUILD_TOOLS = re.compile(r"(pip[\d.]*|gcc[-\d.]*|cc|c\+\+|g\+\+[-\d.]*|make|ld|as|git|curl|wget)")
_EMPTY = ("/dev/shm", "/tmp")  # noqa: S108 - where it could have written, if at all
_UNWRITABLE = ("/", "/tmp", "/var/tmp", "/models", "/opt/ortolan", "/opt/ortolan/bin", "/etc")  # noqa: S108
_EXPECTED_WARNINGS = {"listening_beyond_loopback"}  # the image listens wide, here without TLS


@dataclass(frozen=True, slots=True)
class Outcome:
    what: str
    fault: str
    """Empty when it is as promised."""


def outcome(what: str, check: Callable[[], object]) -> Outcome:
    try:
        check()
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the finding
        return Outcome(what, f"{type(error).__name__}: {error}"[:2000])
    return Outcome(what, "")


def check_files(image: Image, repository: Path, extra: str) -> Iterator[Outcome]:
    yield outcome("nothing to build with: no pip, no compiler", lambda: _no_tools(image))
    yield outcome("no program that lends rights beside the base's", lambda: _no_setuid(image))
    yield outcome("bytecode for every module", lambda: _compiled(image))
    yield outcome("exactly the packages that are listed", lambda: _as_listed(image, repository, extra))


def check_container(image: Image, scratch: Path) -> Iterator[Outcome]:
    """Runs a container with three models and one without any. The network is one where port 8001 is free."""
    served, empty = scratch / "models", scratch / "empty"
    models.save(models.add_one(), served / "add_one")
    models.save(models.simple(), served / "simple")
    models.save(models.countdown(), served / "countdown")
    empty.mkdir()
    scratch.chmod(0o755)  # the container's user is another one
    with container(image, served) as running, Client(ADDRESS, timeout_s=LIMIT_S) as client:
        running.server.wait_for("models_loaded")
        yield outcome("process 1, not root, and no way to become it", lambda: _identity(running))
        yield outcome("HEALTHCHECK says SERVING", lambda: _healthy(running))
        yield outcome(
            "so it does where the engine sets a proxy", lambda: _healthy(running, "http_proxy=http://127.0.0.1:9")
        )
        yield outcome("an inference from outside", lambda: _answers(client))
        yield outcome("metrics from outside", _measures)
        yield outcome("every model kept its contract", lambda: _kept(running))
        yield outcome("nothing can be written, by root neither", lambda: _read_only(running))
        yield outcome("SIGTERM: what is in flight is answered, exit status 0", lambda: _drains(running, client))
        yield outcome("nothing complained", lambda: _quiet(running))
    with container(image, empty) as running:
        running.server.wait_for("models_loaded")
        yield outcome("HEALTHCHECK fails without models", lambda: _unhealthy(running))
        yield outcome("SIGTERM when idle: exit status 0", lambda: _equal(running.stop(), 0))
    with _under_tls(image, served, scratch) as running:
        running.server.wait_for("models_loaded")
        yield outcome("HEALTHCHECK says SERVING over mTLS, told by the environment alone", lambda: _healthy(running))
    yield outcome("SIGTERM before it listens: it ends as SIGTERM does", lambda: _ends_early(image, served))
    with container(image, served) as running:
        running.server.wait_for("server_listening")
        yield outcome("SIGTERM while models load: exit status 0", lambda: _equal(running.stop(), 0))


def _no_tools(image: Image) -> None:
    places = (image.root / "usr/bin", image.root / "opt/ortolan/bin")
    _equal(sorted(path.name for folder in places for path in folder.iterdir() if _BUILD_TOOLS.fullmatch(path.name)), [])
    _equal([path.name for path in image.root.glob("opt/ortolan/lib/*/site-packages/pip*")], [])


def _no_setuid(image: Image) -> None:
    files = [Path(folder) / name for folder, _, names in os.walk(image.layer) for name in names]
    _equal([str(file) for file in files if not file.is_symlink() and file.stat().st_mode & 0o6000], [])


def _compiled(image: Image) -> None:
    sources = [path for path in image.root.glob("opt/ortolan/lib/**/*.py") if path.stem.isidentifier()]
    assert sources
    lacking = [path for path in sources if not list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))]
    _equal([str(path.relative_to(image.root)) for path in lacking], [])


def _as_listed(image: Image, repository: Path, extra: str) -> None:
    (site,) = image.root.glob("opt/ortolan/lib/*/site-packages")
    installed = {
        re.sub(r"[-_.]+", "-", match[1]).lower(): match[2]
        for path in site.glob("*.dist-info")
        if (match := re.fullmatch(r"(.+)-([^-]+)\.dist-info", path.name))
    }
    lines = (repository / "deploy/requirements" / f"{extra}.txt").read_text(encoding="utf-8").splitlines()
    listed = dict(line.split("==") for line in lines if not line.startswith("#"))
    installed.pop("ortolan")
    _equal(installed, listed)


def _identity(running: Container) -> None:
    status = Path(f"/proc/{running.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    uid, _, gid = running.image.user.partition(":")
    assert uid != "0", "the image's user is root"
    _equal(fields["Uid"].split(), [uid] * 4)
    _equal(fields["Gid"].split(), [gid] * 4)
    _equal(fields.get("Groups", "").split(), [])
    _equal(fields["NSpid"].split()[-1], "1")
    _equal((int(fields["CapEff"], 16), int(fields["CapPrm"], 16), fields["NoNewPrivs"]), (0, 0, "1"))


def _healthy(running: Container, *settings: str) -> None:
    done = running.check_health(*settings)
    _equal((done.returncode, done.stdout, done.stderr), (0, "SERVING\n", ""))


def _unhealthy(running: Container) -> None:
    done = running.check_health()
    _equal((done.returncode, done.stdout, done.stderr), (1, "NOT_SERVING\n", ""))


def _answers(client: Client) -> None:
    answer = client.infer("add_one", {"x": np.array([[1, 2]], np.float32)})
    _equal(answer["y"].tolist(), [[2.0, 3.0]])


def _measures() -> None:
    with urlopen(f"http://{HTTP_ADDRESS}/metrics", timeout=LIMIT_S) as page:
        counts = re.findall(
            r"^ortolan_requests_total{code=.OK.,model=.add_one.*} (.*)$", page.read().decode(), re.MULTILINE
        )
    _equal(counts, ["1.0"])


def _kept(running: Container) -> None:
    done = running.run("ortolan", "status", "--json")
    verdicts = {row["model"]: row["verdict"] for row in json.loads(done.stdout)["assignments"]}
    _equal((done.returncode, verdicts), (0, dict.fromkeys(("add_one", "countdown", "simple"), "KEPT")))


def _read_only(running: Container) -> None:
    for user in (running.image.user, "0:0"):
        for folder in _UNWRITABLE:
            done = running.run("touch", f"{folder}/written", user=user)
            assert done.returncode != 0, f"user {user} could write to {folder}"
    _equal(running.run("find", *_EMPTY).stdout.split(), list(_EMPTY))


def _drains(running: Container, client: Client) -> None:
    answers: list[float] = []
    call = threading.Thread(
        target=lambda: answers.append(float(client.infer("countdown", {"n": np.int64(STEPS)})["y"]))
    )
    call.start()
    running.server.wait_for_runs(1)
    status = running.stop()
    call.join(LIMIT_S)
    _equal((status, answers), (0, [float(STEPS)]))


@contextmanager
def _under_tls(image: Image, served: Path, scratch: Path) -> Iterator[Container]:
    """Its certificate is for another host than the health check's 127.0.0.1, and it demands one of each client."""
    folder = scratch / "tls"
    folder.mkdir()
    chains = make_chains(folder)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # the container's user is another one
    inside = {path: f"/tls/{path.relative_to(folder)}" for path in folder.rglob("*")}
    flags = {"cert": chains.wrong_host.cert, "key": chains.wrong_host.key, "client-ca": chains.client_ca}
    asks = {"CA": chains.ca, "CERT": chains.client.cert, "KEY": chains.client.key}
    arguments = [word for flag, path in flags.items() for word in (f"--tls-{flag}", inside[path])]
    environment = {f"ORTOLAN_TLS_{name}": inside[path] for name, path in asks.items()}
    environment["ORTOLAN_TLS_SERVER_NAME"] = ELSEWHERE.removeprefix("DNS:")
    with container(
        image, served, arguments=[*image.command, *arguments], environment=environment, lends={"/tls": folder}
    ) as running:
        yield running


def _ends_early(image: Image, served: Path) -> None:
    """The kernel keeps from process 1 what it does not handle, so the handler must be there before the long imports.

    Where this process is held up meanwhile the signal comes after them, which shows nothing.
    """
    wanted = 128 + signal.SIGTERM
    for _ in range(TRIES):
        with container(image, served) as running:
            while not _catches(running.pid, signal.SIGTERM):
                time.sleep(0.001)
            status, events = running.stop(), running.server.events
        if status == wanted:
            break
    _equal((status, events), (wanted, []))


def _catches(process: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{process}/status").read_text()
    (mask,) = re.findall(r"^SigCgt:\t(\w+)$", status, re.MULTILINE)
    return bool(int(mask, 16) >> (number - 1) & 1)


def _quiet(running: Container) -> None:
    events = [event for event in running.server.events if event.get("level") not in {"info", "debug"}]
    complaints = [event for event in events if event.get("event") not in _EXPECTED_WARNINGS]
    _equal(complaints, [])


def _equal(found: object, wanted: object) -> None:
    assert found == wanted, f"{found} is not {wanted}"
