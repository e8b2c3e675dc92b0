"""What is said to whoever wants to serve all the same."""

from ortolan_server.chains.ways_out import ways_out


def test_each_stage_has_its_own() -> None:
    contract, lock, numeric = ways_out({"contract": 2, "lock": 1, "numeric": 3, "probe": 4}, implied=True)
    assert contract.startswith('to serve rung 2 all the same, and say DEGRADED: otherwise = "degrade" under [require]')
    assert contract.endswith("or, as it has no [require], ortolan serve --allow-degraded")
    assert "ortolan lock" in lock
    assert "[numeric]" in numeric


def test_a_contract_that_is_written_has_one_way() -> None:
    (contract,) = ways_out({"contract": 1}, implied=False)
    assert "--allow-degraded" not in contract


def test_what_did_not_open_has_none() -> None:
    assert ways_out({"probe": 1, "open": 2}, implied=True) == []
