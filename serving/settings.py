"""The settings of the server."""

import os
from dataclasses import dataclass
from typing import Annotated

from features.settings import FeatureSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSettings(FeatureSettings):
    """What `python -m serving` can be told."""

    host: Annotated[str, "address to listen on; plaintext, so keep it private"] = "127.0.0.1"
    port: Annotated[int, "port to listen on; 0 picks a free one"] = 50051
    max_batch: Annotated[int, "calls answered together at most"] = 32
    max_queue: Annotated[int, "calls that may wait; one more is refused at once"] = 512
    threads: Annotated[int, "threads of one model run; 0 means one for each core"] = 0
    refresh_s: Annotated[float, "how often the registry is asked for a new champion"] = 5.0
    grace_s: Annotated[float, "how long calls in flight may take at shutdown"] = 10.0

    @property
    def model_threads(self) -> int:
        """How many threads one model run uses."""
        return self.threads or os.cpu_count() or 1
