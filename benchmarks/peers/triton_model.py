"""What Triton's Python backend runs: it hands over a batch as a list of requests."""

from typing import Any

import numpy as np
import triton_python_backend_utils as triton

from benchmarks.peers.ranking import Ranking


class TritonPythonModel:
    """Triton's extension point."""

    def initialize(self, args: dict[str, str]) -> None:
        self.ranking = Ranking(threads=2)

    def execute(self, requests: list[Any]) -> list[Any]:
        inputs = [triton.get_input_tensor_by_name(each, "ids_BL").as_numpy() for each in requests]
        item_BK, score_BK = self.ranking.rank(np.concatenate(inputs))
        return [
            triton.InferenceResponse(
                [
                    triton.Tensor("item_BK", item_BK[row : row + 1]),
                    triton.Tensor("score_BK", score_BK[row : row + 1]),
                ]
            )
            for row in range(len(requests))
        ]
