"""The rule: start with the CPU, and leave it only where the figures justify what the other chain costs.

A pure function of a report's rows. docs/bench.md has the same rule in words, to be applied by hand to the JSON.
"""

from collections.abc import Sequence

from ortolan_server.bench.figures import duration, rate, times
from ortolan_server.bench.report import BatchFigures, Recommendation, Row, RowState
from ortolan_server.tensors.difference import Difference
from ortolan_server.units import counted

__all__ = [
    "ACCELERATOR_GAIN",
    "CPU_COST",
    "CPU_GAIN",
    "LATENCY_GAIN",
    "NEAR",
    "P99_FREE_S",
    "P99_SLACK",
    "REFERENCE",
    "recommend",
]

REFERENCE = ("cpu",)
"""The chain that others are held against."""
CPU_GAIN = 1.2
"""Wanted of a chain on the same silicon, in rows a second: below it another wheel, another set of kernels to trust
and another way to fail are not worth it."""
ACCELERATOR_GAIN = 2.0
"""Wanted of other hardware: an accelerator costs at least what its host costs, so below it a second CPU host gives the
same for the same money, and is the simpler thing to run."""
CPU_COST = 1.1
"""The most processor time a row on the same silicon, in those of the CPU's: above it a chain is quicker because it
takes more cores, which more threads on the CPU would do as well, and a full machine serves fewer rows."""
P99_SLACK = 1.5
"""The most p99 of single rows, in those of the CPU's: a gain in large batches must not be paid by callers with one
row. Not less, because p99 wobbles from run to run."""
P99_FREE_S = 0.005
"""A p99 up to this is fine whatever the CPU's: over a network nobody feels it."""
NEAR = 0.9
"""Chains with at least this of the highest rows a second count as equally fast: the lesser cost decides."""
LATENCY_GAIN = 2.0
"""How many times quicker than the CPU single rows must be, p50 and p99, for a chain to be named for its latency."""


def recommend(rows: Sequence[Row], *, answers_vary: bool = False) -> Recommendation | None:
    """`answers_vary`: the model draws random numbers, so that differences are not held against a chain.

    None when the reference has no figures.
    """
    reference = next((row for row in rows if row.chain == REFERENCE), None)
    if reference is None or not _has_figures(reference):
        return None
    others = [row for row in rows if row is not reference]
    findings = {row.name: tuple(_findings(row, reference, answers_vary=answers_vary)) for row in others}
    chosen = _cheapest_of_the_fastest([row for row in others if not findings[row.name]]) or reference
    quick = _quickest(others, reference, answers_vary=answers_vary)
    latency_chain = quick.chain if quick is not None and quick is not chosen else ()
    parts = [_why(chosen, reference) if chosen is not reference else _why_not(others, reference, findings)]
    if quick is not None and latency_chain:
        parts.append(_latency_sentence(quick, reference))
    return Recommendation(chain=chosen.chain, sentence=" ".join(parts), findings=findings, latency_chain=latency_chain)


def _findings(row: Row, reference: Row, *, answers_vary: bool) -> list[str]:
    if not _has_figures(row):
        return [f"{row.state.lower()}: {row.reason}"]
    return [*_unsound(row, answers_vary=answers_vary), *_too_little(row, reference)]


def _has_figures(row: Row) -> bool:
    return row.state is RowState.MEASURED and bool(row.batches)


def _unsound(row: Row, *, answers_vary: bool) -> list[str]:
    """Points 1 and 2: what it serves, and whether its answers are those of the CPU."""
    found = [] if row.verdict == "KEPT" else [f"the verdict {row.verdict}: {'; '.join(row.verdict_reasons)}"]
    if answers_vary:
        return found
    return found + [_apart(difference) for difference in row.differences if not difference.within_tolerance]


def _apart(difference: Difference) -> str:
    by = "" if difference.max_abs is None else f", by up to {difference.max_abs:.2g}"
    top1 = difference.top1_agreement
    agreeing = "" if top1 is None else f"; the largest values agree in {top1:.1%} of the rows"
    return f"output {difference.output!r} further from the CPU's than the tolerance{by}{agreeing}"


def _too_little(row: Row, reference: Row) -> list[str]:
    """Points 3 to 5: whether it gives enough, and what it takes."""
    best, base = _best(row), _best(reference)
    found = []
    wanted = CPU_GAIN if row.hardware == "cpu" else ACCELERATOR_GAIN
    if best.rows_per_s < wanted * base.rows_per_s:
        found.append(f"{_gain(best, base)} the CPU's rows/s ({wanted:g}x is wanted of {_silicon(row)})")
    elif best.rows_per_s_low <= base.rows_per_s_high:
        found.append(
            f"{rate(best.rows_per_s_low)} in its slowest round, within the noise: the CPU's fastest made "
            f"{rate(base.rows_per_s_high)}"
        )
    single, base_single = row.batches[0], reference.batches[0]
    if single.p99_s > max(P99_SLACK * base_single.p99_s, P99_FREE_S):
        found.append(
            f"a p99 of {duration(single.p99_s)} at batch size {single.batch_size}, the CPU "
            f"{duration(base_single.p99_s)} ({P99_SLACK:g}x is allowed)"
        )
    if row.hardware == "cpu" and best.cpu_s_per_row > CPU_COST * base.cpu_s_per_row:
        found.append(
            f"{times(best.cpu_s_per_row / base.cpu_s_per_row)} the CPU's processor time a row ({CPU_COST:g}x is "
            "allowed: it takes more cores, and cpu may have more threads too)"
        )
    return found


def _cheapest_of_the_fastest(rows: Sequence[Row]) -> Row | None:
    """Point 6; the first of those that are equal in everything."""
    if not rows:
        return None
    highest = max(_best(row).rows_per_s for row in rows)
    near = [row for row in rows if _best(row).rows_per_s >= NEAR * highest]
    return min(near, key=_cost)


def _cost(row: Row) -> tuple[bool, float]:
    memory = float("inf") if row.peak_memory_bytes is None else float(row.peak_memory_bytes)
    return row.hardware != "cpu", memory


def _quickest(rows: Sequence[Row], reference: Row, *, answers_vary: bool) -> Row | None:
    """Point 7."""
    base = reference.batches[0]
    quick = [
        row
        for row in rows
        if _has_figures(row)
        and not _unsound(row, answers_vary=answers_vary)
        and LATENCY_GAIN * row.batches[0].p50_s <= base.p50_s
        and LATENCY_GAIN * row.batches[0].p99_s <= base.p99_s
    ]
    return min(quick, key=lambda row: row.batches[0].p50_s, default=None)


def _best(row: Row) -> BatchFigures:
    """At the batch size with the most rows a second."""
    return max(row.batches, key=lambda figures: figures.rows_per_s)


def _why(chosen: Row, reference: Row) -> str:
    best, base = _best(chosen), _best(reference)
    single, base_single = chosen.batches[0], reference.batches[0]
    return (
        f"Serve on {chosen.name}: {rate(best.rows_per_s)} at batch size {best.batch_size}, {_gain(best, base)} the "
        f"CPU's {rate(base.rows_per_s)} at {base.batch_size}; p99 at batch size {single.batch_size} "
        f"{duration(single.p99_s)} against {duration(base_single.p99_s)}."
    )


def _why_not(others: Sequence[Row], reference: Row, findings: dict[str, tuple[str, ...]]) -> str:
    base = _best(reference)
    stay = f"Stay on cpu, {rate(base.rows_per_s)} at batch size {base.batch_size}"
    measured = [row for row in others if _has_figures(row)]
    if not measured:
        return f"{stay}: {'no other chain could be measured here' if others else 'no other chain was asked for'}."
    nearest = max(measured, key=lambda row: _best(row).rows_per_s)
    best = _best(nearest)
    return (
        f"{stay}: {nearest.name} makes {rate(best.rows_per_s)} at batch size {best.batch_size}, but has "
        f"{'; '.join(findings[nearest.name])}."
    )


def _latency_sentence(quick: Row, reference: Row) -> str:
    single, base = quick.batches[0], reference.batches[0]
    return (
        f"For callers who wait for {counted(single.batch_size, 'row')} {quick.name} takes "
        f"{duration(single.p50_s)} (p99 {duration(single.p99_s)}) against {duration(base.p50_s)} "
        f"({duration(base.p99_s)})."
    )


def _silicon(row: Row) -> str:
    return "the same silicon" if row.hardware == "cpu" else "an accelerator"


def _gain(best: BatchFigures, base: BatchFigures) -> str:
    return times(best.rows_per_s / base.rows_per_s)
