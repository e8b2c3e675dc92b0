"""Protobuf's variable-length integers."""

__all__ = ["read_varint", "varint"]

_LOW = 0x7F
_MORE = 0x80
_BITS = 7
_MOST_BITS = 5 * _BITS


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
