"""Contestant: Ray Serve, called through its gRPC ingress, with serve.batch.

Settings: batches of up to 32, not waited for; as many calls under way as make several batches;
one replica; no dashboard. In contestants.py its documented throughput options: HAProxy in place of
the Python proxy, user code in the replica's own loop, buffered logs.

python -m benchmarks.peers.ray_server PORT
"""

import signal
import sys
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import BytesValue
from ray import init, serve
from ray.serve.config import HTTPOptions, gRPCOptions

from benchmarks.peers.ranking import MAX_BATCH, Ranking, packed, stacked

SERVICER = "benchmarks.peers.ray_server.add_ranking"


def add_ranking(servicer: Any, server: grpc.Server) -> None:
    """What protoc would generate; Ray puts its proxy in the servicer's place."""
    method = grpc.unary_unary_rpc_method_handler(
        servicer.Rank, BytesValue.FromString, BytesValue.SerializeToString
    )
    handler = grpc.method_handlers_generic_handler("contest.Ranking", {"Rank": method})
    server.add_generic_rpc_handlers((handler,))


@serve.deployment(max_ongoing_requests=4 * MAX_BATCH)
class Ranker:
    """Ray Serve's extension point."""

    def __init__(self) -> None:
        self.ranking = Ranking(threads=1)

    async def Rank(self, request: BytesValue) -> BytesValue:  # noqa: N802  as the method is called
        """One customer's answer."""
        return BytesValue(value=await self.rank_all(request.value))

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=0.0)
    async def rank_all(self, histories: Any) -> Any:
        """A batch: Ray Serve collects the histories, and hands out the answers."""
        return packed(*self.ranking.rank(stacked(histories)))


def main(port: str) -> None:
    """Serves until told to stop."""
    init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(
        http_options=HTTPOptions(port=int(port) + 1),
        grpc_options=gRPCOptions(port=int(port), grpc_servicer_functions=[SERVICER]),
    )
    serve.run(Ranker.bind())  # type: ignore[attr-defined]  # made by the decorator
    signal.sigwait([signal.SIGTERM])
    serve.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
