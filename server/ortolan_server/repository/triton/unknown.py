"""Names the fields of a text that its message does not have: protobuf's own parsers drop them without a word."""

from collections.abc import Mapping

from google.protobuf.descriptor import Descriptor
from google.protobuf.text_format import ParseError, Tokenizer

__all__ = ["split_json", "split_text"]

_CLOSING = {"{": "}", "<": ">"}
_QUOTES = ('"', "'")

_Place = tuple[int, int]
"""Line and column, both from 1."""


def split_text(text: str, message: Descriptor) -> tuple[str, tuple[str, ...]]:
    """A text with spaces where it has fields that are not known, and the paths of these, each once.

    `allow_unknown_field` of protobuf's parser drops them without their names, and cannot read all of them. Raises
    text_format.ParseError for some of what is no text of this format, not for all.
    """
    walk = _Walk(text)
    walk.message(message, "", "")
    lines = text.split("\n")
    for begin, end in walk.spans:
        _blank(lines, begin, end)
    return "\n".join(lines), tuple(dict.fromkeys(walk.unknown))


def split_json(document: Mapping[str, object], message: Descriptor) -> tuple[dict[str, object], tuple[str, ...]]:
    """What is known of a JSON object that is already parsed, and the paths of what is not.

    `ignore_unknown_fields` of protobuf's parser would also drop the values that an enumeration does not have.
    """
    splitting = _Splitting()
    return splitting.of_object(document, message, ""), tuple(splitting.unknown)


def _blank(lines: list[str], begin: _Place, end: _Place) -> None:
    """The end itself stays."""
    for number in range(begin[0], end[0] + 1):
        line = lines[number - 1]
        first = begin[1] - 1 if number == begin[0] else 0
        last = end[1] - 1 if number == end[0] else len(line)
        lines[number - 1] = line[:first] + " " * (last - first) + line[last:]


class _Walk:
    """Goes through the tokens of a text beside the fields of its message."""

    def __init__(self, text: str) -> None:
        self.unknown: list[str] = []
        self.spans: list[tuple[_Place, _Place]] = []
        """From the beginning of an unknown field to that of what follows."""
        self._tokens = Tokenizer(text.split("\n"))
        lines = text.split("\n")
        self._end = (len(lines), len(lines[-1]) + 1)

    def message(self, message: Descriptor | None, path: str, end: str) -> None:
        """Up to its closing token, which is left. Of a message that is itself unknown nothing is named."""
        tokens = self._tokens
        while not tokens.AtEnd() and tokens.token != end:
            begin = self._place()
            name = tokens.ConsumeIdentifierOrNumber()
            field = message.fields_by_name.get(name) if message else None
            tokens.TryConsume(":")
            self._value(field.message_type if field else None, f"{path}{name}.")
            _ = tokens.TryConsume(",") or tokens.TryConsume(";")
            if message and field is None:
                self.unknown.append(path + name)
                self.spans.append((begin, self._place()))

    def _value(self, message: Descriptor | None, path: str) -> None:
        tokens = self._tokens
        if tokens.AtEnd():
            raise ParseError("Expected a value.")
        if tokens.TryConsume("["):
            while not tokens.TryConsume("]"):
                self._value(message, path)
                tokens.TryConsume(",")
        elif (closing := _CLOSING.get(tokens.token)) is not None:
            tokens.NextToken()
            self.message(message, path, closing)
            tokens.Consume(closing)
        else:
            is_text = tokens.token.startswith(_QUOTES)
            tokens.NextToken()
            while is_text and tokens.token.startswith(_QUOTES):  # texts side by side are one
                tokens.NextToken()

    def _place(self) -> _Place:
        """Of the next token."""
        error = self._tokens.ParseError("")  # type: ignore[arg-type]  # the stubs take the text for a message
        return self._end if self._tokens.AtEnd() else (error.GetLine() or 1, error.GetColumn() or 1)


class _Splitting:
    def __init__(self) -> None:
        self.unknown: dict[str, None] = {}

    def of_object(self, document: Mapping[str, object], message: Descriptor, path: str) -> dict[str, object]:
        """What is known of it."""
        fields = {name: field for field in message.fields for name in (field.name, field.json_name)}
        self.unknown |= dict.fromkeys(path + name for name in document if name not in fields)
        return {
            name: self._of_value(value, fields[name].message_type, f"{path}{fields[name].name}.")
            for name, value in document.items()
            if name in fields
        }

    def _of_value(self, value: object, message: Descriptor | None, path: str) -> object:
        if message is None:
            return value
        if isinstance(value, list):
            return [self._of_value(one, message, path) for one in value]
        if not isinstance(value, Mapping):
            return value
        if message.GetOptions().map_entry:
            inner = message.fields_by_name["value"].message_type
            return {key: self._of_value(one, inner, path) for key, one in value.items()}
        return self.of_object(value, message, path)
