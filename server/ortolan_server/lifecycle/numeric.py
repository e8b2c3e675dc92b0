"""The numeric check: what a rung answers to the warm-up data, beside what the CPU answers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ortolan_backends.errors import DeviceFailure, OpenRefused, RunFailed
from ortolan_backends.runtime.assignment import Assignment
from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_backends.runtime.session import Session
from ortolan_server.chains.contract import CPU
from ortolan_server.chains.numeric import NumericCheck
from ortolan_server.errors import LoadFailed
from ortolan_server.lifecycle.first_runs import first_run, limit_s
from ortolan_server.lifecycle.samples import Sample
from ortolan_server.repository import Failover, Numeric
from ortolan_server.tensors import Signature
from ortolan_server.tensors.difference import Difference, Tolerance, compare, share_equal
from ortolan_server.tensors.feeds import Arrays, MadeUp, first_rows
from ortolan_server.tensors.wording import listed, quoted

__all__ = ["AgainstCpu"]

_MOST_SAMPLES = 8
_MOST_ROWS = 32
_DRAWS = 3  # of inputs that are made up

Answers = list[NDArray[Any]]


class AgainstCpu:
    """Compares the sessions of one load with the CPU. Use once.

    The CPU is asked when the first of them has nodes elsewhere. Its session is gone after that, its answers stay for
    the other rungs.
    """

    def __init__(  # noqa: PLR0913 - all that a comparison needs
        self,
        numeric: Numeric,
        samples: Sequence[Sample],
        random_operators: Sequence[str],
        open_on_cpu: Callable[[], Session],
        handle: LoadHandle,
        failover: Failover,
    ) -> None:
        """`open_on_cpu` opens the same model on the CPU alone; it may raise OpenRefused. `handle` stops the load, and
        `failover` says when a run hangs.
        """
        self._failover = failover
        self._tolerance = Tolerance(numeric.atol, numeric.rtol, numeric.min_cosine, numeric.min_top1, numeric.min_equal)
        self._samples = _to_compare(samples)
        self._open_on_cpu = open_on_cpu
        self._handle = handle
        self._skipped = _why_not(numeric, random_operators)
        self._cases: list[_Case] = []

    def __call__(self, session: Session, assignment: Assignment) -> NumericCheck | None:
        """None: all its nodes are on the CPU. Raises LoadCancelled."""
        if all(node.provider == CPU for node in assignment.nodes):
            return None
        try:
            signature = Signature.of(session.inputs, session.outputs)
            if not self._skipped and not self._cases:
                self._cases = self._ask_the_cpu(signature)
        except LoadFailed as error:
            self._skipped = str(error)
        except OpenRefused as error:
            self._skipped = f"the CPU cannot run the model: {error.reason}"
        if self._skipped:
            return NumericCheck(skipped=self._skipped)
        return self._compare(session, signature, limit_s(assignment, self._failover))

    def _ask_the_cpu(self, signature: Signature) -> "list[_Case]":
        """Raises LoadFailed for inputs that do not fit the model or that the CPU does not take, OpenRefused."""
        fed = [(sample, _inputs(sample, signature)) for sample in self._samples]
        session = self._open_on_cpu()
        cases = []
        for sample, feeds in fed:
            try:
                cases.append(_Case(feeds, self._run(session, signature, feeds)))
            except RunFailed as error:
                raise LoadFailed(f"{sample.label}: the CPU refuses: {error}") from error
        return cases

    def _compare(self, session: Session, signature: Signature, limit: float) -> NumericCheck:
        recorded = all(sample.recorded for sample in self._samples)
        try:
            answers = [self._run(session, signature, case.feeds, limit) for case in self._cases]
        except DeviceFailure as error:
            return NumericCheck(recorded=recorded, fault=f"the device failed at the first run: {error}")
        except RunFailed as error:
            if self._sizes_are_guessed(signature):
                return NumericCheck(skipped=f"made-up inputs: it refuses: {error}")
            return NumericCheck(recorded=recorded, fault=f"it does not run the inputs that the CPU runs: {error}")
        outputs, faults = [], []
        for number, spec in enumerate(signature.outputs):
            pairs = [(ours[number], case.answers[number]) for ours, case in zip(answers, self._cases, strict=True)]
            found = compare(spec.name, spec.datatype, pairs, self._tolerance)
            outputs.append(found)
            if not found.within_tolerance:
                faults.append(_fault(found, pairs))
        fault = f"{listed(faults)}; allowed {_allowed(self._tolerance, outputs)}" if faults else ""
        return NumericCheck(tuple(outputs), len(self._cases), recorded, fault=fault)

    def _run(self, session: Session, signature: Signature, feeds: Arrays, limit: float = math.inf) -> Answers:
        return first_run(session, feeds, [spec.name for spec in signature.outputs], self._handle, limit)

    def _sizes_are_guessed(self, signature: Signature) -> bool:
        """Whether nobody said how large the inputs are: a rung may rightly refuse an image of one pixel."""
        first = 1 if signature.has_batch_axis else 0
        varying = any(not isinstance(size, int) for spec in signature.inputs for size in (spec.shape or ())[first:])
        return varying and not any(sample.declared for sample in self._samples)


@dataclass(frozen=True, slots=True)
class _Case:
    feeds: Arrays
    answers: Answers
    """The CPU's, in the order of the model's outputs."""


def _why_not(numeric: Numeric, random_operators: Sequence[str]) -> str:
    if not numeric.check:
        return "check = false under [numeric]"
    if random_operators:
        verb = "draws" if len(random_operators) == 1 else "draw"
        return f"{', '.join(random_operators)} {verb} random numbers"
    return ""


def _to_compare(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """The recorded ones; without any, several draws of those that are made up. Zeros that nobody wrote tell little."""
    recorded = tuple(sample for sample in samples if sample.recorded)
    if recorded:
        return recorded[:_MOST_SAMPLES]
    drawn = [
        sample if sample.declared else replace(sample, rest=MadeUp(), label="made-up inputs") for sample in samples
    ]
    draws = [replace(sample, seed=sample.seed + 1000 * draw) for draw in range(_DRAWS) for sample in drawn]
    return tuple(draws[:_MOST_SAMPLES])


def _inputs(sample: Sample, signature: Signature) -> Arrays:
    """At the first of its batch sizes: a few rows are enough."""
    rows = sample.sizes[0] if sample.sizes and signature.has_batch_axis else None
    return first_rows(signature, sample.inputs(signature, rows), _MOST_ROWS)


def _fault(found: Difference, pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> str:
    figures = {
        "max abs": found.max_abs,
        "max rel": found.max_rel,
        "cosine": found.cosine,
        "top-1": found.top1_agreement,
    }
    told = [f"{name} {figure:.3g}" for name, figure in figures.items() if figure is not None]
    if any(ours.shape != theirs.shape for ours, theirs in pairs):
        told = ["of another shape"]
    elif found.cosine is None:
        told.append(f"the same {share_equal(pairs):.3g}")
    elif any(_has_other_holes(ours, theirs) for ours, theirs in pairs):
        told.append("not finite at other places")
    return f"output {quoted(found.output)}: {', '.join(told)}"


def _has_other_holes(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    return ours.dtype.kind == "f" and not np.array_equal(np.isfinite(ours), np.isfinite(theirs))


def _allowed(tolerance: Tolerance, outputs: Sequence[Difference]) -> str:
    """What the outputs that are out of it may be."""
    floats = any(found.cosine is not None for found in outputs if not found.within_tolerance)
    exact = any(found.cosine is None for found in outputs if not found.within_tolerance)
    allowed = [_allowed_of_floats(tolerance)] if floats else []
    allowed += [f"whole numbers and texts the same at least {tolerance.min_equal:g}"] if exact else []
    return "; ".join(allowed)


def _allowed_of_floats(tolerance: Tolerance) -> str:
    allowed = f"atol {tolerance.atol:g} of the largest value, rtol {tolerance.rtol:g}"
    if tolerance.min_cosine > -1:
        allowed += f", cosine at least {tolerance.min_cosine:g}"
    if tolerance.min_top1 > 0:
        allowed += f", top-1 at least {tolerance.min_top1:g}"
    return allowed
