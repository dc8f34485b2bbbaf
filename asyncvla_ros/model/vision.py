"""Qwen2.5-VL's vision tower for images of one size: its own blocks, without the loops around them.

transformers computes in Python where windows begin, for images of any size. Here all images have one size, so
positions and windows follow from the config, and the whole tower is one graph for a compiler. The patch
embedding is a matrix product: the tower's convolution over two frames has two equal frames here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from asyncvla_ros.model.layout import Layout


def see(visual: Any, images: Tensor, layout: Layout) -> Tensor:
    """Convert images to tokens of the language model.

    Args:
        visual: Vision tower of Qwen2.5-VL.
        images: (n, h, w, 3) uint8.
        layout: Layout of these images.

    Returns:
        (n * tokens per image, width).
    """
    n, count = len(images), len(layout.patches)
    kernel = visual.patch_embed.proj.weight
    still = kernel.float().sum(2).flatten(1).to(kernel.dtype)
    h = functional.linear(layout.patchify(images).to(still.dtype), still)
    h = h.view(n, count, -1)[:, layout.patches].flatten(0, 1)
    rotary = tuple(part.repeat(n, 1) for part in visual.rotary_pos_emb(h, layout.places))
    starts = torch.arange(n + 1, device=images.device) * count
    windows = functional.pad((starts[:-1, None] + layout.window_ends).flatten(), (1, 0)).int()
    for number, block in enumerate(visual.blocks):
        is_whole = number in visual.fullatt_block_indexes
        h = block(
            h,
            cu_seqlens=starts.int() if is_whole else windows,
            max_seqlen=count if is_whole else layout.longest,
            position_embeddings=rotary,
        )
    tokens = visual.merger(h)
    return tokens.view(n, len(layout.back), -1)[:, layout.back].flatten(0, 1)
