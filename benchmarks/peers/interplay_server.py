"""Contestant: what answers Interplay's decisions, with the contest's model in place of ours.

It is our Batcher, our in_thread, gRPC's asyncio server on uvloop, and the garbage collector frozen
after start-up, put together as serving/ does. It is not the product: no features are read, no
history is encoded, no policy applied, nothing checked or recorded; the history is in the request.

Each process has a batcher, a session, cores of its own and as many threads of the model; they share
the port.

python -m benchmarks.peers.interplay_server PORT PROCESSES
"""

import asyncio
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import uvloop
from google.protobuf.wrappers_pb2 import BytesValue

from benchmarks.peers.ranking import MAX_BATCH, Ranking, packed, stacked
from serving.batching.batcher import Batcher, in_thread
from serving.processes.cores import own_cores
from serving.settings import ServingSettings

MAX_QUEUE = 1024


def main(port: str, processes: str, place: str = "0") -> None:
    """Serves until told to stop; in the first place it starts the other processes."""
    later = range(1, int(processes)) if place == "0" else ()
    others = [_start(port, processes, each) for each in later]
    settings = ServingSettings(processes=int(processes))
    threads, own = settings.model_threads, own_cores(settings)[int(place)]
    if own:
        os.sched_setaffinity(0, own)
    try:
        uvloop.run(serve(int(port), threads=threads))
    finally:
        for each in others:
            each.terminate()
            each.wait()


def _start(port: str, processes: str, place: int) -> "subprocess.Popen[bytes]":
    module = "benchmarks.peers.interplay_server"
    return subprocess.Popen([sys.executable, "-m", module, port, processes, str(place)])


async def serve(port: int, *, threads: int) -> None:
    """One process that answers."""
    ranking = Ranking(threads=threads)

    def run(histories: Sequence[bytes]) -> Sequence[bytes]:
        return packed(*ranking.rank(stacked(list(histories))))

    with ThreadPoolExecutor(1) as thread:
        batcher = Batcher(in_thread(thread, run), max_batch=MAX_BATCH, max_queue=MAX_QUEUE)

        async def rank(request: BytesValue, context: grpc.aio.ServicerContext) -> BytesValue:
            return BytesValue(value=await batcher.ask(request.value))

        server = grpc.aio.server(options=[("grpc.so_reuseport", 1)])
        method = grpc.unary_unary_rpc_method_handler(
            rank, BytesValue.FromString, BytesValue.SerializeToString
        )
        handler = grpc.method_handlers_generic_handler("contest.Ranking", {"Rank": method})
        server.add_generic_rpc_handlers((handler,))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        gc.collect()
        gc.freeze()
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()
        await server.stop(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
