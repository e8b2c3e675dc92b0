"""What a run must show, each goal computed from the rounds of that run."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.cases import CASES, PEAK
from benchmarks.results import Results, Spread, ratio_of_rounds, spread
from benchmarks.servers import ECHO, IN_PROCESS, OURS, SERVERS

__all__ = ["GOALS", "Goal", "Verdict", "judge"]


@dataclass(frozen=True)
class Goal:
    """`seen` gives None when something that it needs was not measured, or does not count."""

    case: str
    text: str
    bound: float
    at_least: bool
    unit: str
    seen: Callable[[Results], Spread | None]


@dataclass(frozen=True)
class Verdict:
    goal: Goal
    seen: Spread | None

    @property
    def met(self) -> bool | None:
        """By the median; None when it cannot be said."""
        if self.seen is None:
            return None
        goal = self.goal
        return self.seen.median >= goal.bound if goal.at_least else self.seen.median <= goal.bound


def judge(results: Results) -> list[Verdict]:
    """A verdict on each goal whose case was asked for."""
    return [Verdict(goal, goal.seen(results)) for goal in GOALS if goal.case in results.cells]


def times(case: str, other: str, bound: float) -> Goal:
    """Our figure is at least so many times that of another server in the same case."""
    text = f"{CASES[case].title}: ≥ {bound:g} × {SERVERS[other].title}"

    def seen(results: Results) -> Spread | None:
        return _ratio(results, (case, OURS), (case, other), CASES[case].figure.key)

    return Goal(case, text, bound, at_least=True, unit="×", seen=seen)


def fastest_peer_latency(case: str, peers: Sequence[str]) -> Goal:
    """Our median latency is below that of every peer."""

    def seen(results: Results) -> Spread | None:
        ratios = [_ratio(results, (case, OURS), (case, peer), "p50_us") for peer in peers]
        return max((ratio for ratio in ratios if ratio), key=lambda ratio: ratio.median, default=None)

    text = f"{CASES[case].title}: median latency below every peer's; its ratio to the lowest"
    return Goal(case, text, math.nextafter(1, 0), at_least=False, unit="×", seen=seen)


def streams_beside_unary(case: str, bound: float) -> Goal:
    def seen(results: Results) -> Spread | None:
        return _ratio(results, (case, OURS), (PEAK, OURS), "per_second")

    return Goal(case, f"{CASES[case].title}: ≥ the rate of unary calls", bound, at_least=True, unit="×", seen=seen)


def tail_beside_echo(case: str, single: str, bound: float) -> Goal:
    """p99 over that of the echo at the same rate plus one run of the model."""

    def seen(results: Results) -> Spread | None:
        ours, echo = results.counting(case, OURS), results.counting(case, ECHO)
        alone = results.counting(single, IN_PROCESS)
        run_us = spread(alone.figures("p50_us")) if alone else None
        if not (ours and echo and run_us):
            return None
        return ratio_of_rounds(ours.figures("p99_us"), [p99_us + run_us.median for p99_us in echo.figures("p99_us")])

    text = f"{CASES[case].title}: ≤ {bound:g} × (the echo's p99 at the same rate + one run)"
    return Goal(case, text, bound, at_least=False, unit="×", seen=seen)


def at_most(case: str, bound: float) -> Goal:
    figure = CASES[case].figure

    def seen(results: Results) -> Spread | None:
        cell = results.counting(case, OURS)
        return spread([value * figure.scale for value in cell.figures(figure.key)]) if cell else None

    text = f"{CASES[case].title}: ≤ {bound:g} {figure.unit}"
    return Goal(case, text, bound, at_least=False, unit=figure.unit, seen=seen)


def _ratio(results: Results, above: tuple[str, str], below: tuple[str, str], key: str) -> Spread | None:
    first, second = results.counting(*above), results.counting(*below)
    return ratio_of_rounds(first.figures(key), second.figures(key)) if first and second else None


GOALS: Sequence[Goal] = (
    times(PEAK, "plain-aio", 5),
    times(PEAK, "mlserver", 8),
    times(PEAK, ECHO, 0.7),
    fastest_peer_latency("tiny-1", ("plain-aio", "mlserver", "kserve", "pytriton")),
    streams_beside_unary("tiny-streams", 1),
    times("convnet-1", IN_PROCESS, 0.97),
    times("convnet-8", IN_PROCESS, 0.97),
    times("transformer", IN_PROCESS, 0.97),
    times("identity-1mb", ECHO, 0.6),
    times("identity-1mb", "plain-aio", 3),
    times("identity-16mb-shm", IN_PROCESS, 0.95),
    at_most("idle-50", 1),
    tail_beside_echo("tiny-open-loop", "tiny-1", 1.5),
    at_most("tiny-beside-16mb", 5),
)
