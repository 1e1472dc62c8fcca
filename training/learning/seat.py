"""Where a worker sits among the workers, and what they tell one another."""

from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True)
class Seat:
    """This worker's place."""

    rank: int
    workers: int
    device: torch.device

    def total(self, counts: Tensor) -> Tensor:
        """The sum over all workers."""
        counts = counts.to(self.device)
        if self.workers > 1:
            distributed.all_reduce(counts)
        return counts

    def gathered(self, mine: Tensor) -> Tensor:
        """The rows of all workers, in their order; each may have another number of them."""
        if self.workers == 1:
            return mine
        sizes = mine.new_zeros(self.workers, dtype=torch.int64)
        sizes[self.rank] = len(mine)
        distributed.all_reduce(sizes)
        padded = mine.new_zeros((int(sizes.max()), *mine.shape[1:]))
        padded[: len(mine)] = mine
        theirs = [torch.empty_like(padded) for _ in range(self.workers)]
        distributed.all_gather(theirs, padded)
        return torch.cat([each[:size] for each, size in zip(theirs, sizes.tolist(), strict=True)])
