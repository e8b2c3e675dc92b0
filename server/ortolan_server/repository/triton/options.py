"""Options of a provider, given as texts under ONNX Runtime's own keys, as options of our schema."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ortolan_backends.options import FORBIDDEN_KEYS, ProviderOptions, describe
from ortolan_backends.shapes import parse_profile
from ortolan_server.repository.triton.fields import at
from ortolan_server.repository.triton.notes import Ledger

__all__ = ["OptionTexts"]

_WORDS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class OptionTexts:
    """The options of one provider."""

    provider: str
    """Its short name."""
    schema: type[ProviderOptions]

    def read(self, key: str, text: str) -> tuple[str, object] | None:
        """Our name and the value of ONNX Runtime's `key`; None when the schema has no such option.

        Raises ValueError for a text that is no value of it.
        """
        for name, field in self.schema.model_json_schema().get("properties", {}).items():
            if field["onnxruntime_key"] == key:
                spelled = {theirs: ours for ours, theirs in field["spelling"].items()}
                return name, _value(_kinds(field), spelled.get(text, text))
        return None

    def known(self, key: str) -> str:
        """Our name of ONNX Runtime's `key`; empty when the schema has no such option."""
        return next((doc.name for doc in describe(self.schema) if doc.onnxruntime_key == key), "")

    def note(self, path: str, texts: Mapping[str, str], keys: Mapping[str, str], ledger: Ledger) -> dict[str, object]:
        """The options that have a counterpart; each text gets its note.

        `path` is that of the map they stand in; `keys` holds ONNX Runtime's key for those that are called otherwise.
        """
        options: dict[str, object] = {}
        for name, text in sorted(texts.items()):
            place, key = at(path, name), keys.get(name, name)
            if why := FORBIDDEN_KEYS.get(key.lower()):
                ledger.not_honoured(place, text, f"cannot be set, since {why}")
                continue
            try:
                found = self.read(key, text)
            except ValueError as error:
                ledger.refuse(place, f"{error}, not {json.dumps(text)}")
                continue
            if found is None:
                ledger.not_honoured(place, text, f"the provider {self.provider} has no such option")
                continue
            options[found[0]] = found[1]
            ledger.honoured(place, text, f"{found[0]} = {json.dumps(found[1])} of the rung {self.provider}")
        return options


def _kinds(field: Mapping[str, object]) -> set[str]:
    """Types of JSON Schema that the option takes."""
    alternatives = field.get("anyOf", [field])
    kinds: set[str] = set()
    for other in alternatives if isinstance(alternatives, list) else []:
        kind = other.get("type", "string")
        kinds |= {kind} if isinstance(kind, str) else set(kind)
    return kinds


def _value(kinds: set[str], text: str) -> object:
    if "boolean" in kinds:
        if text.lower() not in _WORDS:
            raise ValueError('must be "1", "0", "true" or "false"')
        return _WORDS[text.lower()]
    if "integer" in kinds:
        try:
            return int(text)
        except ValueError as error:
            raise ValueError("must be a whole number") from error
    return _table(text) if "object" in kinds else text


def _table(text: str) -> object:
    """JSON, as OpenVINO's properties are, or shapes by input, as TensorRT's profiles are."""
    if text.lstrip().startswith("{"):
        return json.loads(text)
    try:
        return {name: list(shape) for name, shape in parse_profile(text).items()}
    except ValueError as error:
        raise ValueError("must be shapes by input, such as images:1x3x224x224, or a JSON object") from error
