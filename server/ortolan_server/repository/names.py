"""What a model may be called."""

import unicodedata

__all__ = ["MODEL_FILE", "file_fault", "name_fault", "printable_name", "upload_name_fault"]

MODEL_FILE = "model.onnx"

_FOLDER_NAME_BYTES = 255
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


def name_fault(name: str) -> str | None:
    """Why a folder's name cannot be a model's name; None when it can.

    `/` separates model and version in the health service's names, `#` the contract. Control characters and
    line breaks would forge log lines, and names that are not UTF-8 do not fit into a message.
    """
    if not name:
        return "a model needs a name"
    if refused := [character for character in "/#" if character in name]:
        return f"a model's name cannot have '{refused[0]}'"
    if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in name):
        return "a model's name cannot have control characters or bytes that are not UTF-8"
    return None


def upload_name_fault(name: str) -> str | None:
    """Why a model that has no folder in the repository cannot be called so; None when it can."""
    if fault := name_fault(name):
        return fault
    if name.startswith(".") or len(name.encode()) > _FOLDER_NAME_BYTES:
        return f"a model's name begins with no dot and has at most {_FOLDER_NAME_BYTES} bytes, as a folder's has"
    return None


def file_fault(name: str) -> str | None:
    """Why this cannot be the name of the model's file in the folder of a version; None when it can."""
    if name.endswith(".onnx") and not set(name) & set("/\\\0"):
        return None
    return f"must be the name of a .onnx file in the version's folder, not {name!r}"


def printable_name(name: str) -> str:
    """The name with refused characters written as escapes, so that it fits into logs and messages."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _REFUSED_CATEGORIES
        else character
        for character in name
    )
