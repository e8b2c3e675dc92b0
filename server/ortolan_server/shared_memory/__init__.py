"""Memory that callers on the same machine share with the server."""

from ortolan_server.shared_memory.objects import require_shared_memory
from ortolan_server.shared_memory.regions import Place, Region, Regions, Span

__all__ = ["Place", "Region", "Regions", "Span", "require_shared_memory"]
