"""How Ortolan's speed stands to the goals of docs/performance.md, in a short run: reported, never asserted.

It fails only when something does not count (a wrong answer, a call that failed, a server that did not start), or when
a goal could not be measured. Of the peers plain `grpc.aio` and MLServer are measured; `make bench` measures all, and
longer: its figures are those of docs/performance.md.
"""

import os
import sys
from dataclasses import replace

from benchmarks.environments import MissingTool, NotHere
from benchmarks.goals import GOALS, judge, summary
from benchmarks.merge import merge
from benchmarks.report import header
from benchmarks.results import Results
from benchmarks.run import run
from benchmarks.servers import ECHO, IN_PROCESS, OURS, PLAIN
from benchmarks.setups import Plan
from benchmarks.tables import number

SERVERS = (OURS, IN_PROCESS, ECHO, PLAIN, "mlserver")
REQUIRE_TOOLCHAINS = "ORTOLAN_REQUIRE_TOOLCHAINS"


def main() -> int:
    try:
        results = measured()
    except MissingTool as error:
        required = os.environ.get(REQUIRE_TOOLCHAINS) == "1"
        print(f"speed: {'not measured' if required else 'skipped'}: {error}")
        return 1 if required else 0
    except NotHere as error:
        print(f"speed: not measured: {error}")
        return 1
    print(header(results))
    verdicts = judge(results)
    for verdict in verdicts:
        goal, seen = verdict.goal, verdict.seen
        word = {True: "met", False: "SHORT", None: "NOT MEASURED"}[verdict.met]
        figure = f"{number(seen.median)} {goal.unit} ({number(seen.low)} to {number(seen.high)})" if seen else "-"
        print(f"{word:12}  {goal.case:17} {goal.text:68}  {figure}")
    void = [f"{case} on {server}: {why}" for case, server, why in results.voids()]
    for fault in void:
        print(f"VOID {fault}")
    print(f"speed: {summary(verdicts)} (short rounds; of the peers grpc.aio and MLServer)")
    return 1 if void or any(verdict.met is None for verdict in verdicts) else 0


def measured() -> Results:
    """All goals' cases, briefly; idling, which takes seconds to be seen, once and on our server alone."""
    cases = list(dict.fromkeys(goal.case for goal in GOALS))
    first, last = sorted(os.sched_getaffinity(0))[:1], sorted(os.sched_getaffinity(0))[-1:]
    short = Plan(
        [case for case in cases if case != "idle-50"],
        SERVERS,
        rounds=3,
        seconds=0.5,
        warm_up_s=0.2,
        idle_s=10.0,
        server_cores=first,
        load_cores=last,
    )
    return merge([run(short), run(replace(short, cases=["idle-50"], servers=[OURS], rounds=1))])


if __name__ == "__main__":
    sys.exit(main())
