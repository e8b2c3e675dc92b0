import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.versions import VersionPolicy, wanted_versions


@pytest.mark.parametrize(
    ("policy", "on_disk", "wanted"),
    [
        (VersionPolicy(latest=1), (3, 10, 9), (10,)),
        (VersionPolicy(latest=2), (3, 10, 9), (9, 10)),
        (VersionPolicy(latest=5), (3, 10), (3, 10)),
        (VersionPolicy(latest=1), (), ()),
        (VersionPolicy(all=True), (3, 10, 9), (3, 9, 10)),
        (VersionPolicy(specific=(9, 3)), (3, 10, 9), (3, 9)),
    ],
)
def test_wanted(policy: VersionPolicy, on_disk: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    assert wanted_versions(policy, on_disk) == wanted


@given(st.sets(st.integers(1, 50)), st.integers(1, 60))
def test_latest_are_the_highest(on_disk: set[int], latest: int) -> None:
    wanted = wanted_versions(VersionPolicy(latest=latest), on_disk)
    assert len(wanted) == min(latest, len(on_disk))
    assert all(other < min(wanted) for other in on_disk - set(wanted))


def test_a_version_that_is_named_and_missing_is_an_error() -> None:
    with pytest.raises(InvalidConfig, match="versions.specific: 2, 4 not on disk; on disk: 1, 3"):
        wanted_versions(VersionPolicy(specific=(4, 1, 2)), (3, 1))


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"latest": 1, "all": True},
        {"latest": 0},
        {"latest": True},
        {"all": False},
        {"all": 1},
        {"specific": []},
        {"specific": [1, 1]},
        {"specific": [0]},
        {"specific": ["1"]},
        {"specific": [2**63]},
        {"newest": 1},
    ],
)
def test_a_policy_is_exactly_one_of_three(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VersionPolicy.model_validate(table)
