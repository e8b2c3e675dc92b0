"""What became of each setting of a Triton configuration."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Ledger", "Note", "Outcome"]

_SHOWN_CHARACTERS = 80


class Outcome(StrEnum):
    """HONOURED: it means the same here. TRANSLATED: something close, the text says what. NOT_HONOURED: nothing."""

    HONOURED = "HONOURED"
    TRANSLATED = "TRANSLATED"
    NOT_HONOURED = "NOT_HONOURED"


@dataclass(frozen=True, slots=True)
class Note:
    """One setting."""

    key: str
    """Its path: items of a list are counted from 1, those of a map are called by their key, `parameters["level"]`."""
    value: str
    """As it stands in the file, cut where it gets long; empty for what is not in it and has a default."""
    outcome: Outcome
    text: str
    """For the operator: the equal key of model.toml, or why there is none."""

    def __str__(self) -> str:
        given = f"{self.key} = {self.value}" if self.value else self.key
        return f"{given}: {self.text}"


class Ledger:
    """Collects the notes of one translation, and why the model cannot be served at all."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.refusals: list[str] = []
        """Each names its key."""
        self._covered: set[str] = set()

    def honoured(self, key: str, value: object, text: str, *, parts: Iterable[str] = ()) -> None:
        """With `parts` it is a note on these fields of the message `key`, and not on the others."""
        self._add(key, value, Outcome.HONOURED, text, parts)

    def translated(self, key: str, value: object, text: str, *, parts: Iterable[str] = ()) -> None:
        self._add(key, value, Outcome.TRANSLATED, text, parts)

    def not_honoured(self, key: str, value: object, text: str) -> None:
        self._add(key, value, Outcome.NOT_HONOURED, text, ())

    def refuse(self, key: str, text: str) -> None:
        """The model cannot be served as this setting asks."""
        self.refusals.append(f"{key}: {text}")

    def covers(self, path: str) -> bool:
        """Has this setting a note, or one that it is a part of, or the default of one that is a part of it?"""
        return any(
            path == key or path.startswith((f"{key}.", f"{key}[")) or key.startswith(f"{path}.")
            for key in self._covered
        )

    def _add(self, key: str, value: object, outcome: Outcome, text: str, parts: Iterable[str]) -> None:
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        if len(shown) > _SHOWN_CHARACTERS:
            shown = f"{shown[:_SHOWN_CHARACTERS]}…"
        self._covered.update([f"{key}.{part}" for part in parts] or [key])
        self.notes.append(Note(key, shown, outcome, text))
