"""Who attends to whom, and attention functions that are fast for small networks on a CPU.

One sequence holds the observation prefix and, in training, several draws of the action chunk:

              prefix   draw 1   draw 2
    prefix    causal     .        .
    draw 1      x        x        .
    draw 2      x        .        x

A draw sees the whole prefix and itself in both directions, never another draw.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import AttentionInterface


def prefix_mask(valid: Tensor) -> Tensor:
    """Causal attention among prefix tokens, without padding; (b, p) bool -> (b, 1, p, p) bool."""
    p = valid.shape[1]
    causal = torch.ones(p, p, dtype=torch.bool, device=valid.device).tril()
    # A padded query attends to itself: a row without any key would be NaN.
    own = torch.eye(p, dtype=torch.bool, device=valid.device)
    return ((causal & valid[:, None, :]) | own)[:, None]


def suffix_mask(valid: Tensor, draws: int, length: int) -> Tensor:
    """What action tokens attend to: prefix and own draw; (b, p) bool -> (b, 1, draws * l, p + draws * l)."""
    b, p = valid.shape
    n = draws * length
    draw = torch.arange(n, device=valid.device) // length
    same = draw[:, None] == draw[None, :]
    return torch.cat([valid[:, None, :].expand(b, n, p), same.expand(b, n, n)], dim=2)[:, None]


def full_mask(valid: Tensor, draws: int, length: int) -> Tensor:
    """Prefix and suffix in one square mask (b, 1, p + n, p + n) bool, drawn at the top of this file."""
    b, p = valid.shape
    top = torch.cat(
        [prefix_mask(valid), torch.zeros(b, 1, p, draws * length, dtype=torch.bool, device=valid.device)],
        dim=3,
    )
    return torch.cat([top, suffix_mask(valid, draws, length)], dim=2)


def additive(mask: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """True -> 0, False -> a large negative number: the form that plain attention adds to its logits."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(
        ~mask, torch.finfo(dtype).min / 2
    )


def _matmul_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """Two matrix products and a softmax; on a CPU its backward is far faster than that of fused attention."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    logits = torch.matmul(query * scaling, key.transpose(2, 3))
    if attention_mask is not None:
        logits = logits + attention_mask
    weights = torch.softmax(logits.float(), dim=-1).to(value.dtype)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), None


def _equal_images_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    max_length_q: int = 0,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """All images of a batch at once, (1, heads, images * n, dim) in and (1, images * n, heads, dim) out.

    Every image has the same number of patches, so the packed sequence splits into equal parts.
    """
    _, heads, total, dim = query.shape

    def split(x: Tensor) -> Tensor:
        return x.view(heads, total // max_length_q, max_length_q, dim).transpose(0, 1)

    out, _ = _matmul_attention(module, split(query), split(key), split(value), None, scaling)
    return out.reshape(1, total, heads, dim), None


MATMUL = "matmul"
# transformers hands packed sequences whole only to functions with "flash" in their name.
EQUAL_IMAGES = "flash_like_equal_images"
AttentionInterface.register(MATMUL, _matmul_attention)
AttentionInterface.register(EQUAL_IMAGES, _equal_images_attention)

# Name in AsyncVLAConfig.attention -> implementation of the language model and of the vision tower.
IMPLEMENTATIONS = {"matmul": (MATMUL, EQUAL_IMAGES), "sdpa": ("sdpa", "sdpa")}
