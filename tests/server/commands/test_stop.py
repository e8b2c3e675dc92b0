"""A signal at any moment of the wait for it ends the wait."""

import subprocess
import sys

ROUNDS = 3000
# Signals come at the very time at which a wait begins, looks, or begins again. In a process of its own: one that hangs
# there can be ended from outside only.
CODE = f"""
import signal
from ortolan_server.commands._stop import Stop
signal.signal(signal.SIGALRM, lambda *_: stop.ask())
for number in range({ROUNDS}):
    stop = Stop(look_s=1e-5)
    signal.setitimer(signal.ITIMER_REAL, 2e-5 + number % 100 * 1e-6)
    stop.wait()
    signal.setitimer(signal.ITIMER_REAL, 0)
print("all came")
"""


def test_no_signal_is_lost() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout == "all came\n"
