"""The repository calls: what is there, load, unload."""

from ortolan.inference import inference_pb2 as pb
from ortolan_server.errors import InvalidConfig, InvalidRequest, NotAllowed, NotSupported
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from ortolan_server.repository.given import read_given
from ortolan_server.repository.names import upload_name_fault
from ortolan_server.repository.uploads import Uploads
from ortolan_server.services.load_parameters import LoadParameters, read_load_parameters
from ortolan_server.settings import NOTHING_GIVEN
from ortolan_server.tensors.wording import quoted

__all__ = ["RepositoryService"]

_NOT_ASKED_FOR = "it is in the repository, and nobody has asked for it: RepositoryModelLoad loads it"


class RepositoryService:
    """Request message in, response message out, or a domain error."""

    def __init__(self, manager: ModelManager, *, refusal: str = "", uploads: Uploads | None = None) -> None:
        """`refusal`: why nothing is loaded or unloaded on demand; empty: it is. `uploads` keeps files that come with a
        load; None: neither files nor configurations are taken.
        """
        self._manager = manager
        self._uploads = uploads
        self._refusal = refusal

    def index(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        _one_repository(request.repository_name)
        rows = [
            pb.RepositoryIndexResponse.ModelIndex(
                name=version.model, version=version.version, state=version.state, reason=version.reason
            )
            for version in self._manager.versions
            if version.serves or not request.ready
        ]
        rows += [
            pb.RepositoryIndexResponse.ModelIndex(name=model.entry.name, state="FAILED", reason=model.entry.error)
            for model in self._manager.models
            if model.entry.error and not model.versions and not request.ready
        ]
        if not request.ready:
            rows += [
                pb.RepositoryIndexResponse.ModelIndex(name=name, state=State.UNLOADED, reason=_NOT_ASKED_FOR)
                for name in self._manager.waiting
            ]
        return pb.RepositoryIndexResponse(models=sorted(rows, key=lambda row: (row.name, int(row.version or 0))))

    def load(self, request: pb.RepositoryModelLoadRequest) -> pb.RepositoryModelLoadResponse:
        """Returns when the model serves. Raises LoadFailed with the reasons when it does not."""
        self._require_control(request.repository_name, request.model_name)
        parameters = read_load_parameters(request.parameters)
        if parameters.config is None:
            self._manager.load(request.model_name, force=parameters.force)
        else:
            self._load_given(request.model_name, parameters.config, parameters)
        return pb.RepositoryModelLoadResponse()

    def _load_given(self, model: str, config: str, parameters: LoadParameters) -> None:
        if self._uploads is None:
            raise NotAllowed(NOTHING_GIVEN)
        if fault := upload_name_fault(model):
            raise InvalidRequest(f"model_name {quoted(model)}: {fault}")
        try:
            given = read_given(config, model)
        except InvalidConfig as error:
            raise InvalidRequest(str(error)) from error
        upload = self._uploads.keep(parameters.files) if parameters.files else None
        self._manager.load_given(model, given, upload, force=parameters.force)

    def unload(self, request: pb.RepositoryModelUnloadRequest) -> pb.RepositoryModelUnloadResponse:
        """Returns when the model has drained. `unload_dependents` is accepted: models here have none."""
        self._require_control(request.repository_name, request.model_name)
        unknown = sorted(set(request.parameters) - {"unload_dependents"})
        if unknown:
            raise NotSupported(f"unload parameters ({', '.join(unknown)}) are not supported; known: unload_dependents")
        self._manager.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()

    def _require_control(self, repository: str, model: str) -> None:
        if self._refusal:
            raise NotAllowed(self._refusal)
        _one_repository(repository)
        if not model:
            raise InvalidRequest("model_name is empty")


def _one_repository(name: str) -> None:
    if name:
        raise NotSupported(f"repository_name {name!r}: this server has one repository, leave the name empty")
