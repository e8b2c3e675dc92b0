"""What backends whose providers cache have in common."""

from collections.abc import Iterable
from typing import TypeVar

from ortolan_backends.contract import Device, NotCached
from ortolan_backends.options import ProviderOptions

__all__ = ["device_by_number", "placed_by_its_options", "with_options"]

Options = TypeVar("Options", bound=ProviderOptions)


def with_options(options: Options, **changes: object) -> Options:
    """A copy with some options set, validated anew; those that were not set stay so."""
    was_set = {name: getattr(options, name) for name in options.model_fields_set}
    return type(options).model_validate(was_set | changes)


def placed_by_its_options(options: ProviderOptions, names: Iterable[str]) -> NotCached | None:
    """Whether one of the options `names` is set, each of which places or needs a cache of its own."""
    found = next((name for name in names if getattr(options, name)), "")
    return NotCached(f"{found} is set among its options", by_choice=True) if found else None


def device_by_number(devices: tuple[Device, ...], number: int) -> tuple[Device, ...]:
    """The one with that number; all of them where the probe does not number them so."""
    return tuple(device for device in devices if device.id == str(number)) or devices
