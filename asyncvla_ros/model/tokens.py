"""The token sequence of an observation in Qwen2.5-VL, with its multimodal positions.

head  <start> image 1 <end>  <start> image 2 <end>  words  state | action 1 ... action l

The head is the text of the prompt before the images; nano has none.
"""

from __future__ import annotations

import torch
from torch import Tensor

from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.layout import Layout


def prefix_ids(token_ids: Tensor, layout: Layout) -> Tensor:
    """Return the token ids of head, images and words; (b, t) -> (b, cameras * (2 + tokens per image) + t)."""
    head = layout.config.prompt_head_tokens
    return torch.cat(
        [token_ids[:, :head], layout.image_ids.expand(len(token_ids), -1), token_ids[:, head:]], dim=1
    )


def prefix_valid(token_mask: Tensor, config: AsyncVLAConfig) -> Tensor:
    """Return which tokens of head, images, words and state are real; (b, t) -> (b, p) bool."""
    head = config.prompt_head_tokens
    images = token_mask.new_ones(len(token_mask), config.num_image_tokens)
    return torch.cat([token_mask[:, :head], images, token_mask[:, head:], images[:, :1]], dim=1)


def prefix_positions(token_mask: Tensor, config: AsyncVLAConfig) -> tuple[Tensor, Tensor]:
    """Compute multimodal rotary positions, as ``Qwen2_5_VLModel.get_rope_index`` but without Python loops.

    Args:
        token_mask: (b, t) bool, False on padding, which takes no position; the head has no padding.
        config: Gives the head, cameras and grid.

    Returns:
        Positions (3, b, p) of head, images, words and state; and the first position after them, (b,).
    """
    side = config.image_grid // config.merge_size
    device = token_mask.device
    row = torch.arange(side, device=device)
    h, w = torch.meshgrid(row, row, indexing="ij")
    head = config.prompt_head_tokens
    parts, start = [torch.arange(head, device=device).expand(3, -1)], head
    for _ in range(config.num_cameras):
        parts.append(torch.full((3, 1), start, device=device))
        parts.append(torch.stack([torch.zeros_like(h), h, w]).flatten(1) + start + 1)
        parts.append(torch.full((3, 1), start + 1 + side, device=device))
        start += side + 2
    images = torch.cat(parts, dim=1)[:, None].expand(3, len(token_mask), -1)
    after = token_mask[:, head:].long()
    words = start + (after.cumsum(1) - 1).clamp(min=0)
    state = start + after.sum(1, keepdim=True)
    text = torch.cat([words, state], dim=1)[None].expand(3, -1, -1)
    return torch.cat([images, text], dim=2), state[:, 0] + 1
