"""A lock made on one provider set and checked on another: `python -m tests.providers.locked`, on onnxruntime-openvino.

Its argument is the interpreter of the other set, onnxruntime without OpenVINO.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import models
from tests.providers.mixed import two_in_a_row_of_eight
from tests.serving import ENTRY

TOML = '[[chain]]\nprovider = "openvino"\n\n[[chain]]\nprovider = "cpu"\n\n[require]\notherwise = "degrade"\n'
_MOVED = re.compile(r"- (\w+) \(\w+\) +openvino → cpu")


def ortolan(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-c", ENTRY, *arguments], capture_output=True, text=True, check=False)


def main() -> int:
    made_on, checked_on = sys.executable, sys.argv[1]
    expected = two_in_a_row_of_eight()
    with tempfile.TemporaryDirectory() as folder:
        model = str(models.save(expected.proto, Path(folder) / "m", toml=TOML).parents[1])
        made = ortolan(made_on, "lock", model)
        same, other = (ortolan(python, "plan", model, "--locked") for python in (made_on, checked_on))
        found = json.loads(ortolan(checked_on, "plan", model, "--locked", "--json").stdout)[0]
        served = ortolan(checked_on, "plan", model)
    for title, done in (("lock", made), ("the same set", same), ("the other set", other)):
        print(f"{title}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    unmoved = _MOVED.findall(same.stdout)
    named = set(_MOVED.findall(other.stdout))
    told = {node["name"] for node in found["drift"]["moved_down"]}
    refused = served.returncode == 3 and "refused at lock" in served.stdout
    good = (
        made.returncode == 0
        and (same.returncode, unmoved) == (0, [])
        and other.returncode == 3
        and named == told == expected.on_top
        and refused
    )
    print(
        f"made with OpenVINO, checked without: {len(named & expected.on_top)} of {len(expected.on_top)} moved nodes "
        f"are named, exit status {other.returncode}, {'not ' if refused else ''}served; checked on the same set: "
        f"{len(unmoved)} moved, exit status {same.returncode}"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
