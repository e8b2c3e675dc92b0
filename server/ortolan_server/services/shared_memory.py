"""The shared memory calls: which regions are there, register one, forget one."""

from ortolan.inference import inference_pb2 as pb
from ortolan_server.errors import NotAllowed, NotSupported
from ortolan_server.settings import SHARED_MEMORY_OFF
from ortolan_server.shared_memory import Regions

__all__ = ["SharedMemoryService"]

_NO_CUDA = (
    "CUDA shared memory is not implemented in this server; system shared memory is (ortolan serve --shared-memory)"
)


class SharedMemoryService:
    """Request message in, response message out, or a domain error."""

    def __init__(self, regions: Regions | None) -> None:
        """None: shared memory is switched off."""
        self._known = regions

    @property
    def _regions(self) -> Regions:
        if self._known is None:
            raise NotAllowed(SHARED_MEMORY_OFF)
        return self._known

    def status(self, request: pb.SystemSharedMemoryStatusRequest) -> pb.SystemSharedMemoryStatusResponse:
        """Of the region named, of all when none is. Raises RegionNotFound, NotAllowed."""
        regions = self._regions
        found = [regions.find(request.name)] if request.name else regions.all.values()
        status = pb.SystemSharedMemoryStatusResponse.RegionStatus
        return pb.SystemSharedMemoryStatusResponse(
            regions={
                region.name: status(name=region.name, key=region.key, offset=region.offset, byte_size=region.byte_size)
                for region in found
            }
        )

    def register(self, request: pb.SystemSharedMemoryRegisterRequest) -> pb.SystemSharedMemoryRegisterResponse:
        """Raises as `Regions.register()`, and NotAllowed."""
        self._regions.register(request.name, request.key, request.offset, request.byte_size)
        return pb.SystemSharedMemoryRegisterResponse()

    def unregister(self, request: pb.SystemSharedMemoryUnregisterRequest) -> pb.SystemSharedMemoryUnregisterResponse:
        """All regions when none is named; one that is not there is fine, as in Triton. Raises NotAllowed."""
        if request.name:
            self._regions.unregister(request.name)
        else:
            self._regions.unregister_all()
        return pb.SystemSharedMemoryUnregisterResponse()

    def cuda_status(self, _request: pb.CudaSharedMemoryStatusRequest) -> pb.CudaSharedMemoryStatusResponse:
        raise NotSupported(_NO_CUDA)

    def cuda_register(self, _request: pb.CudaSharedMemoryRegisterRequest) -> pb.CudaSharedMemoryRegisterResponse:
        raise NotSupported(_NO_CUDA)

    def cuda_unregister(self, _request: pb.CudaSharedMemoryUnregisterRequest) -> pb.CudaSharedMemoryUnregisterResponse:
        """Fine: there is none. Triton's clients begin with it, whatever memory they use."""
        return pb.CudaSharedMemoryUnregisterResponse()
