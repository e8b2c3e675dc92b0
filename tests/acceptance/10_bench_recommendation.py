"""`ortolan bench` on two real models, CPU and OpenVINO: its recommendation is the rule of docs/bench.md.

The rule stands here a second time, point by point as the page has it, and reads nothing but the JSON.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from environments import wheel_environment  # noqa: E402

MODELS = {"magika": "bytes", "ppocr_cls": "x"}  # and their input
CHAINS = ("cpu", "openvino", "openvino,cpu", "cuda,cpu")

Row = dict[str, Any]


def bench(python: Path, model: str) -> dict[str, Any]:
    chains = [word for chain in CHAINS for word in ("--chain", chain)]
    name = MODELS[model]
    inputs = ["--input", f"{name}={ROOT / 'examples' / 'inputs' / model / name}.npy"]
    command = [str(python.with_name("ortolan")), "bench", str(ROOT / "examples" / "models" / model)]
    timing = ["--batch", "1,8", "--rounds", "3", "--seconds", "0.3", "--json"]
    done = subprocess.run([*command, *chains, *inputs, *timing], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"ortolan bench {model} ended with status {done.returncode}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def best(row: Row) -> dict[str, Any]:
    return max(row["batches"], key=lambda figures: float(figures["rows_per_s"]))


def single(row: Row) -> dict[str, Any]:
    return min(row["batches"], key=lambda figures: int(figures["batch_size"]))


def failed_points(row: Row, cpu: Row, *, draws: bool) -> set[int]:
    """Which of the points 1 to 5 a row fails."""
    if row["state"] != "MEASURED":
        return {1}
    failed = set()
    same_silicon = row["hardware"] == "cpu"
    if row["verdict"] != "KEPT":
        failed.add(1)
    if not draws and not all(difference["within_tolerance"] for difference in row["differences"]):
        failed.add(2)
    if best(row)["rows_per_s"] < (1.2 if same_silicon else 2) * best(cpu)["rows_per_s"]:
        failed.add(3)
    if best(row)["rows_per_s_low"] <= best(cpu)["rows_per_s_high"]:
        failed.add(3)
    if single(row)["p99_s"] > 1.5 * single(cpu)["p99_s"] and single(row)["p99_s"] > 0.005:
        failed.add(4)
    if same_silicon and best(row)["cpu_s_per_row"] > 1.1 * best(cpu)["cpu_s_per_row"]:
        failed.add(5)
    return failed


def recommended(rows: list[Row], cpu: Row, failed: dict[str, set[int]]) -> Row:
    """Point 6."""
    qualified = [row for row in rows if name_of(row) in failed and not failed[name_of(row)]]
    if not qualified:
        return cpu
    highest = max(best(row)["rows_per_s"] for row in qualified)
    near = [row for row in qualified if best(row)["rows_per_s"] >= 0.9 * highest]
    on_cpu = [row for row in near if row["hardware"] == "cpu"] or near
    known = [row for row in on_cpu if row["peak_memory_bytes"] is not None]
    return min(known, key=lambda row: int(row["peak_memory_bytes"])) if known else on_cpu[0]


def quickest(rows: list[Row], cpu: Row, failed: dict[str, set[int]], chosen: Row) -> list[str]:
    """Point 7."""
    sound = [row for row in rows if row["state"] == "MEASURED" and not failed.get(name_of(row), {1}) & {1, 2}]
    quick = [row for row in sound if all(single(row)[key] <= single(cpu)[key] / 2 for key in ("p50_s", "p99_s"))]
    row = min(quick, key=lambda row: float(single(row)["p50_s"]), default=chosen)
    return [] if row is chosen else list(row["chain"])


def number_of_findings(row: Row, points: set[int]) -> int:
    """One for each point; for the second one for each output."""
    apart = sum(not difference["within_tolerance"] for difference in row["differences"]) if 2 in points else 0
    return len(points - {2}) + apart


def name_of(row: Row) -> str:
    return ",".join(row["chain"])


def faults_of(report: dict[str, Any]) -> tuple[Row, list[str]]:
    """The chain that the written rule recommends, and where the report says otherwise."""
    rows = report["rows"]
    cpu = next(row for row in rows if row["chain"] == ["cpu"])
    draws = bool(report["plan"]["random_operators"])
    failed = {name_of(row): failed_points(row, cpu, draws=draws) for row in rows if row is not cpu}
    chosen = recommended(rows, cpu, failed)
    said = report["recommendation"]
    faults = [] if said["chain"] == chosen["chain"] else [f"it recommends {said['chain']}, the rule {chosen['chain']}"]
    latency = quickest(rows, cpu, failed, chosen)
    faults += [] if said["latency_chain"] == latency else [f"for latency {said['latency_chain']}, the rule {latency}"]
    if said["findings"].keys() != failed.keys():
        faults.append(f"findings for {sorted(said['findings'])}, the rows are {sorted(failed)}")
    by_name = {name_of(row): row for row in rows}
    faults += [
        f"{name} fails the points {sorted(points)}, and the findings are {said['findings'].get(name)}"
        for name, points in failed.items()
        if len(said["findings"].get(name, ())) != number_of_findings(by_name[name], points)
    ]
    measured = [name_of(row) for row in rows if row["state"] == "MEASURED"]
    faults += [f"{name} was not measured" for name in CHAINS[:3] if name not in measured]
    return chosen, faults


def show(report: dict[str, Any]) -> None:
    for row in report["rows"]:
        print(f"  {name_of(row)}: {row['state']} {row['reason']}")
        for figures in row["batches"]:
            print(
                f"    batch {figures['batch_size']}: {figures['rows_per_s']:,.0f} rows/s "
                f"({figures['rows_per_s_low']:,.0f} to {figures['rows_per_s_high']:,.0f}), "
                f"p50 {figures['p50_s'] * 1e3:.2f} ms, p99 {figures['p99_s'] * 1e3:.2f} ms, "
                f"{figures['cpu_s_per_row'] * 1e3:.2f} ms of processor time a row"
            )
    print(f"  {report['recommendation']['sentence']}")


def main() -> int:
    python = wheel_environment("openvino")
    told, right = [], 0
    for model in MODELS:
        report = bench(python, model)
        print(model)
        show(report)
        chosen, faults = faults_of(report)
        for fault in faults:
            print(f"  BAD {fault}")
        right += not faults
        cpu = next(row for row in report["rows"] if row["chain"] == ["cpu"])
        gain = best(chosen)["rows_per_s"] / best(cpu)["rows_per_s"]
        told.append(f"{model} → {name_of(chosen)}" + ("" if chosen is cpu else f" ({gain:.1f}x rows/s)"))
    print(f"{right} of {len(MODELS)} recommendations equal the written rule: {', '.join(told)}")
    return 0 if right == len(MODELS) else 1


if __name__ == "__main__":
    sys.exit(main())
