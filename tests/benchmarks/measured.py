"""Results made by hand."""

from collections.abc import Mapping, Sequence

from benchmarks.results import Cell, Results

Figures = Sequence[float]


def results(key: str, cases: Mapping[str, Mapping[str, Figures]]) -> Results:
    """By case and server the figure `key` of each round."""
    made = Results(
        machine={"cpu": "a cpu", "system": "a system", "python": "3.11"},
        settings={"rounds": 3, "seconds": 1, "server_cores": [0], "load_cores": [1]},
    )
    for case, servers in cases.items():
        made.cells[case] = {server: Cell([{key: value} for value in values]) for server, values in servers.items()}
    return made
