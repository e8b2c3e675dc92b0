"""The parameters of RepositoryModelLoad: which are known, of which type, and what they ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ortolan.inference.inference_pb2 import ModelRepositoryParameter
from ortolan_server.errors import InvalidRequest, NotSupported
from ortolan_server.tensors.wording import quoted

__all__ = ["LoadParameters", "read_load_parameters"]

_FORCE = "ortolan_force"
_CONFIG = "config"
_FILE = "file:"


@dataclass(frozen=True, slots=True)
class LoadParameters:
    """What a load is asked to do beyond loading."""

    force: bool = False
    """Take a reload also where its assignment is worse than that of the version that serves."""
    config: str | None = None
    """In place of the configuration on disk; None: that one."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Path below the model's folder → content, in place of all files on disk. Only with `config`, as in Triton."""


def read_load_parameters(parameters: Mapping[str, ModelRepositoryParameter]) -> LoadParameters:
    """Raises NotSupported for unknown parameters, and InvalidRequest for values of a wrong type."""
    files = [name for name in parameters if name.startswith(_FILE)]
    unknown = sorted(parameters.keys() - {_FORCE, _CONFIG, *files})
    if unknown:
        known = f"{_CONFIG}, {_FILE}<path>, {_FORCE}"
        raise NotSupported(f"load parameters ({', '.join(unknown)}) are not supported; known: {known}")
    for name, kind in {_FORCE: "bool_param", _CONFIG: "string_param", **dict.fromkeys(files, "bytes_param")}.items():
        _check_kind(name, parameters, kind)
    if files and _CONFIG not in parameters:
        raise InvalidRequest(f"load parameter {quoted(files[0])} needs the parameter {_CONFIG!r} beside it")
    return LoadParameters(
        force=_FORCE in parameters and parameters[_FORCE].bool_param,
        config=parameters[_CONFIG].string_param if _CONFIG in parameters else None,
        files={name.removeprefix(_FILE): parameters[name].bytes_param for name in files},
    )


def _check_kind(name: str, parameters: Mapping[str, ModelRepositoryParameter], wanted: str) -> None:
    # `in` first: asking a map of messages for a key adds it.
    kind = parameters[name].WhichOneof("parameter_choice") if name in parameters else wanted
    if kind != wanted:
        raise InvalidRequest(f"load parameter {quoted(name)} is {kind or 'nothing'}; wanted {wanted}")
