"""What makes intents as likely as they are said to be: a temperature, and a bias for each type.

Both are fitted on the validation questions, from which no step has learnt, and folded into the
intent head: bias-corrected temperature scaling, Alexandari et al. 2020, arxiv.org/abs/1901.06852.

B customers  Q asked positions  N questions  U types and silence
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from training.data.windows import Batch
from training.learning.learner import tensors_of
from training.model.model import Model

LEAST = 200  # questions: fewer say too little
PRIOR = 10.0  # a bias counts as if so many questions had spoken for 0
STEPS = 50


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the intents of a model were changed by, and what it was worth."""

    temperature: float
    loss_before: float  # log-loss of the validation questions
    loss_after: float

    @property
    def metrics(self) -> dict[str, float]:
        """As MLflow takes it."""
        return {
            "intent_temperature": self.temperature,
            "intent_loss_uncalibrated": self.loss_before,
            "intent_loss_calibrated": self.loss_after,
        }


def calibrate(model: Model, validation: Iterable[Batch]) -> Calibration | None:
    """Changes the intent head of a trained model; None where there is too little to go by."""
    logit_NU, right_N = _asked(model.eval(), validation)
    if len(right_N) < LEAST:
        return None
    scale, bias_U = _fitted(logit_NU, right_N)
    before, after = (
        float(F.cross_entropy(each, right_N)) for each in (logit_NU, logit_NU * scale + bias_U)
    )
    with torch.no_grad():
        model.intent.weight.mul_(scale)
        model.intent.bias.mul_(scale).add_(bias_U)
    return Calibration(1 / float(scale), before, after)


@torch.no_grad()
def _asked(model: Model, validation: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """What the model says, and what came."""
    device = model.intent.weight.device
    item_RD, logits, rights = model.items(), [], []
    for batch in validation:
        tokens_BLF, context_BLC, type_BL, _ = tensors_of(batch, device)
        known_BL = type_BL >= 0
        state_BQD = model(tokens_BLF, context_BLC, item_RD).state_BQD
        logits.append(model.intent(state_BQD[known_BL]))
        rights.append(type_BL[known_BL])
    if not logits:
        return model.intent.bias.new_zeros(0, len(model.intent.bias)), torch.zeros(0).long()
    return torch.cat(logits), torch.cat(rights)


def _fitted(logit_NU: Tensor, right_N: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and biases of the least log-loss."""
    log_scale = torch.zeros((), device=logit_NU.device, requires_grad=True)
    bias_U = torch.zeros_like(logit_NU[0], requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_scale, bias_U], max_iter=STEPS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        fit = F.cross_entropy(logit_NU * log_scale.exp() + bias_U, right_N)
        fit = fit + PRIOR / len(right_N) * bias_U.square().sum() / 2
        fit.backward()
        return fit

    optimizer.step(loss)
    return log_scale.detach().exp(), bias_U.detach()
