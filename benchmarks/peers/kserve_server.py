"""Contestant: KServe's Python model server, called by open inference gRPC.

It batches only in a Go side-car on Kubernetes, not in this server: each call is a run of its own.
The run is left to one of two threads, so that the event loop goes on; that answered more than
runs in the event loop did. With several workers only its HTTP server is multiplied.

python -m benchmarks.peers.kserve_server PORT
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kserve
from kserve import InferOutput, InferRequest, InferResponse

from benchmarks.peers.ranking import Ranking


class RankingModel(kserve.Model):
    """KServe's extension point."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        super().__init__("ranking")
        self.ranking, self.threads = Ranking(threads=1), threads
        self.ready = True

    async def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        """One customer's answer."""
        loop, ids_BL = asyncio.get_running_loop(), payload.inputs[0].as_numpy()
        answer = await loop.run_in_executor(self.threads, self.ranking.rank, ids_BL)
        outputs = []
        for name, kind, array in zip(
            ("item_BK", "score_BK"), ("INT64", "FP32"), answer, strict=True
        ):
            output = InferOutput(name, list(array.shape), kind)
            output.set_data_from_numpy(array)
            outputs.append(output)
        return InferResponse(payload.id, self.name, outputs)


def main(port: str) -> None:
    """Serves until told to stop."""
    ports = {"grpc_port": int(port), "http_port": int(port) + 1}
    with ThreadPoolExecutor(2) as threads:
        server = kserve.ModelServer(**ports, enable_latency_logging=False)
        server.start([RankingModel(threads)])


if __name__ == "__main__":
    port = sys.argv.pop()  # KServe reads the command line, too
    main(port)
