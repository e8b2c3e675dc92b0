"""How fast Ortolan serves: beside the limits, and beside its peers, in one run on one machine.

    python -m benchmarks [--case NAME …] [--server NAME …] [--rounds N] [--quick] [--json FILE] [--plots DIR]

Every case is measured on every server in turns, round after round; figures are medians of the rounds, ratios are
medians of the ratios within a round. Answers are compared with ONNX Runtime's before and after each measurement, and
the load generator looks at the status and the length of every answer: one that is wrong voids the case for that server.
Exit status: 0, or 1 when something is void; 130 after Ctrl-C, with what was measured until then.
docs/performance.md says what each case means.
"""

import argparse
import json
import os
import shlex
import signal
import sys
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.environments import NotHere
from benchmarks.merge import OtherMachine, merge, read
from benchmarks.page import write_page
from benchmarks.plots import write_plots
from benchmarks.report import as_json, as_text
from benchmarks.run import run
from benchmarks.servers import SERVERS
from benchmarks.setups import Plan

_ROUNDS, _QUICK_ROUNDS = 7, 3
_SECONDS, _QUICK_SECONDS = 1.0, 0.5
_INTERRUPTED = 130  # as shells count: 128 and SIGINT


def main() -> int:
    options = arguments().parse_args()
    if options.list:
        print("\n".join(f"{case.name:18} {case.title}" for case in CASES.values()))
        return 0
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # servers are stopped on the way out
    try:
        results = merge([read(path) for path in options.merge]) if options.merge else run(plan(options))
    except (NotHere, OtherMachine) as error:
        print(error, file=sys.stderr)
        return 1
    print(as_text(results))
    if options.json:
        options.json.write_text(json.dumps(as_json(results), indent=2) + "\n", encoding="utf-8")
    if options.plots:
        write_plots(results, options.plots)
    if results.settings.get("interrupted"):
        return _INTERRUPTED  # and the page keeps its whole run
    if options.write_docs:
        write_page(results, shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]))
    return 1 if results.voids() else 0


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=CASES, metavar="NAME", help="repeat it; default: all")
    parser.add_argument("--server", action="append", choices=SERVERS, metavar="NAME", help="repeat it; default: all")
    parser.add_argument("--rounds", type=int, help=f"default {_ROUNDS}, with --quick {_QUICK_ROUNDS}")
    parser.add_argument("--seconds", type=float, help=f"of a window: {_SECONDS}, with --quick {_QUICK_SECONDS}")
    parser.add_argument("--quick", action="store_true", help="to see that all works, not for figures")
    parser.add_argument("--server-cores", type=cores, help="such as 0 or 0,1; default: the first that may be used")
    parser.add_argument("--load-cores", type=cores, help="default: the last")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all rounds and the goals")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="an SVG for each case")
    parser.add_argument("--write-docs", action="store_true", help="write the report into docs/performance.md")
    parser.add_argument(
        "--merge", action="append", type=Path, metavar="FILE", help="measure nothing: put together what --json wrote"
    )
    parser.add_argument("--list", action="store_true", help="list the cases")
    return parser


def plan(options: argparse.Namespace) -> Plan:
    usable = sorted(os.sched_getaffinity(0))
    quick = options.quick
    return Plan(
        cases=options.case or list(CASES),
        servers=[name for name in SERVERS if not options.server or name in options.server],
        rounds=options.rounds or (_QUICK_ROUNDS if quick else _ROUNDS),
        seconds=options.seconds or (_QUICK_SECONDS if quick else _SECONDS),
        warm_up_s=0.2 if quick else 0.4,
        idle_s=2.0 if quick else 10.0,
        server_cores=options.server_cores or usable[:1],
        load_cores=options.load_cores or usable[-1:],
    )


def cores(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
