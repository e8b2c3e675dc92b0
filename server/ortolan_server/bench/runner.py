"""The bench: a process for each chain, which take turns."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ortolan_server.bench.arrays import write_arrays
from ortolan_server.bench.contender import Contender
from ortolan_server.bench.host import look_at_host
from ortolan_server.bench.job import BenchJob, Progress
from ortolan_server.bench.report import BenchReport, Host, Plan, Tensor
from ortolan_server.bench.rule import REFERENCE, recommend
from ortolan_server.bench.subject import Subject, look_at_subject
from ortolan_server.digests import file_sha256
from ortolan_server.errors import InvalidConfig
from ortolan_server.tensors.feeds import first_rows

__all__ = ["Bench", "BenchJob", "Progress"]

_GIVE_INPUTS = "inputs that it takes can be given as .npy files"


class Bench:
    """Measures one model on several chains of this host. Use once."""

    def __init__(self, job: BenchJob, on_progress: Callable[[Progress], None]) -> None:
        self._job = job
        self._on_progress = on_progress

    def run(self) -> BenchReport:
        """Blocks until all chains are measured. What a chain does is in its row, a crash included.

        Raises UnservableModel for a file that is no readable model, and InvalidConfig for what cannot be measured as
        asked: before any process is started, or when the CPU does not take the inputs. Whatever ends it,
        KeyboardInterrupt included, no process is left behind.
        """
        subject = look_at_subject(self._job)
        host = look_at_host()
        started_at = datetime.now(UTC)
        with tempfile.TemporaryDirectory(prefix="ortolan-bench-") as folder:
            return _Run(self._job, subject, Path(folder), self._on_progress).report(host, started_at)


class _Run:
    """One measuring, from the first process to the report."""

    def __init__(self, job: BenchJob, subject: Subject, folder: Path, on_progress: Callable[[Progress], None]) -> None:
        self._job = job
        self._subject = subject
        self._inputs = folder / "inputs.npz"
        self._on_progress = on_progress
        self._contenders = [
            Contender(chain, config, folder / str(number), mend_run=_GIVE_INPUTS if subject.made_up else "")
            for number, (chain, config) in enumerate(subject.chains)
        ]
        self._reference = next(contender for contender in self._contenders if contender.chain == REFERENCE)
        self._sizes = list(subject.sizes)
        # Steps that are still to be made: contender, what, batch size.
        self._steps = [
            (contender, stage, size)
            for contender in self._contenders
            for stage, size in [
                ("opening", 0),
                *(("first runs", size) for size in subject.sizes),
                *((_round_text(number, job), size) for number in range(job.rounds) for size in subject.sizes),
            ]
        ]
        self._total = len(self._steps)

    def report(self, host: Host, started_at: datetime) -> BenchReport:
        write_arrays(self._inputs, self._subject.arrays.values())
        try:
            self._warm_all()
            for number in range(self._job.rounds):
                self._round(number)
            for contender in self._contenders:
                contender.finish()
        except BaseException:
            for contender in self._contenders:
                contender.kill()
            raise
        self._on_progress(Progress("", "", self._total, self._total))
        return self._report(host, started_at)

    def _warm_all(self) -> None:
        """One after another, the reference first: it says whether the inputs are any good."""
        for contender in sorted(self._contenders, key=lambda contender: contender is not self._reference):
            self._begin(contender, "opening", 0)
            contender.open(
                self._subject.model.path,
                self._inputs,
                batch_axis=self._subject.signature.has_batch_axis,
                timeout_s=self._job.load_timeout_s,
            )
            for size in list(self._sizes):
                if contender.state is None:
                    self._begin(contender, "first runs", size)
                    save = contender is self._reference or size in (self._sizes[0], self._sizes[-1])
                    contender.warm(size, save=save, timeout_s=self._job.load_timeout_s)
            if contender is self._reference:
                self._believe_the_reference()

    def _believe_the_reference(self) -> None:
        """What the CPU cannot run is no fault of the other chains: it is left out, or an error if it was asked for."""
        for size, reason in self._reference.failures.items():
            if size == self._sizes[0] or self._job.batch_sizes is not None:
                hint = f"; {_GIVE_INPUTS}" if self._subject.made_up else ""
                at = f" at batch size {size}" if self._subject.signature.has_batch_axis else ""
                raise InvalidConfig(f"the model does not take the inputs{at} on the CPU: {reason}{hint}")
        self._sizes = [size for size in self._sizes if size not in self._reference.failures]
        self._reference.failures.clear()
        self._steps = [step for step in self._steps if step[2] in (0, *self._sizes)]

    def _round(self, number: int) -> None:
        contenders = self._contenders if number % 2 == 0 else self._contenders[::-1]
        for size in self._sizes:
            for contender in contenders:
                if contender.state is None and size not in contender.failures:
                    self._begin(contender, _round_text(number, self._job), size)
                    contender.measure(size, self._job.seconds)

    def _begin(self, contender: Contender, stage: str, size: int) -> None:
        self._steps = [step for step in self._steps if step[0].state is None and step[2] not in step[0].failures]
        text = f"{stage}, batch size {size}" if size else stage
        self._on_progress(Progress(contender.name, text, self._total - len(self._steps), self._total))
        self._steps.remove((contender, stage, size))

    def _report(self, host: Host, started_at: datetime) -> BenchReport:
        subject, job = self._subject, self._job
        rows = tuple(contender.row(subject.signature.outputs, self._reference) for contender in self._contenders)
        drawing = subject.model.random_operators
        return BenchReport(
            model=job.entry.name,
            version=subject.version,
            model_sha256=file_sha256(subject.model.path),
            started_at=started_at.isoformat(timespec="seconds"),
            host=host,
            plan=Plan(
                inputs=_tensors(subject, job),
                batch_sizes=tuple(self._sizes),
                batch_axis=subject.signature.has_batch_axis,
                rounds=job.rounds,
                seconds=job.seconds,
                seed=job.seed,
                random_operators=drawing,
            ),
            rows=rows,
            recommendation=recommend(rows, answers_vary=bool(drawing)),
        )


def _round_text(number: int, job: BenchJob) -> str:
    return f"round {number + 1} of {job.rounds}"


def _tensors(subject: Subject, job: BenchJob) -> tuple[Tensor, ...]:
    fed = first_rows(subject.signature, subject.arrays, 1)
    return tuple(
        Tensor(
            name=spec.name,
            datatype=spec.datatype,
            shape=fed[spec.name].shape,
            source=str(job.inputs.get(spec.name, "random")),
        )
        for spec in subject.signature.inputs
    )
