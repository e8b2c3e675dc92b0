"""Runs the instructions of a Dockerfile, stage by stage, in root file systems of this machine."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.image.context import Context
from tests.image.dockerfile import DockerfileError, Instruction, Stage, pairs, substitute
from tests.image.roots import devices, inside, lent, overlay, package_clients

__all__ = ["Builder", "Image", "StepFailed", "size_mb"]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class StepFailed(RuntimeError):
    """An instruction ended badly; the text has its line and its output."""


@dataclass(slots=True)
class Image:
    """What a stage has made: a root file system, and how a container of it is started."""

    root: Path
    layer: Path
    """What was written above the base."""
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    labels: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    stop_signal: str = "SIGTERM"
    ports: tuple[str, ...] = ()
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    health_timeout_s: float = 30.0


class Builder:
    """`base` finds the root of an image by its name, `scratch` takes the layers and what `--mount=type=cache` keeps."""

    def __init__(self, context: Context, scratch: Path, base: Callable[[str], Path]) -> None:
        self._context = context
        self._scratch = scratch
        self._base = base
        self._images: dict[str, Image] = {}
        self._does: dict[str, Callable[[Image, Instruction, dict[str, str]], None]] = {
            "CMD": self._command,
            "COPY": self._copy,
            "ENTRYPOINT": self._entrypoint,
            "ENV": self._env,
            "EXPOSE": self._expose,
            "HEALTHCHECK": self._healthcheck,
            "LABEL": self._label,
            "RUN": self._run,
            "STOPSIGNAL": self._stop_signal,
            "USER": self._user,
            "WORKDIR": self._workdir,
        }

    def build(self, stage: Stage, shared: Mapping[str, str], build_args: Mapping[str, str]) -> Image:
        """Runs one stage; those that it uses were built before. Raises StepFailed, DockerfileError, OSError."""
        image = self._start(stage)
        arguments: dict[str, str] = {}
        for step in stage.instructions:
            if step.name == "ARG":
                arguments |= _arguments(step, shared, build_args)
            else:
                self._does[step.name](image, step, arguments)
        self._images[stage.name] = image
        return image

    def _start(self, stage: Stage) -> Image:
        below = self._images.get(stage.base)
        root, layer = overlay(below.root if below else self._base(stage.base), self._scratch / "stages" / stage.name)
        image = Image(root, layer)
        if below:
            image.environment |= below.environment
            image.user, image.folder = below.user, below.folder
        return image

    def _run(self, image: Image, step: Instruction, arguments: dict[str, str]) -> None:
        shell = ["/bin/sh", "-c", f"cd {shlex.quote(image.folder)} && {step.arguments}"]
        with ExitStack() as mounts:
            mounts.enter_context(devices(image.root))
            settings = mounts.enter_context(package_clients(image.root))
            mounts.enter_context(lent(Path("/etc/resolv.conf"), image.root, "/etc/resolv.conf"))
            for flag in step.flags:
                target = _cache_target(step, flag)
                mounts.enter_context(lent(self._cache(target), image.root, target, writable=True))
            environment = {"HOME": "/root"} | settings | image.environment | arguments
            command = inside(image.root, shell, environment, user=image.user)
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            output = done.stdout.decode(errors="replace")[-6000:]
            raise StepFailed(f"line {step.line}: {step}\nended with status {done.returncode}:\n{output}")

    def _cache(self, target: str) -> Path:
        folder = self._scratch / "caches" / target.strip("/").replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _copy(self, image: Image, step: Instruction, arguments: dict[str, str]) -> None:
        *sources, target = substitute(step.arguments, arguments | image.environment).split()
        into = Path(image.folder) / target
        origin = [flag.removeprefix("--from=") for flag in step.flags]
        if origin and (len(origin) != 1 or origin[0] not in self._images):
            raise DockerfileError(f"line {step.line}: COPY takes --from=STAGE alone here, not {' '.join(step.flags)}")
        for source in sources:
            if origin:
                _copy_tree(self._images[origin[0]].root / source.lstrip("/"), image.root, into)
            else:
                self._copy_context(source, image.root, into, folder=target.endswith("/"))

    def _copy_context(self, source: str, root: Path, into: Path, *, folder: bool) -> None:
        for file in self._context.files(source):
            below = file.relative_to(source) if file != Path(source) else Path(file.name if folder else "")
            target = root / str(into / below).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self._context.root / file, target)

    def _workdir(self, image: Image, step: Instruction, arguments: dict[str, str]) -> None:
        image.folder = str(Path(image.folder) / substitute(step.arguments, arguments | image.environment))
        (image.root / image.folder.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _env(self, image: Image, step: Instruction, arguments: dict[str, str]) -> None:
        image.environment |= pairs(step, arguments | image.environment)

    def _label(self, image: Image, step: Instruction, arguments: dict[str, str]) -> None:
        image.labels |= pairs(step, arguments | image.environment)

    def _user(self, image: Image, step: Instruction, _arguments: dict[str, str]) -> None:
        if not re.fullmatch(r"\d+:\d+", step.arguments):
            raise DockerfileError(f"line {step.line}: USER wants UID:GID, which a cluster can hold against a policy")
        image.user = step.arguments

    def _expose(self, image: Image, step: Instruction, _arguments: dict[str, str]) -> None:
        image.ports = (*image.ports, *step.arguments.split())

    def _stop_signal(self, image: Image, step: Instruction, _arguments: dict[str, str]) -> None:
        image.stop_signal = step.arguments

    def _entrypoint(self, image: Image, step: Instruction, _arguments: dict[str, str]) -> None:
        image.entrypoint = step.exec_form()

    def _command(self, image: Image, step: Instruction, _arguments: dict[str, str]) -> None:
        image.command = step.exec_form()

    def _healthcheck(self, image: Image, step: Instruction, _arguments: dict[str, str]) -> None:
        kind, _, rest = step.arguments.partition(" ")
        if kind != "CMD":
            raise DockerfileError(f"line {step.line}: HEALTHCHECK wants CMD, not {kind}")
        image.health = Instruction(step.line, step.name, (), rest).exec_form()
        (timeout,) = (flag for flag in step.flags if flag.startswith("--timeout="))
        image.health_timeout_s = float(timeout.removeprefix("--timeout=").removesuffix("s"))


def _arguments(step: Instruction, shared: Mapping[str, str], build_args: Mapping[str, str]) -> dict[str, str]:
    """An ARG without a value takes that of the same name before the first FROM."""
    if "=" not in step.arguments:
        return {step.arguments: shared[step.arguments]}
    return {name: build_args.get(name, value) for name, value in pairs(step, {}).items()}


def _cache_target(step: Instruction, flag: str) -> str:
    match = re.fullmatch(r"--mount=type=cache,target=([^,]+)", flag)
    if match is None:
        raise DockerfileError(f"line {step.line}: {flag} is not known here; known: --mount=type=cache,target=…")
    return match[1]


def _copy_tree(source: Path, root: Path, into: Path) -> None:
    target = root / str(into).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def size_mb(folder: Path) -> int:
    """What the files below take on disk, in megabytes of 10^6 bytes."""
    blocks = sum(os.lstat(Path(path) / name).st_blocks for path, _, names in os.walk(folder) for name in names)
    return round(blocks * 512 / 1e6)
