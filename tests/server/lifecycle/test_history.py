"""What happened to a version, and how it is counted."""

from ortolan_server.lifecycle.history import EventKind, History, Step

DOWN = Step(1, "cuda", 2, "cpu")


def test_it_keeps_the_last_events_and_counts_all() -> None:
    assert History().last is None
    history = History()
    for number in range(100):
        history.note(EventKind.FAILED_OVER, f"failure {number}", DOWN)
    assert [event.reason for event in history.events] == [f"failure {number}" for number in range(36, 100)]
    assert history.last is history.events[-1]
    assert history.counts == {(EventKind.FAILED_OVER, "cuda", "cpu"): 100}


def test_probes_that_fail_alike_are_told_once_with_the_time_of_the_last() -> None:
    history = History()
    for reason in ("absent", "absent", "no memory", "absent"):
        history.note(EventKind.PROBE_FAILED, reason)
    assert [event.reason for event in history.events] == ["absent", "no memory", "absent"]
    assert history.totals[EventKind.PROBE_FAILED] == 4


def test_a_copy_takes_up_what_came_since_once() -> None:
    before = History()
    before.note(EventKind.LOADED)
    copy = before.copy()
    before.note(EventKind.FAILED_OVER, "gone", DOWN)
    copy.note(EventKind.LOADED)
    copy.take_up(before)
    before.note(EventKind.PROBE_FAILED, "absent")
    copy.take_up(before)
    copy.take_up(before)
    assert [event.kind for event in copy.events] == ["LOADED", "FAILED_OVER", "LOADED", "PROBE_FAILED"]
    assert copy.totals == {EventKind.LOADED: 2, EventKind.FAILED_OVER: 1, EventKind.PROBE_FAILED: 1}


def test_a_copy_goes_on_by_itself() -> None:
    history = History()
    history.note(EventKind.LOADED)
    copy = history.copy()
    copy.note(EventKind.DEVICE_FAILED, "gone", Step(1, "cuda"))
    assert [event.kind for event in history.events] == [EventKind.LOADED]
    assert [event.kind for event in copy.events] == [EventKind.LOADED, EventKind.DEVICE_FAILED]
    assert copy.totals == {EventKind.LOADED: 1, EventKind.DEVICE_FAILED: 1}
