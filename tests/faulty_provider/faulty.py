"""The faulty provider as tests have it: installed, with a command file of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from ortolan_backends.catalog import ENTRY_POINT_GROUP, Catalog
from ortolan_backends.contract import Backend
from tests.faulty_provider.commands import Commands

__all__ = ["PROVIDER", "Faulty"]

PROVIDER = "FaultyExecutionProvider"


@dataclass(frozen=True, slots=True)
class Faulty:
    """The backend `faulty`, in this process and in those with `environment`."""

    commands: Commands
    environment: Mapping[str, str]

    @property
    def rung(self) -> dict[str, object]:
        """Of a chain, as in a parsed `model.toml`."""
        return {"provider": "faulty", "command_file": str(self.commands.file)}

    @property
    def toml(self) -> str:
        """The same as text."""
        return f"[[chain]]\nprovider = \"faulty\"\ncommand_file = '{self.commands.file}'\n"

    @property
    def backend(self) -> Backend:
        return self.catalog().get("faulty")

    def catalog(self) -> Catalog:
        """It, `cpu`, which is our own with a quick probe, and one that tells how many sessions are open."""
        fakes = "tests.server.chains.fakes"
        published = {"faulty": "ortolan_backend_faulty:BACKEND", "cpu": f"{fakes}:cpu", "counting": f"{fakes}:counting"}
        return Catalog({name: EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in published.items()})
