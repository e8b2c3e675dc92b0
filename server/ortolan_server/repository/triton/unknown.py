"""Names the fields of a text that its message does not have: protobuf's own parsers drop them without a word."""

from collections.abc import Iterator, Mapping

from google.protobuf.descriptor import Descriptor
from google.protobuf.text_format import Tokenizer

__all__ = ["split_json", "unknown_in_text"]

_CLOSING = {"{": "}", "<": ">"}
_QUOTES = ('"', "'")


def unknown_in_text(text: str, message: Descriptor) -> tuple[str, ...]:
    """Paths such as `dynamic_batching.max_delay`, each once, in their order. `text` must be one that can be parsed."""
    return tuple(dict.fromkeys(_in_message(Tokenizer(text.split("\n")), message, "", "")))


def split_json(document: Mapping[str, object], message: Descriptor) -> tuple[dict[str, object], tuple[str, ...]]:
    """What is known of a JSON object that is already parsed, and the paths of what is not.

    `ignore_unknown_fields` of protobuf's parser would also drop the values that an enumeration does not have.
    """
    splitting = _Splitting()
    return splitting.of_object(document, message, ""), tuple(splitting.unknown)


def _in_message(tokens: Tokenizer, message: Descriptor | None, path: str, end: str) -> Iterator[str]:
    """Up to its closing token, which is left; of a message that is itself unknown nothing is named."""
    while not tokens.AtEnd() and tokens.token != end:
        name = tokens.ConsumeIdentifierOrNumber()
        field = message.fields_by_name.get(name) if message else None
        if message and field is None:
            yield path + name
        tokens.TryConsume(":")
        yield from _in_value(tokens, field.message_type if field else None, f"{path}{name}.")
        _ = tokens.TryConsume(",") or tokens.TryConsume(";")


def _in_value(tokens: Tokenizer, message: Descriptor | None, path: str) -> Iterator[str]:
    if tokens.TryConsume("["):
        while not tokens.TryConsume("]"):
            yield from _in_value(tokens, message, path)
            tokens.TryConsume(",")
    elif (closing := _CLOSING.get(tokens.token)) is not None:
        tokens.NextToken()
        yield from _in_message(tokens, message, path, closing)
        tokens.Consume(closing)
    else:
        is_text = tokens.token.startswith(_QUOTES)
        tokens.NextToken()
        while is_text and tokens.token.startswith(_QUOTES):  # texts side by side are one
            tokens.NextToken()


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
