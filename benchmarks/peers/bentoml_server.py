"""Contestant: BentoML, over HTTP with JSON; its gRPC server takes no services of today's kind.

Settings: adaptive batching of up to 32; one worker, because each worker batches on its own; access
log and metrics off.

python -m benchmarks.peers.bentoml_server PORT
"""

import os
import sys

import bentoml
import numpy as np

from benchmarks.peers.ranking import MAX_BATCH, Ranking

NAME = "benchmarks.peers.bentoml_server:RankingService"


@bentoml.service(
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class RankingService:
    """BentoML's extension point."""

    def __init__(self) -> None:
        self.ranking = Ranking(threads=1)

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=1000)
    def rank(self, ids: np.ndarray) -> np.ndarray:
        """Items, then scores: one row for each customer."""
        item_BK, score_BK = self.ranking.rank(ids.astype(np.int64))
        return np.concatenate([item_BK, score_BK], axis=1, dtype=np.float64)


def main(port: str) -> None:
    """Becomes BentoML's own program, which serves until told to stop."""
    os.execlp("bentoml", "bentoml", "serve", NAME, "--host", "127.0.0.1", "--port", port)


if __name__ == "__main__":
    main(*sys.argv[1:])
