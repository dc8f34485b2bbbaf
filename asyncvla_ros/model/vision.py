"""Qwen2.5-VL's vision tower for images of one size: its own blocks, without the loops around them.

transformers finds out anew in Python where windows begin, for images of any size. Here all images are
alike, so places and windows follow from the config, and the whole tower is one graph for a compiler. The
patches of a still are a matrix product: a tower for videos weighs two frames, which are the same here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.tokens import patchify


def see(visual: Any, images: Tensor, config: AsyncVLAConfig) -> Tensor:
    """Images to tokens of the language model.

    Args:
        visual: Qwen2.5-VL vision tower.
        images: (n, h, w, 3) uint8.
        config: Gives sizes and colours.

    Returns:
        (n * tokens per image, width).
    """
    n, count, device = len(images), config.image_grid**2, images.device
    layout = _layout(config.image_grid, config.merge_size, config.window_tokens)
    kernel = visual.patch_embed.proj.weight
    still = kernel.float().sum(2).flatten(1).to(kernel.dtype)
    order = torch.tensor(layout.patches, device=device)
    h = functional.linear(patchify(images, config).to(still.dtype), still)
    h = h.view(n, count, -1)[:, order].flatten(0, 1)
    places = torch.tensor(layout.places, device=device)
    rotary = tuple(part.repeat(n, 1) for part in visual.rotary_pos_emb(h, places))
    ends = [count * image + end for image in range(n) for end in layout.window_ends]
    windows = torch.tensor([0, *ends], device=device, dtype=torch.int32)
    wholes = torch.arange(n + 1, device=device, dtype=torch.int32) * count
    for number, block in enumerate(visual.blocks):
        is_whole = number in visual.fullatt_block_indexes
        h = block(
            h,
            cu_seqlens=wholes if is_whole else windows,
            max_seqlen=count if is_whole else layout.longest,
            position_embeddings=rotary,
        )
    tokens = visual.merger(h)
    back = torch.tensor(layout.back, device=device)
    return tokens.view(n, len(layout.back), -1)[:, back].flatten(0, 1)


class _Layout:
    """How the patches of an image are ordered for attention in windows; lists, for they are constants.

    Attributes:
        patches: Patches in merge-block order, window by window.
        places: Row and column of each of them.
        window_ends: Patches up to the end of each window.
        longest: Patches of the largest window.
        back: Where each token of the image is among those in windows.
    """

    def __init__(self, grid: int, merge: int, window: int) -> None:
        side = grid // merge
        tokens = np.arange(side * side).reshape(side, side)
        starts = range(0, side, window)
        parts = [tokens[y : y + window, x : x + window].flatten() for y in starts for x in starts]
        order = np.concatenate(parts)
        blocks = np.arange(grid * grid).reshape(-1, merge * merge)
        rows, columns = np.divmod(np.arange(grid * grid), grid)
        places = rearrange(
            np.stack([rows, columns], axis=1),
            "(gh mh gw mw) yx -> (gh gw) (mh mw) yx",
            gh=side,
            mh=merge,
            mw=merge,
        )
        sizes = [len(part) * merge * merge for part in parts]
        self.patches = blocks[order].flatten().tolist()
        self.places = places[order].reshape(-1, 2).tolist()
        self.window_ends = np.cumsum(sizes).tolist()
        self.longest = max(sizes)
        self.back = np.argsort(order).tolist()


@lru_cache(maxsize=8)
def _layout(grid: int, merge: int, window: int) -> _Layout:
    return _Layout(grid, merge, window)
