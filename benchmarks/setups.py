"""Which cases are measured together: those whose servers have the same models and the same cores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from benchmarks.cases import Case

__all__ = ["Plan", "Setup", "setups"]

# What a start takes, about; peers with many models take longer than that, ours less.
_START_S, _MANY_STARTS_S = 4.0, 20.0
_CHECKS_S = 0.6
_MOST_ROUNDS_OF_STARTS = 3  # of 50 models each: minutes of waiting that do not make a median better


@dataclass(frozen=True)
class Plan:
    """What a run does. `seconds`: how long each window of a case lasts, times the case's factor."""

    cases: Sequence[str]
    servers: Sequence[str]
    rounds: int
    seconds: float
    warm_up_s: float
    idle_s: float
    server_cores: Sequence[int]
    load_cores: Sequence[int]

    def servers_of(self, case: Case) -> list[str]:
        return [server for server in self.servers if server in case.servers]

    def rounds_of(self, case: Case) -> int:
        return min(self.rounds, _MOST_ROUNDS_OF_STARTS) if case.kind == "many" else self.rounds

    def step_s(self, case: Case) -> float:
        """What one round of a case on one server takes, about."""
        if case.kind == "many":
            return self.idle_s + _MANY_STARTS_S
        return self.warm_up_s + self.seconds * case.seconds_factor + _CHECKS_S


@dataclass(frozen=True)
class Setup:
    """Servers that run side by side, in turns, and the cases that they are measured in."""

    cases: Sequence[Case]
    models: frozenset[str]
    server_cores: Sequence[int]
    load_cores: Sequence[int]

    def servers(self, plan: Plan) -> list[str]:
        """Those that stay up for it; cases of many models start servers of their own."""
        loaded = [case for case in self.cases if case.kind != "many"]
        return [server for server in plan.servers if any(server in case.servers for case in loaded)]

    def expected_s(self, plan: Plan) -> float:
        steps_s = sum(plan.rounds_of(case) * len(plan.servers_of(case)) * plan.step_s(case) for case in self.cases)
        return steps_s + self.starts_s(plan)

    def starts_s(self, plan: Plan) -> float:
        return _START_S * len(self.servers(plan))


def setups(cases: Sequence[Case], plan: Plan) -> list[Setup]:
    """In the order of the report: rounds of one setup are over before the next begins."""
    both = sorted({*plan.server_cores, *plan.load_cores})
    cores: Mapping[str, tuple[Sequence[int], Sequence[int]]] = {
        "apart": (plan.server_cores, plan.load_cores),
        "shared": (both, both),
    }
    measured = [case for case in cases if not case.rounds_of]
    groups = groupby(measured, key=lambda case: (case.models, case.cores))
    return [Setup(list(group), models, *cores[where]) for (models, where), group in groups]
