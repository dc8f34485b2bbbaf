"""Turning images and words into the token sequence of Qwen2.5-VL, with its multimodal positions.

head  <start> image 1 <end>  <start> image 2 <end>  words  state | action 1 ... action l

The head is the text of the prompt before the images; nano has none.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from einops import rearrange
from torch import Tensor

from asyncvla_ros.model.config import AsyncVLAConfig


@lru_cache(maxsize=8)
def _coordinates(size: int) -> Tensor:
    """Each pixel's own x and y in [-1, 1], (2, size, size)."""
    line = torch.linspace(-1, 1, size)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"))


def patchify(images: Tensor, config: AsyncVLAConfig) -> Tensor:
    """Images to the flattened patches of the vision tower, in merge-block order.

    Args:
        images: (n, h, w, 3) uint8.
        config: Gives mean and deviation of the colours, and patch and merge sizes.

    Returns:
        (n * grid * grid, channels * patch * patch) float32, normalised pixels.
    """
    patch = config.backbone["vision_config"]["patch_size"]
    mean, std = (
        torch.tensor(values, device=images.device)[:, None, None]
        for values in (config.image_mean, config.image_std)
    )
    pixels = images.permute(0, 3, 1, 2).float() / (255 * std) - mean / std
    if config.coordinate_channels:
        grid = _coordinates(images.shape[1]).to(images.device)
        pixels = torch.cat([pixels, grid.expand(len(images), -1, -1, -1)], dim=1)
    return rearrange(
        pixels,
        "n c (gh mh ph) (gw mw pw) -> (n gh gw mh mw) (c ph pw)",
        mh=config.merge_size,
        mw=config.merge_size,
        ph=patch,
        pw=patch,
    )


def prefix_ids(words: Tensor, config: AsyncVLAConfig) -> Tensor:
    """Token ids of head, images and words; (b, t) -> (b, cameras * (2 + tokens per image) + t)."""
    ids, head = config.backbone, config.prompt_head_tokens
    image = [ids["vision_start_token_id"], *[ids["image_token_id"]] * config.tokens_per_image]
    image += [ids["vision_end_token_id"]]
    images = torch.tensor(image * config.num_cameras, device=words.device)
    return torch.cat([words[:, :head], images.expand(len(words), -1), words[:, head:]], dim=1)


def prefix_valid(word_valid: Tensor, config: AsyncVLAConfig) -> Tensor:
    """Which tokens of head, images, words and state are real; (b, t) -> (b, p) bool."""
    head = config.prompt_head_tokens
    images = word_valid.new_ones(len(word_valid), config.num_cameras * (2 + config.tokens_per_image))
    return torch.cat([word_valid[:, :head], images, word_valid[:, head:], images[:, :1]], dim=1)


def prefix_positions(word_valid: Tensor, config: AsyncVLAConfig) -> tuple[Tensor, Tensor]:
    """Multimodal rotary positions, equal to ``Qwen2_5_VLModel.get_rope_index`` without its Python loops.

    Args:
        word_valid: (b, t) bool, False on padding, which takes no position; the head has none.
        config: Gives head, cameras and grid.

    Returns:
        Positions (3, b, p) of head, images, words and state; and the first position after them, (b,).
    """
    side = config.image_grid // config.merge_size
    device = word_valid.device
    row = torch.arange(side, device=device)
    h, w = torch.meshgrid(row, row, indexing="ij")
    head = config.prompt_head_tokens
    parts, start = [torch.arange(head, device=device).expand(3, -1)], head
    for _ in range(config.num_cameras):
        parts.append(torch.full((3, 1), start, device=device))
        parts.append(torch.stack([torch.zeros_like(h), h, w]).flatten(1) + start + 1)
        parts.append(torch.full((3, 1), start + 1 + side, device=device))
        start += side + 2
    images = torch.cat(parts, dim=1)[:, None].expand(3, len(word_valid), -1)
    after = word_valid[:, head:].long()
    words = start + (after.cumsum(1) - 1).clamp(min=0)
    state = start + after.sum(1, keepdim=True)
    text = torch.cat([words, state], dim=1)[None].expand(3, -1, -1)
    return torch.cat([images, text], dim=2), state[:, 0] + 1
