"""What the faulty provider is told, and what it tells.

| command | what it does, until another is given |
|---|---|
| `ok` | computes; also without a command |
| `error` | each compute fails: `kernel error` |
| `ep_fail` | fails with ONNX Runtime's code EP_FAIL |
| `lost` | fails: `device lost` |
| `sticky` | fails with the text of a CUDA context that is of no use any more |
| `oom` | fails with the text of an allocator without memory |
| `oom_above N` | likewise, where the first dimension of the result is above N |
| `hang` | stays in the kernel until the command is another, and obeys that |
| `hang_open` | sessions stay in the provider as they open, until the command is another; those that are open compute |
| `slow MS` | computes so many milliseconds later |
| `wrong X` | computes, and adds X to each number |
| `absent` | sessions are refused: `no faulty device here`; those that are open compute |
| `skip OP …` | sessions leave the nodes of these operators to others; those that are open compute |

A command is read at each compute of a node, and again each 2 ms while it hangs. `absent`, `hang_open` and `skip` are
read when a session opens.
"""

import time
from pathlib import Path

__all__ = ["Commands"]

_LIMIT_S = 30.0
_POLL_S = 0.005


class Commands:
    """One command file, and the log beside it. Sessions of any process may have them."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._log = file.with_name(f"{file.name}.log")

    def say(self, command: str) -> None:
        """At once and whole: no compute sees half a command."""
        written = self.file.with_name(f"{self.file.name}.new")
        written.write_text(command, encoding="utf-8")
        written.replace(self.file)

    def told(self) -> list[str]:
        """What the provider did, in order.

        `opened` and `closed` for a session, `refused` for one that may not open, `hanging` when a compute or
        an opening begins to hang, and `failed COMMAND` for a compute that failed.
        """
        return self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []

    def wait_for(self, line: str, times: int = 1) -> None:
        """Until it has told that, so many times in all. Raises AssertionError when it does not."""
        end = time.monotonic() + _LIMIT_S
        while self.told().count(line) < times:
            assert time.monotonic() < end, f"not {times} × '{line}', only {self.told()}"
            time.sleep(_POLL_S)
