"""The clients of all six languages pass the shared test vectors against a live server."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = {"python": "Python", "go": "Go", "node": "TypeScript", "java": "Java", "cpp": "C++", "rust": "Rust"}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run(
            [sys.executable, "-m", "pytest", "--quiet", "-rs", f"--junitxml={report}", "tests/languages"],
            cwd=ROOT,
            check=False,
        )
        outcomes = dict.fromkeys(LANGUAGES, "no test")
        for language, outcome in outcomes_of(report):
            # One that failed or skipped counts for its language, whatever the others did.
            if outcomes.get(language) in ("no test", "passed"):
                outcomes[language] = outcome
    told = ", ".join(f"{name} {outcomes[language]}" for language, name in LANGUAGES.items())
    passed = sum(outcome == "passed" for outcome in outcomes.values())
    print(f"{passed} of {len(LANGUAGES)} languages pass the shared vectors: {told}")
    lacking = "skipped" if os.environ.get("ORTOLAN_REQUIRE_TOOLCHAINS") != "1" else "passed"
    return 0 if set(outcomes.values()) <= {"passed", lacking} else 1


def outcomes_of(report: Path) -> Iterator[tuple[str, str]]:
    """Language and outcome of each test."""
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - of our own pytest
        language = case.get("classname", "").partition("test_")[2].partition(".")[0]
        kinds = {child.tag for child in case}
        yield language, "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"


if __name__ == "__main__":
    sys.exit(main())
