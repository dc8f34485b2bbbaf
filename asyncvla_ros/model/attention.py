"""Attention masks, and attention functions for images of one size.

One sequence holds the observation prefix and, in training, several draws of the action chunk:

              prefix   draw 1   draw 2
    prefix    causal     .        .
    draw 1      x        x        .
    draw 2      x        .        x

A draw attends to the whole prefix and to itself in both directions, never to another draw.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.utils import is_flash_attn_2_available

from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.types import CheckpointError


def prefix_mask(valid: Tensor) -> Tensor:
    """Return the causal mask of prefix tokens, without padding; (b, p) bool -> (b, 1, p, p) bool."""
    p = valid.shape[1]
    causal = torch.ones(p, p, dtype=torch.bool, device=valid.device).tril()
    # A padded query attends to itself, because a row without any key would be NaN.
    own = torch.eye(p, dtype=torch.bool, device=valid.device)
    return ((causal & valid[:, None, :]) | own)[:, None]


def suffix_mask(valid: Tensor, draws: int, length: int) -> Tensor:
    """Return the mask of action tokens: prefix, own draw; (b, p) bool -> (b, 1, draws * l, p + draws * l)."""
    b, p = valid.shape
    n = draws * length
    draw = torch.arange(n, device=valid.device) // length
    same = draw[:, None] == draw[None, :]
    return torch.cat([valid[:, None, :].expand(b, n, p), same.expand(b, n, n)], dim=2)[:, None]


def full_mask(valid: Tensor, draws: int, length: int) -> Tensor:
    """Return the mask (b, 1, p + n, p + n) bool of prefix and suffix, drawn at the top of this file."""
    b, p = valid.shape
    top = torch.cat(
        [prefix_mask(valid), torch.zeros(b, 1, p, draws * length, dtype=torch.bool, device=valid.device)],
        dim=3,
    )
    return torch.cat([top, suffix_mask(valid, draws, length)], dim=2)


def additive(mask: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert a mask to numbers that plain attention adds to its logits: 0, or a large negative one."""
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
    """Compute attention by two matrix products; on a CPU its backward is faster than fused attention's."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    logits = torch.matmul(query * scaling, key.transpose(2, 3))
    if attention_mask is not None:
        logits = logits + attention_mask
    weights = torch.softmax(logits.float(), dim=-1).to(value.dtype)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), None


def _sdpa_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """Compute attention by torch's fused function, without a mask; shapes as in ``_matmul_attention``."""
    return scaled_dot_product_attention(query, key, value, scale=scaling).transpose(1, 2), None


def _in_equal_parts(attend: Callable[..., tuple[Tensor, None]]) -> Callable[..., tuple[Tensor, None]]:
    """Compute attention within each image or window, at once for those with equally many patches."""

    def attention(
        module: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float,
        max_length_q: int = 0,
        **kwargs: object,
    ) -> tuple[Tensor, None]:
        """Return (1, heads, parts * n, dim) in and (1, parts * n, heads, dim) out."""
        _, heads, total, dim = query.shape

        def split(x: Tensor) -> Tensor:
            return x.view(heads, total // max_length_q, max_length_q, dim).transpose(0, 1)

        out, _ = attend(module, split(query), split(key), split(value), None, scaling)
        return out.reshape(1, total, heads, dim), None

    return attention


MATMUL = "matmul"
# transformers hands packed sequences whole only to functions with "flash" in their name.
EQUAL_MATMUL, EQUAL_SDPA = "flash_like_equal_matmul", "flash_like_equal_sdpa"
AttentionInterface.register(MATMUL, _matmul_attention)
AttentionInterface.register(EQUAL_MATMUL, _in_equal_parts(_matmul_attention))
AttentionInterface.register(EQUAL_SDPA, _in_equal_parts(_sdpa_attention))


def implementations(config: AsyncVLAConfig) -> tuple[str, str]:
    """Return transformers' attention names for the language model and the vision tower.

    Raises:
        CheckpointError: If flash-attn is asked for and not installed.
    """
    if config.attention == "flash_attention_2":
        if not is_flash_attn_2_available():
            raise CheckpointError(
                "attention is 'flash_attention_2', but the flash-attn package (or a GPU for it) is missing; "
                "install it, or choose 'sdpa'"
            )
        return "sdpa", "flash_attention_2"
    if not config.has_equal_windows:
        return (MATMUL if config.attention == "matmul" else "sdpa"), "sdpa"
    return (MATMUL, EQUAL_MATMUL) if config.attention == "matmul" else ("sdpa", EQUAL_SDPA)
