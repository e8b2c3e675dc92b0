"""What a run must show, each goal computed from the rounds of that run."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.cases import CASES, PEAK
from benchmarks.results import Results, Spread, ratio_of_rounds, spread
from benchmarks.servers import ECHO, IN_PROCESS, OURS, PLAIN, SERVERS
from benchmarks.tables import number

__all__ = ["GOALS", "Goal", "Verdict", "judge", "summary"]


@dataclass(frozen=True)
class Goal:
    """`seen` gives None when something that it needs was not measured, or does not count."""

    case: str
    text: str
    bound: float
    at_least: bool
    unit: str
    seen: Callable[[Results], Spread | None]

    @property
    def sentence(self) -> str:
        return f"{CASES[self.case].title}: {self.text}"


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


def summary(verdicts: Sequence[Verdict]) -> str:
    """In one line."""
    met = sum(verdict.met is True for verdict in verdicts)
    told = [f"{met} of {len(verdicts)} goals met"]
    short = [
        f"{verdict.goal.case} {verdict.goal.text} ({number(verdict.seen.median)})"
        for verdict in verdicts
        if verdict.seen and not verdict.met
    ]
    unknown = [f"{verdict.goal.case} {verdict.goal.text}" for verdict in verdicts if verdict.met is None]
    told += [f"short: {', '.join(short)}"] if short else []
    told += [f"not measured: {', '.join(unknown)}"] if unknown else []
    return "; ".join(told)


def times(case: str, other: str, bound: float) -> Goal:
    """Our figure is at least so many times that of another server in the same case."""
    text = f"≥ {bound:g} × {SERVERS[other].title}"

    def seen(results: Results) -> Spread | None:
        return _ratio(results, (case, OURS), (case, other), CASES[case].figure.key)

    return Goal(case, text, bound, at_least=True, unit="×", seen=seen)


def fastest_peer_latency(case: str, peers: Sequence[str]) -> Goal:
    """Our median latency is below that of every peer that was to be measured, and each of them could be."""

    def seen(results: Results) -> Spread | None:
        asked = [peer for peer in peers if peer in results.cells[case]]
        ratios = [_ratio(results, (case, OURS), (case, peer), "p50_us") for peer in asked]
        known = [ratio for ratio in ratios if ratio]
        return max(known, key=lambda ratio: ratio.median) if known and len(known) == len(asked) else None

    text = "median latency below every peer's; its ratio to the lowest"
    return Goal(case, text, math.nextafter(1, 0), at_least=False, unit="×", seen=seen)


def streams_beside_unary(case: str, bound: float) -> Goal:
    def seen(results: Results) -> Spread | None:
        return _ratio(results, (case, OURS), (PEAK, OURS), "per_second")

    return Goal(case, "≥ the rate of unary calls", bound, at_least=True, unit="×", seen=seen)


def tail_beside_echo(case: str, single: str, bound: float) -> Goal:
    """p99 over that of the echo at the same rate plus one run of the model."""

    def seen(results: Results) -> Spread | None:
        ours, echo = results.counting(case, OURS), results.counting(case, ECHO)
        alone = results.counting(single, IN_PROCESS)
        run_us = spread(alone.figures("p50_us")) if alone else None
        if not (ours and echo and run_us):
            return None
        return ratio_of_rounds(ours.figures("p99_us"), [p99_us + run_us.median for p99_us in echo.figures("p99_us")])

    text = f"≤ {bound:g} × (the echo's p99 at the same rate + one run)"
    return Goal(case, text, bound, at_least=False, unit="×", seen=seen)


def at_most(case: str, bound: float) -> Goal:
    figure = CASES[case].figure

    def seen(results: Results) -> Spread | None:
        cell = results.counting(case, OURS)
        return spread([value * figure.scale for value in cell.figures(figure.key)]) if cell else None

    text = f"≤ {bound:g} {figure.unit}"
    return Goal(case, text, bound, at_least=False, unit=figure.unit, seen=seen)


def _ratio(results: Results, above: tuple[str, str], below: tuple[str, str], key: str) -> Spread | None:
    first, second = results.counting(*above), results.counting(*below)
    return ratio_of_rounds(first.figures(key), second.figures(key)) if first and second else None


GOALS: Sequence[Goal] = (
    times(PEAK, PLAIN, 5),
    times(PEAK, "mlserver", 8),
    times(PEAK, ECHO, 0.7),
    fastest_peer_latency("tiny-1", (PLAIN, "mlserver", "kserve", "pytriton")),
    streams_beside_unary("tiny-streams", 1),
    times("convnet-1", IN_PROCESS, 0.97),
    times("convnet-8", IN_PROCESS, 0.97),
    times("transformer", IN_PROCESS, 0.97),
    times("identity-1mb", ECHO, 0.6),
    times("identity-1mb", PLAIN, 3),
    times("identity-16mb-shm", IN_PROCESS, 0.95),
    at_most("idle-50", 1),
    tail_beside_echo("tiny-open-loop", "tiny-1", 1.5),
    at_most("tiny-beside-16mb", 5),
)
