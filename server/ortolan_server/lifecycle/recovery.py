"""Tries the rungs again that versions have lost, each when its time has come."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto

import structlog

from ortolan_server.lifecycle.backoff import Backoff

__all__ = ["Key", "Outcome", "Recovery"]

log = structlog.get_logger()

Key = tuple[str, int]
"""A model and a number of a version."""


class Outcome(Enum):
    """What came of a try."""

    RECOVERED = auto()
    PARTLY = auto()
    """A higher rung serves again, and one above it is still to be tried."""
    NOT_YET = auto()
    OVER = auto()
    """There is nothing to be tried any more."""


class Recovery:
    """One thread for all versions, started when the first has lost a rung.

    `attempt` is called on it, one at a time, and may take long.
    """

    def __init__(self, attempt: Callable[[Key], Outcome]) -> None:
        self._attempt = attempt
        self._backoffs: dict[Key, Backoff] = {}
        self._waiting: set[Key] = set()
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def watch(self, key: Key, first_s: float, most_s: float) -> None:
        """A version has lost its rung: it is tried again after `first_s`, later after each try that fails.

        One that had come back only just before is waited for longer.
        """
        with self._news:
            before = self._backoffs.get(key, Backoff(first_s, most_s))
            # A reload may have brought other times.
            self._backoffs[key] = replace(before, first_s=first_s, most_s=most_s).failed(time.monotonic())
            self._waiting.add(key)
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._loop, name="recovery", daemon=True)
                self._thread.start()
            self._news.notify()

    def stop(self) -> None:
        """A try that is being made is not waited for."""
        with self._news:
            self._stopped = True
            self._news.notify()

    def _loop(self) -> None:
        while (due := self._next()) is not None:
            key, tried = due
            try:
                outcome = self._attempt(key)
            except Exception:
                log.exception("recovery_crashed", model=key[0], version=str(key[1]))
                outcome = Outcome.NOT_YET
            self._settle(key, tried, outcome, time.monotonic())

    def _next(self) -> tuple[Key, Backoff] | None:
        """Waits for the next that is due; None: stopped."""
        with self._news:
            while not self._stopped:
                key = min(self._waiting, key=lambda each: self._backoffs[each].due_s, default=None)
                left_s = None if key is None else self._backoffs[key].due_s - time.monotonic()
                if key is not None and left_s is not None and left_s <= 0:
                    return key, self._backoffs[key]
                self._news.wait(left_s)
        return None

    def _settle(self, key: Key, tried: Backoff, outcome: Outcome, now_s: float) -> None:
        with self._news:
            backoff = self._backoffs[key]
            if backoff is not tried:  # it failed again meanwhile, and has its new time, which may be over already
                if outcome in (Outcome.RECOVERED, Outcome.PARTLY):
                    self._backoffs[key] = tried.recovered(now_s).failed(now_s)  # and had only just come back
                return
            if outcome is Outcome.PARTLY:
                self._backoffs[key] = backoff.recovered(now_s).not_yet(now_s)
                return
            if outcome is Outcome.NOT_YET:
                self._backoffs[key] = backoff.not_yet(now_s)
                return
            self._waiting.discard(key)
            if outcome is Outcome.RECOVERED:
                self._backoffs[key] = backoff.recovered(now_s)
            else:
                del self._backoffs[key]
