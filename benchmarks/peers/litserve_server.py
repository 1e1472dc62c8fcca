"""Contestant: LitServe, over HTTP with JSON, which is what it speaks.

Settings: batches of up to 32, waited for 5 ms at most; its fast queue (ZeroMQ); one API process
and one model process for the two cores.

python -m benchmarks.peers.litserve_server PORT
"""

import sys
from typing import Any

import litserve
import numpy as np

from benchmarks.peers.ranking import MAX_BATCH, Ranking

BATCH_TIMEOUT_S = 0.005


class RankingApi(litserve.LitAPI):
    """LitServe's extension point."""

    def setup(self, device: str) -> None:
        """In the model's process."""
        self.ranking = Ranking(threads=1)

    def decode_request(self, request: dict[str, Any]) -> list[int]:
        """The history of one call."""
        ids: list[int] = request["ids"]
        return ids

    def batch(self, inputs: list[list[int]]) -> np.ndarray:
        """Histories as the model reads them."""
        return np.array(inputs, np.int64)

    def predict(self, ids_BL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Answers of a batch."""
        return self.ranking.rank(ids_BL)

    def unbatch(self, output: tuple[np.ndarray, np.ndarray]) -> list[tuple[Any, Any]]:
        """Items and scores of each call."""
        item_BK, score_BK = output
        return list(zip(item_BK.tolist(), score_BK.tolist(), strict=True))

    def encode_response(self, output: tuple[Any, Any]) -> list[Any]:
        """As JSON has it."""
        return list(output)


def main(port: str) -> None:
    """Serves until told to stop."""
    api = RankingApi(max_batch_size=MAX_BATCH, batch_timeout=BATCH_TIMEOUT_S)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(port),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
