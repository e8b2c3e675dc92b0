"""Where the time of a call goes inside our server, by its own ModelStatistics."""

from dataclasses import dataclass
from typing import Self

import grpc

from benchmarks.results import Round
from ortolan.inference import inference_pb2 as pb
from ortolan.inference import inference_pb2_grpc

__all__ = ["StageSums"]


@dataclass(frozen=True)
class StageSums:
    """Of all calls since the model was loaded. Nothing counts twice: a run of 16 calls is one run."""

    calls: int
    runs: int
    read_ns: int
    """Reading and checking requests, joining them and splitting the results."""
    run_ns: int
    write_ns: int
    wait_ns: int
    """In the queue: no work, and calls wait at the same time."""

    @classmethod
    def ask(cls, port: int, model: str) -> Self:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
            (seen,) = stub.ModelStatistics(pb.ModelStatisticsRequest(name=model)).model_stats
        return cls.of(seen)

    @classmethod
    def of(cls, seen: pb.ModelStatistics) -> Self:
        return cls(
            calls=seen.inference_stats.success.count,
            runs=seen.execution_count,
            read_ns=sum(size.compute_input.ns for size in seen.batch_stats),
            run_ns=sum(size.compute_infer.ns for size in seen.batch_stats),
            write_ns=sum(size.compute_output.ns for size in seen.batch_stats),
            wait_ns=seen.inference_stats.queue.ns,
        )

    def since(self, before: Self) -> Round:
        """For one call, of those since `before`; nothing if there were none."""
        calls, runs = self.calls - before.calls, self.runs - before.runs
        if not (calls and runs):
            return {}
        return {
            "calls_per_run": calls / runs,
            "read_us": (self.read_ns - before.read_ns) / calls / 1e3,
            "run_us": (self.run_ns - before.run_ns) / calls / 1e3,
            "write_us": (self.write_ns - before.write_ns) / calls / 1e3,
            "wait_us": (self.wait_ns - before.wait_ns) / calls / 1e3,
        }
