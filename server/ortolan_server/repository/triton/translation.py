"""A Triton configuration as the equal model.toml, with what became of each of its settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.config import ModelToml, parse_model_toml
from ortolan_server.repository.triton.batching import read_batching
from ortolan_server.repository.triton.chain import read_chain
from ortolan_server.repository.triton.fields import settings
from ortolan_server.repository.triton.identity import read_identity, read_versions
from ortolan_server.repository.triton.notes import Ledger, Note
from ortolan_server.repository.triton.parsing import TritonConfig
from ortolan_server.repository.triton.signature import read_signature
from ortolan_server.repository.triton.warmup import read_warmup

__all__ = ["Translation", "translate"]

# What only holds other settings says nothing by being there.
_HOLDERS = {"optimization", "optimization.execution_accelerators", "version_policy"}


@dataclass(frozen=True, slots=True)
class Translation:
    """What a model is served by, and what its owner should know."""

    config: ModelToml
    notes: tuple[Note, ...]
    """One for each setting that was given, unless a part of it has its own, and for defaults that are not ours."""


def translate(triton: TritonConfig, model: str, recorded: Mapping[str, str] = MappingProxyType({})) -> Translation:
    """The configuration of the model that is called `model`.

    `recorded` has the `.npy` files that stand for recorded inputs of the warm-up, by the key of the setting. Raises
    InvalidConfig for a model that cannot be served as it asks: one line for each reason, `<source>: <key>: …`.
    """
    config, ledger = triton.config, Ledger()
    document = read_identity(config, model, ledger) | read_versions(config, ledger)
    chain, concurrency = read_chain(config, ledger)
    batching, limits = read_batching(config, ledger)
    document |= chain
    if limits := limits | ({"concurrency": concurrency} if concurrency > 1 else {}):
        document["limits"] = limits
    if batching is not None:
        document["batching"] = batching
    document |= read_signature(config, ledger)
    if warmup := read_warmup(config, recorded, ledger):
        document["warmup"] = warmup
    for path, value in settings(config):
        if path not in _HOLDERS and not ledger.covers(path):
            ledger.not_honoured(path.removesuffix(".string_value"), value, "nothing here does this")
    for path in triton.unknown:
        ledger.not_honoured(path, "", "no setting of that name is known")
    if ledger.refusals:
        raise InvalidConfig("\n".join(f"{triton.source}: {refusal}" for refusal in ledger.refusals))
    return Translation(parse_model_toml(document, triton.source), tuple(ledger.notes))
