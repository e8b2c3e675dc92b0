"""`max_batch_size` and `dynamic_batching`: how inferences that wait are joined, and how many may wait."""

from ortolan.inference import model_config_pb2 as pb
from ortolan_server.repository.triton.notes import Ledger

__all__ = ["read_batching"]

_KEY = "dynamic_batching"
_POLICY = f"{_KEY}.default_queue_policy"


def read_batching(config: pb.ModelConfig, ledger: Ledger) -> tuple[dict[str, object] | None, dict[str, object]]:
    """`[batching]`, if inferences shall be joined, and keys of `[limits]`."""
    most = config.max_batch_size
    if most < 0:
        ledger.refuse("max_batch_size", f"must be at least 0, not {most}")
        return None, {}
    if not config.HasField("dynamic_batching"):
        if most:
            ledger.translated(
                "max_batch_size",
                most,
                "shapes have a first dimension for the batch; inferences are not joined, and one with more rows is "
                "not refused",
            )
        return None, {}
    limits = _limits(config.dynamic_batching, ledger)
    if not most:
        ledger.not_honoured(_KEY, "", "max_batch_size is 0: there is no first dimension to join inferences along")
        return None, limits
    return _batching(most, config.dynamic_batching, ledger), limits


def _batching(most: int, dynamic: pb.ModelDynamicBatching, ledger: Ledger) -> dict[str, object]:
    ledger.translated("max_batch_size", most, f"batching.max_size = {most}; an inference with more rows runs alone")
    batching: dict[str, object] = {"max_size": most}
    if dynamic.preferred_batch_size:
        sizes = list(dynamic.preferred_batch_size)
        batching["preferred_sizes"] = sizes
        ledger.honoured(f"{_KEY}.preferred_batch_size", sizes, f"batching.preferred_sizes = {sizes}")
    if delay_us := dynamic.max_queue_delay_microseconds:
        batching["max_delay_ms"] = delay_us / 1000
        ledger.honoured(
            f"{_KEY}.max_queue_delay_microseconds", delay_us, f"batching.max_delay_ms = {delay_us / 1000:g}"
        )
    if not dynamic.ListFields():
        ledger.honoured(_KEY, "{}", "[batching]")
    return batching


def _limits(dynamic: pb.ModelDynamicBatching, ledger: Ledger) -> dict[str, object]:
    """Of the policies for queues only the bound has a counterpart."""
    policy = dynamic.default_queue_policy
    if policy.default_timeout_microseconds:
        ledger.not_honoured(
            f"{_POLICY}.default_timeout_microseconds",
            policy.default_timeout_microseconds,
            "only the request itself says how long it may wait, by its deadline or its parameter timeout",
        )
    if policy.allow_timeout_override:
        ledger.not_honoured(f"{_POLICY}.allow_timeout_override", True, "a request may always say how long it may wait")
    if not policy.max_queue_size:
        return {}
    ledger.honoured(f"{_POLICY}.max_queue_size", policy.max_queue_size, f"limits.queue = {policy.max_queue_size}")
    return {"queue": policy.max_queue_size}
