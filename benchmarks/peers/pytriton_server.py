"""Contestant: PyTriton, NVIDIA's Triton with a Python function bound to it, open inference gRPC.

Settings: Triton's dynamic batcher up to 32, which waits for nobody; metrics off.

python -m benchmarks.peers.pytriton_server PORT
"""

import sys

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from benchmarks.peers.ranking import LENGTH, MAX_BATCH, TOP, Ranking


def main(port: str) -> None:
    """Serves until told to stop."""
    ranking, first = Ranking(threads=2), int(port)

    @batch
    def rank(**inputs: np.ndarray) -> list[np.ndarray]:
        return list(ranking.rank(inputs["ids_BL"]))

    config = TritonConfig(
        grpc_port=first, http_port=first + 1, metrics_port=first + 2, allow_metrics=False
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="ranking",
            infer_func=rank,
            inputs=[Tensor(name="ids_BL", dtype=np.int64, shape=(LENGTH,))],
            outputs=[
                Tensor(name="item_BK", dtype=np.int64, shape=(TOP,)),
                Tensor(name="score_BK", dtype=np.float32, shape=(TOP,)),
            ],
            config=ModelConfig(max_batch_size=MAX_BATCH, batcher=DynamicBatcher()),
        )
        triton.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
