"""The reader of Dockerfiles that stands in for a builder: what it understands, and that it refuses the rest."""

from pathlib import Path

import pytest

from tests.image.context import Context
from tests.image.dockerfile import DockerfileError, Instruction, needed_stages, pairs, parse, substitute

ROOT = Path(__file__).parents[2]
SMALL = """\
# a comment
ARG BASE=debian:trixie-slim
FROM ${BASE} AS tools
RUN one \\
    # a comment between
    && two
FROM other AS unused
FROM tools AS last
COPY --from=tools /a /b
CMD ["x", "y z"]
"""


def test_stages_and_their_instructions() -> None:
    stages, shared = parse(SMALL, {})
    assert {name: stage.base for name, stage in stages.items()} == {
        "tools": "debian:trixie-slim",
        "unused": "other",
        "last": "tools",
    }
    assert shared == {"BASE": "debian:trixie-slim"}
    assert stages["tools"].instructions == [Instruction(4, "RUN", (), "one && two")]
    copy, command = stages["last"].instructions
    assert (copy.flags, copy.arguments) == (("--from=tools",), "/a /b")
    assert command.exec_form() == ["x", "y z"]


def test_a_build_argument_wins() -> None:
    stages, _ = parse(SMALL, {"BASE": "ubuntu:24.04"})
    assert stages["tools"].base == "ubuntu:24.04"


def test_only_the_stages_that_a_target_needs() -> None:
    stages, _ = parse(SMALL, {})
    assert [stage.name for stage in needed_stages(stages, "last")] == ["tools", "last"]
    with pytest.raises(DockerfileError, match="no stage 'gone'; stages: tools, unused, last"):
        needed_stages(stages, "gone")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FROM a AS b\nADD x y", "line 2: ADD is not known here"),
        ("FROM a AS b\nonbuild", "line 2: onbuild is not known here"),
        ("FROM a", "line 1: want `FROM image AS name`"),
        ("FROM --platform=linux/arm64 a AS b", "line 1: want `FROM image AS name`"),
        ("FROM a AS b\nFROM c AS b", "line 2: want `FROM image AS name`"),
        ("ENV x=y", "line 1: ENV before the first FROM"),
        ("FROM ${GONE} AS b", r"\$GONE is not set; set are: none"),
        ("ARG X=1\nFROM ${X:-a} AS b", "only .name and .{name} are known here"),
        ("FROM a AS b\nRUN <<EOF", "line 2: here-documents"),
        ("FROM a AS b\nRUN x \\", "line 2: the file ends inside"),
    ],
)
def test_what_is_not_known_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError, match=reason):
        parse(text, {})


def test_pairs_and_variables() -> None:
    step = Instruction(1, "ENV", (), 'PATH=/opt/bin:${PATH} NAME="two words"')
    assert pairs(step, {"PATH": "/bin"}) == {"PATH": "/opt/bin:/bin", "NAME": "two words"}
    assert substitute("$a-${b}", {"a": "1", "b": "2"}) == "1-2"
    with pytest.raises(DockerfileError, match="ENV wants name=value, not 'old'"):
        pairs(Instruction(1, "ENV", (), "old style"), {})


def test_the_shell_form_is_no_exec_form() -> None:
    with pytest.raises(DockerfileError, match="line 3: CMD is not in exec form"):
        Instruction(3, "CMD", (), "ortolan serve").exec_form()


def test_the_context_has_what_dockerignore_leaves(tmp_path: Path) -> None:
    for name in ("kept/a.py", "kept/deep/b.py", "kept/deep/__pycache__/b.pyc", "left/c.py", "clients/go/d.go"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".dockerignore").write_text("# a comment\n*\n!kept\n!clients/py\n**/__pycache__\n")
    context = Context(tmp_path)
    assert [path.as_posix() for path in context.files("kept")] == ["kept/a.py", "kept/deep/b.py"]
    for source in ("left", "clients", "left/c.py", "gone"):
        with pytest.raises(FileNotFoundError, match=f"the build context has no {source}"):
            list(context.files(source))


def test_both_images_are_run_in_the_same_way() -> None:
    """The last two stages differ in their base, their packages and what NVIDIA's runtime reads."""
    stages, _ = parse((ROOT / "Dockerfile").read_text(encoding="utf-8"), {})
    assert list(stages)[-2:] == ["gpu", "cpu"], "`docker build` without a target makes the last stage"
    same = {"CMD", "ENTRYPOINT", "EXPOSE", "HEALTHCHECK", "RUN", "STOPSIGNAL", "USER"}
    gpu, cpu = (
        [(step.name, step.flags, step.arguments) for step in stages[name].instructions if step.name in same]
        for name in ("gpu", "cpu")
    )
    assert gpu == cpu
