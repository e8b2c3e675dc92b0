"""What the load generators print, and what makes a run void."""

import json
from pathlib import Path

import pytest

from benchmarks.load import Body, FlowPlan, H2load, LoadFailed, parse_h2load, parse_report

FLOW = {
    "name": "tiny-1",
    "started": 2100,
    "finished": 2100,
    "measured": 2000,
    "per_second": 1000.5,
    "p50_us": 900.0,
    "p90_us": 1100.0,
    "p99_us": 2000.0,
    "most_us": 3000.0,
    "failures": {},
}

H2LOAD = """\
starting benchmark...
finished in 1.74s, 22966.91 req/s, 3.00MB/s
requests: 40000 total, 40000 started, 40000 done, 40000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 40000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 5.22MB (5473588) total, 117.48KB (120300) headers (space savings 96.29%), 4.01MB (4200000) data
                     min         max         mean         sd        +/- sd
time for request:      141us     18.71ms      2.66ms      1.97ms    76.65%
"""


def report(**changes: object) -> str:
    return json.dumps({"cpu_s": 0.5, "wall_s": 2.0, "flows": [{**FLOW, **changes}]})


def test_a_report_is_read() -> None:
    seen = parse_report(report())
    assert (seen.cpu_s, seen.wall_s) == (0.5, 2.0)
    (flow,) = seen.flows
    assert (flow.finished, flow.per_second, flow.p99_us) == (2100, 1000.5, 2000.0)
    assert seen.why_void() is None


def test_one_failure_voids() -> None:
    assert parse_report(report(failures={"grpc-status 8 too many": 1})).why_void() == "1 × grpc-status 8 too many"


def test_one_answer_is_no_rate() -> None:
    why = parse_report(report(measured=1)).why_void()
    assert why
    assert why.startswith("1 answers")


def test_a_failure_of_any_flow_voids() -> None:
    flows = [FLOW, {**FLOW, "failures": {"no answer": 3}}]
    seen = parse_report(json.dumps({"cpu_s": 0.5, "wall_s": 2.0, "flows": flows}))
    assert seen.why_void() == "3 × no answer"


def test_h2load_is_read() -> None:
    seen = parse_h2load(H2LOAD)
    assert seen == H2load(per_second=22966.91, succeeded=40000, data_bytes=4_200_000)
    assert seen.why_void(40000, answer_bytes=100) is None


def test_an_answer_without_its_message_voids_h2loads_run() -> None:
    seen = H2load(per_second=1.0, succeeded=40000, data_bytes=4_200_000 - 105)
    why = seen.why_void(40000, answer_bytes=100)
    assert why
    assert "some calls failed" in why


def test_another_http_status_voids_h2loads_run() -> None:
    seen = H2load(per_second=1.0, succeeded=39999, data_bytes=4_200_000)
    assert seen.why_void(40000, answer_bytes=100) == "1 of 40000 calls without HTTP status 200"


def test_what_is_not_h2loads_output_is_refused() -> None:
    with pytest.raises(LoadFailed, match="connection refused"):
        parse_h2load("connection refused")


def test_the_words_of_a_flow() -> None:
    body = Body(Path("a.bin"), 74)
    unary = FlowPlan("tiny", [body, body], connections=4, in_flight=16).words()
    assert unary[-6:] == ["--body", "a.bin", "74", "--body", "a.bin", "74"]
    assert "--rate" not in unary
    assert "--stream" not in unary
    stream = FlowPlan("tiny", [body], stream=True, rate_per_s=12.5).words()
    assert stream[stream.index("--rate") + 1] == "12.500"
    assert "--stream" in stream
    assert stream[stream.index("--path") + 1].endswith("/ModelStreamInfer")
