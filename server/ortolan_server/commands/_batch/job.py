"""The record of a job: what it reads, asks and writes. It decides whether another run goes on with it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from ortolan_server.commands._batch.formats import BatchFailed
from ortolan_server.commands._durable import write_durably

__all__ = ["Asked", "Done", "InputIdentity", "Job", "difference", "job_path"]

_RECORD = 1
_SAMPLED_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class InputIdentity:
    """What tells one input file from another without reading all of it."""

    bytes: int
    modified_ns: int
    head_and_tail_sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        status = path.stat()
        sample = hashlib.sha256()
        with path.open("rb") as file:
            sample.update(file.read(_SAMPLED_BYTES))
            file.seek(max(0, status.st_size - _SAMPLED_BYTES))
            sample.update(file.read(_SAMPLED_BYTES))
        return cls(status.st_size, status.st_mtime_ns, sample.hexdigest())


@dataclass(frozen=True, slots=True)
class Done:
    """How a job ended. `output_bytes` tells its output from a file that somebody else put there."""

    rows: int
    bad_rows: int
    output_bytes: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asked for, as far as it decides what the output holds."""

    input: InputIdentity
    in_format: str
    out_format: str
    model: str
    version: str
    map: list[str]
    output: list[str]
    keep: list[str]


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that decides what the output holds."""

    asked: Asked
    version: str
    """Pinned when the job began: this one answers every row. Empty where the server names none."""
    signature: dict[str, str]
    """The model's inputs and outputs as they were then."""
    done: Done | None = None

    def write(self, path: Path, folder: Path) -> None:
        document = {"record": _RECORD, **asdict(self)}
        write_durably(path, json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n", folder)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """None where there is none. Raises BatchFailed for a file that is none."""
        try:
            document = json.loads(path.read_bytes())
            if document["record"] != _RECORD:
                raise _another_version(path)
            asked, done = document["asked"], document["done"]
            identity = InputIdentity(**asked.pop("input"))
            return cls(
                asked=Asked(input=identity, **asked),
                version=document["version"],
                signature=document["signature"],
                done=Done(**done) if done else None,
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BatchFailed(f"{path} is no record of a job: {error}; --restart begins anew") from error


def difference(before: Asked, now: Asked) -> str:
    """What a run would do otherwise than those before it; empty: nothing."""
    if before.input != now.input:
        return "the input file has changed"
    was, is_now = asdict(before), asdict(now)
    for key, value in was.items():
        if value != is_now[key]:
            return f"--{key.replace('_', '-')} was {_told(value)} and is {_told(is_now[key])} now"
    return ""


def _another_version(path: Path) -> BatchFailed:
    return BatchFailed(f"{path} is of another version of Ortolan; --restart begins anew")


def job_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.job.json")


def _told(value: object) -> str:
    if isinstance(value, list):
        value = " ".join(value)
    return str(value) or "not given"
