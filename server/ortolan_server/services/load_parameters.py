"""The parameters of RepositoryModelLoad: which are known, of which type, and what they ask for."""

from collections.abc import Mapping
from dataclasses import dataclass

from ortolan.inference.inference_pb2 import ModelRepositoryParameter
from ortolan_server.errors import InvalidRequest, NotSupported

__all__ = ["LoadParameters", "read_load_parameters"]

_FORCE = "ortolan_force"


@dataclass(frozen=True, slots=True)
class LoadParameters:
    """What a load is asked to do beyond loading."""

    force: bool = False
    """Take a reload also where its assignment is worse than that of the version that serves."""


def read_load_parameters(parameters: Mapping[str, ModelRepositoryParameter]) -> LoadParameters:
    """Raises NotSupported for unknown parameters, and InvalidRequest for values of a wrong type."""
    unknown = sorted(parameters.keys() - {_FORCE})
    if unknown:
        raise NotSupported(f"load parameters ({', '.join(unknown)}) are not supported; known: {_FORCE}")
    return LoadParameters(force=_flag(_FORCE, parameters))


def _flag(name: str, parameters: Mapping[str, ModelRepositoryParameter]) -> bool:
    if name not in parameters:
        return False
    kind = parameters[name].WhichOneof("parameter_choice")
    if kind != "bool_param":
        raise InvalidRequest(f"load parameter {name!r} is {kind or 'nothing'}; wanted bool_param")
    return parameters[name].bool_param
