from itertools import pairwise, product

import pytest

from ortolan_server.lifecycle.states import TRANSITIONS, State, TransitionError, advance

ALLOWED = {
    (State.NEW, State.LOADING),
    (State.LOADING, State.WARMING),
    (State.WARMING, State.READY),
    (State.WARMING, State.DEGRADED),
    (State.READY, State.DEGRADED),
    (State.DEGRADED, State.READY),
    (State.READY, State.DRAINING),
    (State.DEGRADED, State.DRAINING),
    (State.DRAINING, State.UNLOADED),
} | {(state, State.FAILED) for state in State if state not in (State.UNLOADED, State.FAILED)}


@pytest.mark.parametrize(("current", "new"), list(product(State, State)))
def test_every_pair_of_states(current: State, new: State) -> None:
    if (current, new) in ALLOWED:
        assert advance(current, new) is new
        return
    with pytest.raises(TransitionError, match=f"{current} cannot become {new}"):
        advance(current, new)


def test_a_whole_life() -> None:
    life = [State.NEW, State.LOADING, State.WARMING, State.READY, State.DEGRADED, State.READY]
    for current, new in pairwise([*life, State.DRAINING, State.UNLOADED]):
        advance(current, new)


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)


def test_which_states_serve_and_which_end() -> None:
    assert {state for state in State if state.serves} == {State.READY, State.DEGRADED}
    assert {state for state in State if not TRANSITIONS[state]} == {State.UNLOADED, State.FAILED}


def test_the_error_says_what_is_allowed() -> None:
    with pytest.raises(TransitionError, match="allowed: FAILED, UNLOADED"):
        advance(State.DRAINING, State.READY)
    with pytest.raises(TransitionError, match="none, it is final"):
        advance(State.FAILED, State.LOADING)
