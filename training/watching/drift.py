"""How far a distribution has moved: the population stability index (PSI), less its noise.

PSI = sum over bins of (now - then) * ln(now / then), where both are shares: what two samples of the
same world show on average, (bins - 1) * (1 / n + 1 / m), is taken off, so that few interactions do
not look like a change. By custom, 0.1 to 0.25 is a shift to look at, and more is a large one.
"""

from collections.abc import Mapping

import numpy as np

EMPTY = 0.5  # interactions that a bin without any is taken to have


def stability(then: Mapping[str, float], now: Mapping[str, float]) -> float:
    """The PSI of counts by bin; 0 where it is no more than noise."""
    bins = sorted(each for each in then.keys() | now.keys() if then.get(each) or now.get(each))
    then_B, now_B = (np.array([counts.get(each, 0) for each in bins]) for counts in (then, now))
    n, m = then_B.sum(), now_B.sum()
    if not n or not m:
        return 0.0
    noise = (len(bins) - 1) * (1 / n + 1 / m)
    then_B, now_B = (np.maximum(counts, EMPTY) for counts in (then_B, now_B))
    then_B, now_B = then_B / then_B.sum(), now_B / now_B.sum()
    index = float(((now_B - then_B) * np.log(now_B / then_B)).sum())
    return max(0.0, index - float(noise))
