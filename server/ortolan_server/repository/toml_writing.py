"""A model.toml as text, which is read back as the same."""

from collections.abc import Iterable, Mapping

from ortolan_server.repository.config import ModelToml
from ortolan_server.repository.names import printable_name
from ortolan_server.repository.toml_values import toml_pairs

__all__ = ["model_toml_text"]


def model_toml_text(config: ModelToml, comments: Iterable[str] = ()) -> str:
    """What was set of a configuration, in the order of its fields, below a line for each comment.

    `parse_model_toml(tomllib.loads(text))` is equal to it.
    """
    document = config.model_dump(exclude_unset=True, exclude_none=True)
    tables = {key: value for key, value in document.items() if _is_table(value) or _are_tables(value)}
    lines = [f"# {printable_name(comment)}" for comment in comments]
    lines += toml_pairs({key: value for key, value in document.items() if key not in tables})
    for key, value in tables.items():
        if _is_table(value):
            lines += ["", f"[{key}]", *toml_pairs(value)]
        else:
            for table in value:
                lines += ["", f"[[{key}]]", *toml_pairs(table)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _are_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_table, value))
