"""Runs what speaks to a server through the other lane, and through both on the lowest grpcio: `lane_tests.py`.

`make test` has run it all through the fast lane on the newest grpcio. The lowest is the one that the committed stubs
were generated for: the floors of `pyproject.toml`.
"""

import os
import re
import sys

from environments import ROOT, fresh_environment, run

_TESTS = ("tests/server/transport", "tests/clients/test_tls.py")
# How the core words what is no HTTP/2 differs from release to release.
_ON_THE_LOWEST = (*_TESTS, "--ignore=tests/server/transport/test_bad_requests.py")
_TOOLS = ("hypothesis", "ml-dtypes", "pytest", "pytest-timeout")
_FLOOR = re.compile(r'"((?:grpcio|protobuf)[a-z-]*)>=([0-9.]+)"')
_PUBLIC = "--public-lane"


def main() -> None:
    lowest = fresh_environment("lowest", "--editable", f"{ROOT}[cpu]", *floors(), *_TOOLS)
    for python, flags in ((sys.executable, _PUBLIC), (lowest, ""), (lowest, _PUBLIC)):
        print(
            f"{'public' if flags else 'fast'} lane, {'the lowest' if python == lowest else 'the newest'} grpcio",
            flush=True,
        )
        os.environ["ORTOLAN_TEST_SERVE_FLAGS"] = flags
        run(python, "-m", "pytest", "--quiet", *(_ON_THE_LOWEST if python == lowest else _TESTS))


def floors() -> list[str]:
    """Each gRPC package, and protobuf, at the lowest version that is allowed."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return sorted({f"{name}=={version}" for name, version in _FLOOR.findall(project)})


if __name__ == "__main__":
    main()
