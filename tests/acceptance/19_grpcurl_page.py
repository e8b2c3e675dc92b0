"""Every command of docs/grpcurl.md runs as printed, with the real grpcurl and buf, and prints what the page shows."""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.docs.buf_curl import with_buf_curl
from tests.docs.night import PAGE, PROGRAMS, prepare
from tests.pages import Command, commands
from tests.terminal import terminal


def main() -> int:
    if lacking := [program for program in PROGRAMS if shutil.which(program) is None]:
        print(f"docs/grpcurl.md: not checked here, without {' and '.join(lacking)}")
        return 1 if os.environ.get("ORTOLAN_REQUIRE_TOOLCHAINS") == "1" else 0
    printed = commands(PAGE.read_text(encoding="utf-8"))
    asked = list(with_buf_curl(printed))
    right, right_with_buf = count_right(printed), count_right(asked)
    print(
        f"docs/grpcurl.md: {right} of {len(printed)} commands run as printed, and print what it shows;"
        f" with buf curl in grpcurl's place {right_with_buf} of {len(asked)}"
    )
    return 0 if (right, right_with_buf) == (len(printed), len(asked)) else 1


def count_right(wanted: Sequence[Command]) -> int:
    right = 0
    with tempfile.TemporaryDirectory() as scratch:
        prepare(Path(scratch))
        with terminal(Path(scratch)) as reader:
            for command, fault in reader.faults(wanted):
                right += not fault
                print(f"{'BAD' if fault else 'ok '} line {command.line:3}: {command.text}", flush=True)
                print(fault, end="\n" if fault else "")
    return right


if __name__ == "__main__":
    sys.exit(main())
