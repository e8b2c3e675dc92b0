"""The `ortolan` script. It comes with the base install, which has no command line: then it says what to install."""

import sys

__all__ = ["main"]

_MISSING = """\
ortolan: the command line is not installed. Pick one:
  pip install 'ortolan[cli]'        status, infer: for a server elsewhere
  pip install 'ortolan[cpu]'        also serve, doctor, plan, with ONNX Runtime for CPUs
  pip install 'ortolan[gpu]'        the same for NVIDIA GPUs
  pip install 'ortolan[openvino]'   the same for Intel hardware
"""
_CLI_PACKAGES = {"rich", "typer"}
_USAGE = 2


def main() -> None:
    """Runs the command line; without its packages prints which extras bring them and exits 2."""
    try:
        from ortolan_server.commands import app  # noqa: PLC0415 (missing in the base install)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _CLI_PACKAGES:
            raise
        sys.stderr.write(_MISSING)
        raise SystemExit(_USAGE) from None
    app(prog_name="ortolan")
