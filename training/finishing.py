"""What is done to a trained model before it is exported: it is put right by what it did not learn.

Both by the validation questions: see learning.calibrating and learning.unseen.
"""

from collections.abc import Iterator

from training.data.windows import Batch
from training.export.ranker import Ranker
from training.learning.calibrating import calibrate
from training.learning.stream import Stream
from training.learning.unseen import settle
from training.model.model import Model
from training.preparing import Prepared


def finish(model: Model, run: Prepared) -> tuple[Ranker, dict[str, float]]:
    """Changes the model; gives what is to be exported, and metrics of what was done."""
    calibration = calibrate(model, _validation(run))
    bias = settle(model, run.counts.popularity_V, _validation(run))
    metrics = calibration.metrics if calibration else {}
    if bias is not None:
        metrics["cold_bias"] = bias
    return Ranker(model, precision=run.settings.item_precision, cold_bias=bias), metrics


def _validation(run: Prepared) -> Iterator[Batch]:
    """All of it, as an only worker would be asked."""
    return Stream(run.plan, run.dataset.get_internal_block_refs(), 0, 1).validation()
