"""Protobuf's wire format as far as both sides write and read it by hand: large tensors stay where they are.

Protobuf's parser copies the data of tensors, and reading them from its message copies them again. From a size on it
costs less to look for them in the bytes, leave them there, and parse what is around them: a field that is taken out
leaves a message with the same other fields. What is valid and what it means stays protobuf's to say: whatever the
search does not expect goes to the parser as a whole.
"""

from collections.abc import Sequence

__all__ = ["CUT_BYTES", "RAW_INPUT", "RAW_OUTPUT", "cut", "filling", "largest_start", "read_varint", "varint"]

CUT_BYTES = 64 * 1024
"""Messages of at least this size are cut: docs/decisions/0006-codec.md has both ways around it."""

# Tags: the field's number and 2, for a length that follows, as in `number << 3 | 2`.
RAW_INPUT = 0x3A
"""The tag of `ModelInferRequest.raw_input_contents`."""
RAW_OUTPUT = 0x32
"""The tag of `ModelInferResponse.raw_output_contents`."""
_ID = b"\x1a"
_HAS_LENGTH = 2
_TYPE = 7
_FIRST = 0x0A

_LOW = 0x7F
_MORE = 0x80
_BITS = 7
_MOST_BITS = 5 * _BITS
# A loop in Python over more of them would take longer than the parser.
_MOST_FIELDS = 1024


def varint(number: int) -> bytes:
    """A number that is not negative, seven bits a byte, the lowest first."""
    if number <= _LOW:
        return bytes((number,))
    out = bytearray()
    while number > _LOW:
        out.append(number & _LOW | _MORE)
        number >>= _BITS
    out.append(number)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends. Of at most five bytes, as lengths of fields have.

    Raises ValueError for one that is longer, or that the data's end cuts off.
    """
    number = shift = 0
    try:
        while shift < _MOST_BITS:
            byte = data[at]
            at += 1
            if byte <= _LOW:
                return number | byte << shift, at
            number |= (byte & _LOW) << shift
            shift += _BITS
    except IndexError:
        pass
    raise ValueError(f"no number of at most five bytes ends at byte {at}")


def cut(data: bytes, raw_tag: int, at: int = 0) -> tuple[list[memoryview], list[memoryview]]:
    """What is around the tensors of the message that begins at `at`, and the tensors, as views of `data`.

    Two empty lists, when something is unusual; no tensors, when there are none. `raw_tag` is that of the message's
    last field, and every field of the message has a length.
    """
    view = memoryview(data)
    rest: list[memoryview] = []
    raw: list[memoryview] = []
    rest_from = at
    for _ in range(_MOST_FIELDS):
        if at == len(data):
            rest.append(view[rest_from:])
            return rest, raw
        tag = data[at]
        if tag & _TYPE != _HAS_LENGTH or not _FIRST <= tag <= raw_tag:
            break
        try:
            size, start = read_varint(data, at + 1)
        except ValueError:
            break
        end = start + size
        if end > len(data):
            break
        if tag == raw_tag:
            rest.append(view[rest_from:at])
            raw.append(view[start:end])
            rest_from = end
        at = end
    return [], []


def largest_start(sizes: Sequence[int]) -> int:
    """Where the data of the largest tensor begins, counted from the first one's tag, when one follows the other."""
    largest = max(range(len(sizes)), key=sizes.__getitem__)
    before = sum(1 + len(varint(size_bytes)) + size_bytes for size_bytes in sizes[:largest])
    return before + 1 + len(varint(sizes[largest]))


def filling(start: int) -> bytes:
    """What to put before a tensor, so that it begins at a multiple of 8 bytes instead of at `start`.

    They are empty ids, as requests and responses have them: one that is not empty must come behind. The reader of a
    tensor that is aligned for its datatype need not copy it.
    """
    return _FILLING[-start % 8]


def _empty_id(size_bytes: int) -> bytes:
    """A length may have leading zeros, up to five digits in all."""
    return _ID + b"\x80" * (size_bytes - 2) + b"\0"


_FILLING = (
    b"",
    _empty_id(4) + _empty_id(5),
    _empty_id(2),
    _empty_id(3),
    _empty_id(4),
    _empty_id(5),
    _empty_id(6),
    _empty_id(3) + _empty_id(4),
)
