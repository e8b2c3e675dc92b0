"""Root file systems to run an image's steps in: a distribution by debootstrap, layers by overlayfs, programs by chroot.

All mounts belong to the mount namespace of this process, which must be its own (`own_namespace`): they end with it.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ["debian", "devices", "inside", "lent", "overlay", "own_namespace", "package_clients", "run", "why_not"]

PROGRAMS = ("debootstrap", "unshare", "nsenter", "chroot", "mount", "ip", "setpriv", "openssl")
MIRROR = "http://deb.debian.org/debian"
_OWN_NAMESPACE = "ORTOLAN_IMAGE_NAMESPACE"
_CLIENT_SETTING = re.compile(r"PIP_\w+|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|(https?|no)_proxy", re.IGNORECASE)
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_SOURCES = """\
Types: deb
URIs: http://deb.debian.org/debian
Suites: {suite} {suite}-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: {suite}-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
# As in Debian's image: what apt downloads does not stay in a layer.
_APT = 'APT::Keep-Downloaded-Packages "false"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";\n'
_CLEAN = 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };\n'
# What the slim variant of Debian's image leaves out, now and in packages that come later.
_SLIMMED = ("doc", "info", "linda", "lintian", "locale", "man")


def why_not() -> str:
    """Why the steps of an image cannot be run here; empty when they can."""
    if os.geteuid() != 0:
        return "it needs root, to mount and to change the root folder"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    probe = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True, check=False
    )
    return f"no namespaces: {probe.stderr.strip()}" if probe.returncode else ""


def own_namespace(command: Sequence[str]) -> None:
    """Begins again as `command` in a mount namespace of its own, once."""
    if os.environ.get(_OWN_NAMESPACE) != "1":
        os.environ[_OWN_NAMESPACE] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", *command])  # noqa: S606


def debian(suite: str, folder: Path) -> Path:
    """The root of `debian:SUITE-slim`, made once: minbase, its archive's three suites, without documentation."""
    root, made = folder / suite, folder / f"{suite}.made"
    if not made.exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        print(f"making a root of Debian {suite} (once)", flush=True)
        run("debootstrap", "--variant=minbase", suite, str(root), MIRROR)
        (root / "etc/apt/sources.list").unlink()
        (root / "etc/apt/sources.list.d/debian.sources").write_text(_SOURCES.format(suite=suite))
        (root / "etc/apt/apt.conf.d/clean").write_text(_APT + _CLEAN)
        shares = "".join(f"path-exclude /usr/share/{name}/*\n" for name in _SLIMMED)
        (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(shares)
        for name in _SLIMMED:
            shutil.rmtree(root / "usr/share" / name, ignore_errors=True)
        for cache in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / cache)
            (root / cache).mkdir()
        made.touch()
    return root


def overlay(lower: Path, folder: Path) -> tuple[Path, Path]:
    """Mounts `lower` with an empty layer above it. Returns the root and the folder of the layer."""
    shutil.rmtree(folder, ignore_errors=True)
    layer, work, root = folder / "layer", folder / "work", folder / "root"
    for path in (layer, work, root):
        path.mkdir(parents=True)
    run("mount", "-t", "overlay", "ortolan", "-o", f"lowerdir={lower},upperdir={layer},workdir={work}", str(root))
    return root, layer


@contextmanager
def devices(root: Path) -> Iterator[None]:
    """A /dev with what every container has."""
    run("mount", "-t", "tmpfs", "-o", "mode=755,size=64m", "devices", str(root / "dev"))
    try:
        for name in _DEVICES:
            (root / "dev" / name).touch()
            run("mount", "--bind", f"/dev/{name}", str(root / "dev" / name))
        (root / "dev/fd").symlink_to("/proc/self/fd")
        (root / "dev/shm").mkdir()
        (root / "dev/shm").chmod(0o1777)
        yield
    finally:
        run("umount", "--recursive", str(root / "dev"))


@contextmanager
def lent(source: Path, root: Path, target: str, *, writable: bool = False) -> Iterator[None]:
    """A file or folder of this machine at `target` in `root`; where nothing was before, nothing is left behind."""
    at = root / target.lstrip("/")
    made = not at.exists()
    if made and source.is_dir():
        at.mkdir(parents=True)
    elif made:
        at.parent.mkdir(parents=True, exist_ok=True)
        at.touch()
    run("mount", "--bind", str(source), str(at))
    try:
        if not writable:
            run("mount", "-o", "remount,bind,ro", str(at))
        yield
    finally:
        run("umount", str(at))
        if made:
            at.rmdir() if source.is_dir() else at.unlink()


@contextmanager
def package_clients(root: Path) -> Iterator[dict[str, str]]:
    """The settings of this machine's package clients (an index, a proxy, certificates), for a step in `root`.

    Files that they name are lent below /run, where no package puts its own.
    """
    settings = {name: value for name, value in os.environ.items() if _CLIENT_SETTING.fullmatch(name)}
    with ExitStack() as files:
        for number, (name, value) in enumerate(settings.items()):
            if value.startswith("/") and Path(value).exists():
                settings[name] = f"/run/lent-{number}"
                files.enter_context(lent(Path(value), root, settings[name]))
        yield settings


def inside(root: Path, command: Sequence[str], environment: Mapping[str, str], *, user: str = "0:0") -> list[str]:
    """The command line that runs `command` in `root` as the first process of a namespace, as a container would."""
    settings = [f"{name}={value}" for name, value in environment.items()]
    return [
        *("unshare", "--pid", "--fork", f"--mount-proc={root}/proc"),
        *("setpriv", "--no-new-privs"),
        *("chroot", f"--userspec={user}", "--groups=", str(root)),
        *("/usr/bin/env", "-i", *settings, *command),
    ]


def run(*command: str) -> None:
    """Raises OSError with what the command printed when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}\nended with status {done.returncode}\n{done.stdout[-4000:]}")
