"""Rate: how often something may happen, as a bucket of tokens that is one number."""


class Bucket:
    """So many a second, and so many at once after a rest. Costs a part of a microsecond.

    What it keeps is when it will be full again: the generic cell rate algorithm of ATM networks.
    """

    __slots__ = ("_full_at_s", "_room_s", "_step_s", "burst", "per_s")

    def __init__(self, per_s: float, burst: int) -> None:
        """Is full."""
        self.per_s, self.burst = per_s, burst
        self._step_s = 1 / per_s
        self._room_s = (burst - 1) / per_s
        self._full_at_s = 0.0

    def take(self, now_s: float) -> float:
        """Takes one and gives 0; where there is none, in how many seconds there will be."""
        full_at_s = self._full_at_s
        if full_at_s < now_s:
            full_at_s = now_s
        wait_s = full_at_s - now_s - self._room_s
        if wait_s > 0:
            return wait_s
        self._full_at_s = full_at_s + self._step_s
        return 0.0

    def reserve(self, now_s: float) -> float:
        """Takes one that there may only be in so many seconds, to be waited for."""
        full_at_s = max(self._full_at_s, now_s)
        self._full_at_s = full_at_s + self._step_s
        return max(0.0, full_at_s - now_s - self._room_s)
