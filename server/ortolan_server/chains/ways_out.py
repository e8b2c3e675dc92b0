"""How to serve what was opened and refused all the same: a sentence for each stage that has a way out."""

from collections.abc import Mapping

__all__ = ["ways_out"]

_LOCK = (
    "if the nodes are to run there: ortolan lock makes a new assignment.lock; to serve all the same, and say "
    'DEGRADED: drift = "degrade" under [lock] in its model.toml'
)
_NUMERIC = (
    "if such answers are right: a wider tolerance under [numeric] in its model.toml; on real inputs, recorded for "
    "[[warmup]], they may be closer to the CPU's"
)


def ways_out(refused: Mapping[str, int], *, implied: bool) -> list[str]:
    """`refused` has for each stage the highest rung that was refused there; `implied`: the model has no [require]."""
    found = [_contract(refused["contract"], implied=implied)] if "contract" in refused else []
    found += [_LOCK] if "lock" in refused else []
    return found + ([_NUMERIC] if "numeric" in refused else [])


def _contract(rung: int, *, implied: bool) -> str:
    return (
        f'to serve rung {rung} all the same, and say DEGRADED: otherwise = "degrade" under [require] in its '
        "model.toml" + ("; or, as it has no [require], ortolan serve --allow-degraded" if implied else "")
    )
