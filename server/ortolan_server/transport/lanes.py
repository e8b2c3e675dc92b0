"""Which lane inferences take: the fast one where it works, else the public one."""

import grpc
import structlog

__all__ = ["fast_lane_works"]

log = structlog.get_logger()


def fast_lane_works() -> bool:
    """Tries it, since it rests on names that grpcio does not promise. False, with a line in the log: it does not."""
    try:
        from ortolan_server.transport.lane.selftest import try_lane  # noqa: PLC0415 - a name it imports may be gone

        try_lane()
    except Exception as error:  # noqa: BLE001 - whatever a later grpcio does: the public lane serves
        log.warning("fast_lane_unusable", grpcio=grpc.__version__, reason=str(error), text="serving without it")
        return False
    return True
