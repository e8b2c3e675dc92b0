"""A change that breaks who uses the last release is caught; nothing passes for want of a release to compare with."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUF = Path(sys.executable).with_name("buf")
REFLECTION = "ortolan/v1/provider_reflection.proto"
INFERENCE = "ortolan/inference/inference.proto"

pytestmark = pytest.mark.skipif(not BUF.exists(), reason="buf is a development dependency")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the check looks at, to be changed."""
    shutil.copytree(ROOT / "protos", tmp_path / "protos", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    return tmp_path


def check(checkout: Path, *flags: str) -> tuple[int, str]:
    """Exit status, and all that it said."""
    command = [sys.executable, "protos/breaking.py", *flags]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def edit(checkout: Path, file: str, old: str, new: str) -> None:
    path = checkout / file
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_what_is_committed_breaks_nobody(checkout: Path) -> None:
    assert check(checkout) == (0, "")


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (REFLECTION, "  double node_share = 9;\n", "", 'field "9" with name "node_share"'),
        (REFLECTION, "double node_share = 9;", "double share = 9;", '"node_share" to "share"'),
        (REFLECTION, "double node_share = 9;", "float node_share = 9;", '"double" to "float"'),
        (REFLECTION, 'int32 serving_rung = 7;\n  // "cuda"', 'int32 serving_rung = 17;\n  // "cuda"', "serving_rung"),
        (REFLECTION, "KEPT = 1;", "HELD = 1;", '"KEPT" to "HELD"'),
        (INFERENCE, "  rpc ServerLive(ServerLiveRequest) returns (ServerLiveResponse) {}\n", "", '"ServerLive"'),
        (INFERENCE, "package inference;", "package inference.v2;", "package"),
    ],
)
def test_a_break_is_told(checkout: Path, file: str, old: str, new: str, told: str) -> None:
    edit(checkout, f"protos/{file}", old, new)
    status, said = check(checkout)
    assert status == 1
    assert told in said


def test_what_is_added_breaks_nobody(checkout: Path) -> None:
    edit(
        checkout,
        f"protos/{REFLECTION}",
        "  double node_share = 9;\n",
        "  double node_share = 9;\n  string more = 99;\n",
    )
    assert check(checkout) == (0, "")


def test_a_release_without_descriptors_fails(checkout: Path) -> None:
    edit(checkout, "CHANGELOG.md", "## [0.1.0]", "## [0.2.0]\n\n## [0.1.0]")
    status, said = check(checkout)
    assert status == 1
    assert said.startswith(
        "0.2.0 is released and has no protos/released/0.2.0.binpb: `python protos/breaking.py --release`"
    )


def test_a_release_is_kept_once(checkout: Path) -> None:
    edit(checkout, "CHANGELOG.md", "## [0.1.0]", "## [0.2.0]\n\n## [0.1.0]")
    assert check(checkout, "--release") == (0, "")
    assert check(checkout) == (0, "")
    edit(checkout, f"protos/{REFLECTION}", "  double node_share = 9;\n", "")
    assert check(checkout)[0] == 1
    status, said = check(checkout, "--release")
    assert status == 1
    assert "a release is kept once" in said
    assert check(checkout)[0] == 1


def test_a_changelog_without_a_release_fails(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text("## [Unreleased]\n")
    assert check(checkout) == (1, "CHANGELOG.md names no release\n")


def test_the_tag_counts_whatever_the_descriptors_say(checkout: Path, toolchain: Callable[[str], str]) -> None:
    version = re.findall(r"^## \[(\d[\d.]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    git = [toolchain("git"), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "release"], ["tag", f"v{version}"]):
        subprocess.run([*git, *words], cwd=checkout, check=True)
    assert check(checkout) == (0, "")
    edit(checkout, f"protos/{REFLECTION}", "  double node_share = 9;\n", "")
    (checkout / "protos" / "released" / f"{version}.binpb").unlink()
    assert check(checkout, "--release") == (0, "")
    status, said = check(checkout)
    assert status == 1
    assert "node_share" in said
