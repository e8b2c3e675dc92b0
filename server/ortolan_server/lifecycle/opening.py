"""From a model file to an open session with its signature: what `serve` and `plan` do alike."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ortolan_backends.errors import UnservableModel
from ortolan_backends.runtime.hazards import find_hazards
from ortolan_backends.runtime.model import ModelFile, read_model, walk
from ortolan_server.chains.chain import Chain
from ortolan_server.chains.load import Load
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import Attempt, ChainReport
from ortolan_server.errors import InvalidConfig, LoadFailed
from ortolan_server.lifecycle.batch_axis import require_batch_axis
from ortolan_server.lifecycle.declared import require_declared
from ortolan_server.lifecycle.locked import open_against_lock
from ortolan_server.lifecycle.numeric import AgainstCpu
from ortolan_server.lifecycle.samples import Sample, read_samples
from ortolan_server.repository import ModelToml
from ortolan_server.repository.assignment_lock import lock_path
from ortolan_server.repository.external_data import check_external_data
from ortolan_server.tensors import Signature

__all__ = ["OpenModel", "open_model"]


@dataclass(frozen=True, slots=True)
class OpenModel:
    """`signature` is None exactly when nothing can be served: the report's verdict is then BROKEN."""

    report: ChainReport
    signature: Signature | None
    samples: tuple[Sample, ...] = ()
    """That a session of this model is warmed up with."""
    is_predictable: bool = False
    """Whether runs that were measured tell how long the next one takes: see `ModelFile`."""

    def following(self, before: Sequence[Attempt]) -> "OpenModel":
        """See `ChainReport.following()`."""
        return replace(self, report=self.report.following(before))

    def refused(self, stage: str, reason: str) -> "OpenModel":
        """The same without its session, which is not fit to serve."""
        return replace(self, report=self.report.refused(stage, reason), signature=None)


def open_model(  # noqa: PLR0913 - all that a model is opened with
    registry: Registry, path: Path, chain: Chain, config: ModelToml, folder: Path, load: Load | None = None
) -> OpenModel:
    """Opens the model at `path` on its chain, which is that of `config` or takes its place; or on some of its rungs.

    `folder` is that of its model.toml: recorded inputs lie in it. What is wrong with the model, its samples or a rung
    is in the report; only LoadCancelled is raised. With `trust_inputs` a model is taken with which some input can end
    the process.
    """
    load = load or Load()
    load.handle.require_wanted()
    try:
        model = read_model(path)
        check_external_data(model.proto, path.parent)
        _refuse_compiled_code(model)
        if not config.trust_inputs:
            _refuse_hazards(model)
        samples = read_samples(config, folder)
        against_cpu = AgainstCpu(
            config.numeric,
            samples,
            model.random_operators,
            lambda: registry.open_on_cpu(model, chain, load),
            load.handle,
            config.failover,
        )
        report = open_against_lock(registry, model, chain, lock_path(path, config.file), against_cpu, load)
    except UnservableModel as error:
        return OpenModel(ChainReport.untried(chain, error.reason), None)
    except (InvalidConfig, LoadFailed) as error:
        return OpenModel(ChainReport.untried(chain, str(error)), None)
    if report.session is None:
        return OpenModel(report, None)
    try:
        signature = Signature.of(report.session.inputs, report.session.outputs)
        require_declared(signature, config)
        if config.batching is not None:
            require_batch_axis(signature)
        for sample in samples:
            if sample.declared:
                sample.require_fit(signature)
    except LoadFailed as error:
        return OpenModel(report.unfit(str(error)), None)
    return OpenModel(report, signature, samples, model.is_predictable)


def _refuse_compiled_code(model: ModelFile) -> None:
    """Raises LoadFailed for EPContext nodes: they carry, or name a file with, code for a provider to run."""
    for node in walk(model.proto.graph):
        if node.op_type == "EPContext":
            raise LoadFailed(
                f"node {node.name!r} is an EPContext: compiled code of a provider is not taken from a model; "
                "export the model without it"
            )


def _refuse_hazards(model: ModelFile) -> None:
    if hazards := find_hazards(model):
        raise LoadFailed(
            f"{'; '.join(hazards)}. To serve it to callers you trust, write trust_inputs = true at the top of its "
            "model.toml"
        )
