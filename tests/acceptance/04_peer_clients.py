"""Clients of others work unchanged: tritonclient (sync, callbacks, asyncio, streams) and KServe's; ours beside them."""

import sys
import tempfile
from pathlib import Path

from tests.conformance.models import write_repository
from tests.conformance.peers import call_all
from tests.conformance.verdicts import log_faults
from tests.serving import running_server


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        write_repository(Path(scratch))
        with running_server(Path(scratch), "--model-control", "explicit", "--load-model", "*") as server:
            outcomes = []
            for outcome in call_all(server.address):
                outcomes.append(outcome)
                print(f"{outcome.client:27} {outcome.call:42} {outcome.fault or 'as expected'}")
            status = server.stop()
    faults = log_faults(server)
    for fault in faults:
        print(f"the log: {fault}")
    clients = {outcome.client for outcome in outcomes}
    passed = sum(not outcome.fault for outcome in outcomes)
    print(f"{passed} of {len(outcomes)} calls by {len(clients)} clients as expected")
    return 0 if passed == len(outcomes) and not faults and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
