"""What every worker must know before it learns: shape of the model, data split, items, settings."""

from dataclasses import dataclass

import numpy as np
import torch

from features.encoding import ItemIndex
from features.vocabulary import Vocabulary
from training.data.items import KnownItems
from training.data.questions import TICKS_PER_DAY, type_index
from training.data.split import Split
from training.data.steps import Followers
from training.learning.start import Start
from training.model.model import Model, ModelConfig
from training.settings import TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One training run."""

    settings: TrainingSettings
    split: Split
    known: KnownItems
    types: np.ndarray  # questions.type_index
    type_count: int
    position_count: int  # about so many questions of the history in each epoch
    followers: Followers
    start: Start | None = None  # None: from nothing

    @property
    def items(self) -> ItemIndex:
        """The items that the model will know."""
        return self.known.index

    @property
    def learnt_count(self) -> int:
        """About so many answers in each epoch, those learnt without a profile as well."""
        return round(self.position_count * (1 + self.settings.without_profile))

    @property
    def horizon_ticks(self) -> int:
        """How long nothing must happen to be silence."""
        return int(self.settings.horizon_days * TICKS_PER_DAY)


def make_plan(
    settings: TrainingSettings,
    split: Split,
    known: KnownItems,
    vocabulary: Vocabulary,
    followers: Followers,
    position_count: int,
    start: Start | None = None,
) -> Plan:
    """The plan of a run."""
    return Plan(
        settings=settings,
        split=split,
        known=known,
        types=type_index(vocabulary),
        type_count=len(vocabulary.predicted),
        position_count=position_count,
        followers=followers,
        start=start,
    )


def new_model(plan: Plan) -> Model:
    """The model that a run begins with, the same for the same seed."""
    torch.manual_seed(plan.settings.seed)
    config = ModelConfig(
        item_count=len(plan.items.item_ids),
        type_count=plan.type_count,
        content_buckets=plan.known.buckets,
        width=plan.settings.width,
        heads=plan.settings.heads,
        blocks=plan.settings.blocks,
        max_length=plan.settings.max_length,
        reach=plan.settings.reach,
        dropout=plan.settings.dropout,
        as_new=plan.settings.as_new,
    )
    model = Model(config, torch.from_numpy(plan.known.content_VW), plan.followers)
    if plan.start:
        plan.start.fill(model)
    return model
