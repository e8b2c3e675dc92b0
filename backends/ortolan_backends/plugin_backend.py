"""What the families that come as a plugin have in common: how they are found, looked at and attached."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ortolan_backends.checks import check_session, check_wheel, failed, ok, skipped
from ortolan_backends.contract import Check, Device, Outcome, Probe
from ortolan_backends.errors import OpenRefused
from ortolan_backends.runtime.plugins import (
    Plugin,
    PluginFinding,
    devices_of,
    find_package,
    look_at_plugin,
    register,
)
from ortolan_backends.runtime.wheel import installed_wheels

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["attach_plugin", "check_package", "judge_plugin", "probe_plugin"]

Choose = Callable[[Sequence[Any]], Sequence[Any]]


def probe_plugin(
    name: str, plugin: Plugin, *, device_mend: str, before: Callable[[], Sequence[Check]] = tuple
) -> Probe:
    """Wheel, package, what `before` looks at, library, devices, and a tiny session of the backend `name`.

    `device_mend` says what brings a device. `before` is called once the package is known to be there.
    """
    checks = [check_wheel(), check_package(plugin)]
    if not _is_broken(checks):
        checks += before()
    if _is_broken(checks):
        checks += skipped(["library", "devices", "session"], "it cannot work before the above is mended")
        return Probe(tuple(checks))
    found = look_at_plugin(plugin)
    checks += judge_plugin(found, plugin, device_mend)
    if _is_broken(checks):
        checks += skipped(["session"], "it cannot open before the above is mended")
    else:
        checks.append(check_session(name, {}, f"see ONNX Runtime's message; {device_mend}"))
    return Probe(tuple(checks), tuple(Device(*device) for device in found.devices), _versions(plugin))


def attach_plugin(
    session_options: "onnxruntime.SessionOptions", plugin: Plugin, settings: Mapping[str, str], choose: Choose = list
) -> None:
    """Registers the plugin and puts those of its devices into the session that `choose` takes, with encoded options.

    Raises OpenRefused when there is none: ONNX Runtime would open the session without the provider.
    """
    register(plugin)
    offered = devices_of(plugin)
    if not offered:
        raise OpenRefused(f"{plugin.provider} is registered and offers no device here", stage="attach")
    chosen = list(choose(offered))
    if not chosen:
        listed = ", ".join(str(device.device.type).rpartition(".")[2] for device in offered)
        raise OpenRefused(f"{plugin.provider} has no such device here; it has {listed}", stage="attach")
    session_options.add_provider_for_devices(chosen, dict(settings))


def check_package(plugin: Plugin) -> Check:
    package = find_package(plugin)
    mend = f"pip install {plugin.distributions[0]}"
    if package is None:
        return failed("package", f"{' or '.join(plugin.distributions)} is not installed", mend)
    found = f"{package.name} {package.version}"
    if package.library is None:
        return failed(
            "package", f"{found} has no library {plugin.library} for this system", f"{mend} --force-reinstall"
        )
    return ok("package", found)


def judge_plugin(found: PluginFinding, plugin: Plugin, device_mend: str) -> tuple[Check, ...]:
    """The checks of library and devices."""
    if found.error:
        mend = f"install what it names, or another version: pip install --upgrade {plugin.distributions[0]}"
        finding = f"it cannot be registered: {found.error}"
        return failed("library", finding, mend), *skipped(["devices"], "its library is not registered")
    library = ok("library", f"it registers as {plugin.provider}")
    if not found.devices:
        return library, failed("devices", "it is registered and offers no device here", device_mend)
    return library, ok("devices", ", ".join(f"{number}: {name} ({kind})" for kind, number, name in found.devices))


def _is_broken(checks: Sequence[Check]) -> bool:
    return any(check.outcome is Outcome.FAILED for check in checks)


def _versions(plugin: Plugin) -> dict[str, str]:
    package = find_package(plugin)
    versions = {
        "onnxruntime": next(iter(installed_wheels().values()), ""),
        "plugin": package.version if package else "",
    }
    return {part: version for part, version in versions.items() if version}
