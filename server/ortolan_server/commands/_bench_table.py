"""A bench for people: what each chain did, how fast, and which one to serve on.

Every line stands at 80 columns while chains are short, and means the same without colours.
"""

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ortolan_server.bench.figures import duration, memory, ratio, rounded
from ortolan_server.bench.report import BatchFigures, BenchReport, Row, RowState
from ortolan_server.bench.rule import REFERENCE
from ortolan_server.commands._styles import BAD, DOUBTFUL, GOOD, QUIET
from ortolan_server.tensors.difference import Difference
from ortolan_server.units import counted

__all__ = ["render_bench"]

_WORDS = {"KEPT": GOOD, "DEGRADED": DOUBTFUL, "BROKEN": BAD, "REFUSED": BAD, "CRASHED": BAD}


def render_bench(report: BenchReport) -> RenderableType:
    """All of it, top to bottom: what was measured and where, chains, speeds, notes on chains, recommendation."""
    parts = [_headline(report), Text(), _chains(report)]
    if any(row.batches for row in report.rows):
        parts += [Text(), _speeds(report)]
    notes = _notes(report)
    if notes.row_count:
        parts += [Text(), notes]
    parts += [Text(), _recommendation(report)]
    return Group(*parts)


def _headline(report: BenchReport) -> RenderableType:
    host, plan = report.host, report.plan
    where = f"{host.runtime}  {host.cpu}, {counted(host.cores, 'core')}"
    cpu = next((row for row in report.rows if row.chain == REFERENCE), None)
    where += f", {counted(cpu.threads, 'thread')}" if cpu and cpu.threads else ""
    rounds = f"{counted(plan.rounds, 'round')} × {plan.seconds:g} s"
    sizes = ", ".join(str(size) for size in plan.batch_sizes)
    batches = f"batch {sizes}" if plan.batch_axis else "one row a run (the model has no batch axis)"
    inputs = "; ".join(
        f"{tensor.name} {tensor.datatype}[{', '.join(map(str, tensor.shape))}] {tensor.source}"
        for tensor in plan.inputs
    )
    seed = f", seed {plan.seed}" if any(tensor.source == "random" for tensor in plan.inputs) else ""
    lines = [
        Text.assemble((f"{report.model}/{report.version}", "bold"), f"  {where}"),
        Text(f"{rounds}, {batches}; {inputs}{seed}", QUIET),
    ]
    if plan.random_operators:
        drawing = f"the model draws random numbers ({', '.join(plan.random_operators)}): no two answers agree"
        lines.append(Text(drawing, DOUBTFUL))
    return Group(*lines)


def _table(*headings: str) -> Table:
    """The chain's column folds when the window is narrow; the others stay on one line."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)
    for heading in headings:
        if heading == "CHAIN":
            table.add_column(heading, overflow="fold")
        else:
            words = heading in ("VERDICT", "SERVED BY")
            table.add_column(heading, no_wrap=True, justify="left" if words else "right")
    return table


def _chains(report: BenchReport) -> Table:
    """One row for each chain, whatever became of it."""
    table = _table("CHAIN", "VERDICT", "SERVED BY", "LOAD", "FIRST RUN", "PEAK MEM", "MAX DIFF")
    reference = _reference(report)
    for row in report.rows:
        word = row.verdict if row.state is RowState.MEASURED else row.state.value
        table.add_row(
            Text(row.name, "bold"),
            Text(word or "-", _WORDS.get(word, QUIET)),
            _served_by(row),
            _or_dash(None if row.load_s is None else duration(row.load_s)),
            _or_dash(None if row.first_run_s is None else duration(row.first_run_s)),
            _or_dash(None if row.peak_memory_bytes is None else memory(row.peak_memory_bytes)),
            _difference(row, reference),
        )
    return table


def _or_dash(text: str | None) -> Text:
    return Text("-", QUIET) if text is None else Text(text)


def _served_by(row: Row) -> Text:
    """With the share of nodes, which is known for the first provider of a chain alone."""
    if not row.serving_provider:
        return Text("-", QUIET)
    if row.assignment is None or row.serving_provider != row.chain[0]:
        return Text(row.serving_provider)
    return Text(f"{row.serving_provider} {row.assignment.node_share:.1%}")


def _difference(row: Row, reference: Row | None) -> Text:
    """The largest of all outputs, and whether all are within tolerance."""
    if row is reference:
        return Text("reference", QUIET)
    if not row.differences:
        return Text("-", QUIET)
    if all(difference.equal for difference in row.differences):
        return Text("none ✓", GOOD)
    largest = max((found.max_abs for found in row.differences if found.max_abs is not None), default=None)
    fits = all(difference.within_tolerance for difference in row.differences)
    figure = "" if largest is None else f"{rounded(largest)} "
    return Text(f"{figure}{'✓' if fits else '✗'}", GOOD if fits else BAD)


def _speeds(report: BenchReport) -> Table:
    """Chains beside each other at each batch size."""
    table = _table("BATCH", "CHAIN", "P50", "P99", "ROWS/S", "LOW-HIGH", "×CPU", "CPU/ROW")
    reference = _reference(report)
    for size in report.plan.batch_sizes:
        at_size = [(row, figures) for row in report.rows for figures in row.batches if figures.batch_size == size]
        base = next((figures for row, figures in at_size if row is reference), None)
        for number, (row, figures) in enumerate(at_size):
            table.add_row("" if number else str(size), row.name, *_speed_cells(figures, base))
    return table


def _speed_cells(figures: BatchFigures, base: BatchFigures | None) -> tuple[Text, ...]:
    times = figures.rows_per_s / base.rows_per_s if base and base.rows_per_s else None
    return (
        Text(duration(figures.p50_s)),
        Text(duration(figures.p99_s)),
        Text(rounded(figures.rows_per_s), "bold"),
        Text(f"{rounded(figures.rows_per_s_low)}-{rounded(figures.rows_per_s_high)}", QUIET),
        Text("-", QUIET) if times is None else Text(ratio(times), GOOD if times > 1 and figures is not base else ""),
        Text(duration(figures.cpu_s_per_row)),
    )


def _reference(report: BenchReport) -> Row | None:
    """The row that the others are held against, if it was measured."""
    first = next((row for row in report.rows if row.chain == REFERENCE), None)
    return first if first and first.state is RowState.MEASURED else None


def _notes(report: BenchReport) -> Table:
    """What does not fit into a row: reasons, ways out, options, outputs that differ too much."""
    notes = Table.grid(padding=(0, 2, 0, 0))
    notes.add_column(overflow="fold")
    notes.add_column()
    for row in report.rows:
        lines = _notes_on(row)
        if lines:
            notes.add_row(Text(row.name, "bold"), Group(*lines))
    return notes


def _notes_on(row: Row) -> list[Text]:
    """Of a chain that gave no figures only why, and the way out: its verdict says the same in other words."""
    lines = [Text(row.reason)] if row.reason else []
    if row.mend:
        lines.append(Text.assemble(("→ ", "bold"), row.mend))
    if row.state is not RowState.MEASURED:
        return lines
    lines += [Text(reason, DOUBTFUL) for reason in row.verdict_reasons]
    lines += [_deviation(difference) for difference in row.differences if not difference.within_tolerance]
    if row.hardware == "accelerator" and row.device:
        lines.append(Text(f"runs on {row.device}", QUIET))
    for provider, options in zip(row.chain, row.options, strict=True):
        if options:
            pairs = ", ".join(f"{key}={value}" for key, value in sorted(options.items()))
            lines.append(Text(f"{provider}: {pairs}", QUIET))
    return lines


def _deviation(difference: Difference) -> Text:
    measures = {
        "largest difference": difference.max_abs,
        "relative": difference.max_rel,
        "cosine": difference.cosine,
        "same top-1": difference.top1_agreement,
    }
    figures = ", ".join(f"{name} {rounded(value)}" for name, value in measures.items() if value is not None)
    return Text(f"output {difference.output} differs from the CPU's: {figures or 'not the same values'}", BAD)


def _recommendation(report: BenchReport) -> RenderableType:
    advice = report.recommendation
    if advice is None:
        return Text("no recommendation: the CPU, with which the others are compared, was not measured", BAD)
    chosen = ",".join(advice.chain)
    heading = Text.assemble("recommended  ", (chosen, "bold"))
    if advice.latency_chain:
        heading.append("  for callers that wait for single rows  ").append(",".join(advice.latency_chain), "bold")
    findings = Table.grid(padding=(0, 2, 0, 0))
    findings.add_column(overflow="fold")
    findings.add_column()
    # Why a chain has no figures stands in its note; what decided stands in the sentence.
    measured = {row.name for row in report.rows if row.state is RowState.MEASURED}
    for name, against in advice.findings.items():
        beaten = () if name == chosen else ("qualifies too; the recommended one is better",)
        said = [finding for finding in against or beaten if finding not in advice.sentence]
        if said and name in measured:
            findings.add_row(Text(name), Group(*(Text(finding, QUIET) for finding in said)))
    return Group(heading, Padding(Group(Text(advice.sentence), findings), (0, 0, 0, 2), expand=False))
