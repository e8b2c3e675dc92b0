"""What a bench measures, checked as far as that can be done before a process is started."""

from dataclasses import dataclass

from ortolan_backends.catalog import Catalog
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import ModelFile, read_model
from ortolan_server.bench.declared import declared_signature
from ortolan_server.bench.job import DEFAULT_BATCH_SIZES, BenchJob
from ortolan_server.bench.rule import REFERENCE
from ortolan_server.chains.chain import Chain
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import ChainRung, ModelToml
from ortolan_server.tensors import Signature
from ortolan_server.tensors.feeds import Arrays, make_inputs

__all__ = ["Subject", "look_at_subject"]


@dataclass(frozen=True, slots=True)
class Subject:
    """The model, its inputs, and the chains."""

    model: ModelFile
    version: int
    signature: Signature
    chains: tuple[tuple[Chain, ModelToml], ...]
    """Each with the model's configuration on it; the reference is among them."""
    sizes: tuple[int, ...]
    """Batch sizes, ascending."""
    arrays: Arrays
    """With the rows of the largest batch."""
    made_up: bool
    """Whether any of them is random."""


def look_at_subject(job: BenchJob) -> Subject:
    """Raises InvalidConfig for what cannot be measured as asked, UnservableModel for what is no readable model."""
    if job.rounds < 1 or job.seconds <= 0 or job.load_timeout_s <= 0:
        raise InvalidConfig("rounds, seconds and the load timeout must be above zero")
    chains = _compose(job)
    version = max(job.entry.wanted)
    model = read_model(job.entry.versions[version])
    signature = declared_signature(model)
    sizes = _batch_sizes(job, signature)
    return Subject(
        model=model,
        version=version,
        signature=signature,
        chains=chains,
        sizes=sizes,
        arrays=make_inputs(signature, job.inputs, rows=max(sizes), seed=job.seed),
        made_up=any(spec.name not in job.inputs for spec in signature.inputs),
    )


def _compose(job: BenchJob) -> tuple[tuple[Chain, ModelToml], ...]:
    names = job.chains if REFERENCE in job.chains else (REFERENCE, *job.chains)
    registry = Registry(Catalog.from_entry_points(), RuntimeLog(lambda _line: None))
    for chain in names:
        if not all(chain) or not chain:
            known = ", ".join(registry.names)
            raise InvalidConfig(f"chain {','.join(chain)!r} names no provider; known: {known}")
        if names.count(chain) > 1:
            raise InvalidConfig(f"chain {','.join(chain)} is given twice")
    configs = [_on_chain(job.entry.config, chain) for chain in names]
    return tuple(
        (registry.compose(config, f"chain {','.join(chain)}"), config)
        for chain, config in zip(names, configs, strict=True)
    )


def _on_chain(config: ModelToml, names: tuple[str, ...]) -> ModelToml:
    """The model's configuration on another chain.

    Its contract stays in force for those of its providers that the chain has, and for the chain's first: that is what
    shall be measured. The reference has none: a contract that keeps the model off the CPU would leave nothing to
    compare with.
    """
    options = {rung.provider: rung.options for rung in config.chain}
    on_chain = config.on_chain(tuple(ChainRung.of(name, options.get(name, {})) for name in names))
    if config.require is None or names == REFERENCE:
        return on_chain.model_copy(update={"require": None})
    wanted = {names[0], *config.require.provider}
    providers = tuple(name for name in dict.fromkeys(names) if name in wanted)
    return on_chain.model_copy(update={"require": config.require.model_copy(update={"provider": providers})})


def _batch_sizes(job: BenchJob, signature: Signature) -> tuple[int, ...]:
    if job.batch_sizes is None:
        return DEFAULT_BATCH_SIZES if signature.has_batch_axis else (1,)
    if not job.batch_sizes or min(job.batch_sizes) < 1:
        raise InvalidConfig("batch sizes must be above zero, at least one of them, as in 1, 8, 32")
    if set(job.batch_sizes) != {1} and not signature.has_batch_axis:
        raise InvalidConfig(
            "the model has no batch axis (a first dimension that may vary in every input and output), so its only "
            f"batch size is 1, not {', '.join(map(str, job.batch_sizes))}"
        )
    return tuple(sorted(set(job.batch_sizes)))
