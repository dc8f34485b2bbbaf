"""The confidence rater, which rates each action of a draft (arXiv 2511.14148, section 3.3).

It reads [prefix tokens, draft actions] with full attention and outputs p_l in (0, 1) per action. It is
trained with the policy frozen, on labels from e_l, the mean squared error over dims between draft and
demonstrated action:

    relative   q_l = alpha + beta * (max e - e_l) / (max e - min e + eps)   (the paper; over the chunk)
    absolute   q_l = s / (s + e_l)                                          (s: the error rated 0.5)
    position   q_l = s_l / (s_l + e_l)                                      (its own s for each place l)
    pairwise   p(i is better than j) = sigmoid(z_i - z_j)                   (z: logits; see ``pairwise_loss``)

The relative label always calls some action the worst; only the others can say "nothing to refine". Errors
grow along the chunk: a rater of the first two labels can score well from the place alone, while ``per_step``
rates an action against others of its place. All three mostly learn which observations are hard; ``pairwise``
compares drafts of one observation, as needed to choose among them.

Beyond the paper, it may also read signals of each action, see ``model.signals``; the variance alone predicts
errors about as well as the draft does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen2_5_VLTextConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VLDecoderLayer,
    Qwen2_5_VLRMSNorm,
    Qwen2_5_VLRotaryEmbedding,
)

from asyncvla_ros.model import attention
from asyncvla_ros.model.backbone import attention_context, run_layers
from asyncvla_ros.model.config import AsyncVLAConfig, RaterConfig
from asyncvla_ros.model.prefix import Prefix

ALPHA, BETA, EPSILON = 0.01, 0.98, 1e-6


def token_errors(draft: Tensor, demonstrated: Tensor, dim_mask: Tensor) -> Tensor:
    """Compute the mean squared error over real dims, (b, l, d), (b, l, d), (d,) -> (b, l)."""
    return ((draft - demonstrated).square() * dim_mask).sum(-1) / dim_mask.sum()


def relative_label(errors: Tensor) -> Tensor:
    """Compute the paper's label, 0.99 for a chunk's best action, 0.01 for its worst; (b, l) -> (b, l)."""
    high, low = errors.amax(dim=1, keepdim=True), errors.amin(dim=1, keepdim=True)
    return ALPHA + BETA * (high - errors) / (high - low + EPSILON)


def absolute_label(errors: Tensor, scale: float | Tensor) -> Tensor:
    """Compute the calibrated label: 1 without error, 0.5 at ``scale``; any shapes that broadcast."""
    return scale / (scale + errors)


def confidence_label(errors: Tensor, config: RaterConfig) -> Tensor:
    """Compute the label of ``config``; for ``pairwise`` the absolute one, which keeps it calibrated."""
    if config.label == "relative":
        return relative_label(errors)
    return absolute_label(errors, torch.tensor(config.error_scale, device=errors.device))


def pairwise_loss(logits: Tensor, errors: Tensor, executed: int) -> Tensor:
    """Compute Bradley and Terry's negative log-likelihood of the order of errors, mean over pairs of drafts.

    It compares drafts of one observation by actions at the same place, and as whole chunks: by mean logit and
    mean error over the executed actions.

    Args:
        logits: (b, k, l) of k drafts of each observation.
        errors: (b, k, l) mean squared error.
        executed: Actions of a chunk that are executed.
    """
    chunk = _order_loss(logits.mean(-1), errors[..., :executed].mean(-1))
    return _order_loss(logits, errors) + chunk


def _order_loss(logits: Tensor, errors: Tensor) -> Tensor:
    """Compute the mean over pairs along dim 1; (b, k, ...), (b, k, ...) -> ()."""
    i, j = torch.triu_indices(logits.shape[1], logits.shape[1], offset=1, device=logits.device)
    better = torch.sign(errors[:, j] - errors[:, i])
    ordered = functional.softplus(-better * (logits[:, i] - logits[:, j]))
    return (ordered * better.abs()).sum() / better.abs().sum().clamp(min=1)


class Rater(nn.Module):
    """Decoder layers of the backbone's width, full attention, one sigmoid per action."""

    def __init__(self, config: AsyncVLAConfig, rater: RaterConfig) -> None:
        super().__init__()
        self._attention, self._reads = config.attention, rater.reads
        text = Qwen2_5_VLTextConfig(**config.backbone["text_config"])
        text._attn_implementation = attention.implementations(config)[0]
        self.action_in = nn.Linear(config.max_action_dim, config.hidden_size)
        count = len(rater.reads)
        self.signals_in = nn.Linear(count, config.hidden_size, bias=False) if count else None
        self.layers = nn.ModuleList(Qwen2_5_VLDecoderLayer(text, i) for i in range(rater.num_layers))
        self.norm = Qwen2_5_VLRMSNorm(config.hidden_size)
        self.rotary = Qwen2_5_VLRotaryEmbedding(text)
        self.out = nn.Linear(config.hidden_size, 1)

    def forward(self, prefix: Prefix, draft: Tensor, signals: Tensor | None = None) -> Tensor:
        """Compute the confidence logits; the prefix gets no gradient.

        Args:
            prefix: The encoded observation.
            draft: (b, l, d) normalized.
            signals: (b, l, k) of each action, in the order of ``RaterConfig.reads``; needed if that is not
                empty.

        Returns:
            (b, l).

        Raises:
            ValueError: If signals are needed and missing.
        """
        length = draft.shape[1]
        tokens = self.action_in(draft)
        if self.signals_in is not None:
            if signals is None:
                raise ValueError(f"this rater reads {self._reads}, expected signals (b, l, k), got None")
            # Range of a variance: from about 1e-4, the rounding of bfloat16, to 1; scaled to about 0.
            tokens = tokens + self.signals_in(torch.log10(signals + 1e-4) + 2)
        dtype = self.norm.weight.dtype
        x = torch.cat([prefix.hidden.detach().to(dtype), tokens.to(dtype)], dim=1)
        step = torch.arange(length, device=draft.device)
        positions = (prefix.next_position[:, None] + step)[None].expand(3, -1, -1)
        positions = torch.cat([prefix.positions, positions], dim=2)
        keys = torch.cat([prefix.valid, torch.ones_like(draft[..., 0], dtype=torch.bool)], dim=1)
        mask = keys[:, None, None, :].expand(-1, 1, x.shape[1], -1)
        context = attention_context(self.rotary, positions, mask, self._attention, dtype=dtype)
        x = run_layers(self.layers, self.norm, x, context)
        return self.out(x[:, -length:])[..., 0]
