"""What a rater is trained to say of drafts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asyncvla_ros.model.rater import confidence_label, pairwise_loss
from asyncvla_ros.model.rater_config import RaterConfig
from asyncvla_ros.training.drafts import Drafts


class RaterLoss(nn.Module):
    """MSE(confidence, label), and of ``pairwise`` the order of drafts besides.

    The former is about a tenth of the latter there; it keeps the confidence calibrated, so that a threshold
    means something. A module, so that data parallelism can wrap it.

    Args:
        rater: Learns.
        config: Of the rater.
        executed: Actions of a chunk that are executed.
    """

    def __init__(self, rater: nn.Module, config: RaterConfig, executed: int) -> None:
        super().__init__()
        self.rater = rater
        self._config = config
        self._executed = executed

    def forward(self, drafts: Drafts) -> Tensor:
        """Compute the loss of some drafts."""
        signals = drafts.signals(self._config.reads)
        logits, errors = self.rater(drafts.prefix, drafts.actions, signals).float(), drafts.errors
        loss = (torch.sigmoid(logits) - confidence_label(errors, self._config)).square().mean()
        if self._config.label != "pairwise":
            return loss
        return loss + pairwise_loss(drafts.grouped(logits), drafts.grouped(errors), self._executed)
