"""Tensors that follow from the config alone: colors, token ids and patch places of an observation.

They are made once, because a recorded CUDA graph must not copy from the host.
"""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from asyncvla_ros.model.config import AsyncVLAConfig


class Layout:
    """Constants of an observation.

    Attributes:
        config: The config from which they follow.
        mean: (3, 1, 1), of pixels in [0, 1].
        std: (3, 1, 1).
        coordinates: (2, h, w) each pixel's x and y in [-1, 1]; (0, h, w) if the config has no use for them.
        image_ids: (cameras * (2 + tokens per image),) token ids of all images with start and end.
        patches: (grid * grid,) patches in merge-block order, window by window.
        places: (grid * grid, 2) row and column of each of them.
        window_ends: (windows,) patches up to the end of each window.
        longest: Number of patches of the largest window.
        back: (tokens per image,) index of each image token in the order by windows.
    """

    def __init__(self, config: AsyncVLAConfig, device: torch.device) -> None:
        self.config = config
        self.mean = torch.tensor(config.image_mean, device=device)[:, None, None]
        self.std = torch.tensor(config.image_std, device=device)[:, None, None]
        line = torch.linspace(-1, 1, config.image_size, device=device)
        both = torch.stack(torch.meshgrid(line, line, indexing="xy"))
        self.coordinates = both if config.coordinate_channels else both[:0]
        ids = config.backbone
        image = [ids["image_token_id"]] * config.tokens_per_image
        image = [ids["vision_start_token_id"], *image, ids["vision_end_token_id"]]
        self.image_ids = torch.tensor(image * config.num_cameras, device=device)
        grid, merge, window = config.image_grid, config.merge_size, config.window_tokens
        side = grid // merge
        tokens = np.arange(side * side).reshape(side, side)
        starts = range(0, side, window)
        parts = [tokens[y : y + window, x : x + window].flatten() for y in starts for x in starts]
        sizes = [len(part) * merge * merge for part in parts]
        order = np.concatenate(parts)
        rows, columns = np.divmod(np.arange(grid * grid), grid)
        places = rearrange(
            np.stack([rows, columns], axis=1),
            "(gh mh gw mw) yx -> (gh gw) (mh mw) yx",
            gh=side,
            mh=merge,
            mw=merge,
        )
        blocks = np.arange(grid * grid).reshape(-1, merge * merge)
        self.patches, self.places, self.window_ends, self.back = (
            torch.from_numpy(np.ascontiguousarray(values)).to(device)
            for values in (
                blocks[order].flatten(),
                places[order].reshape(-1, 2),
                np.cumsum(sizes),
                np.argsort(order),
            )
        )
        self.longest = max(sizes)

    def pixels(self, images: Tensor) -> Tensor:
        """Normalize images and add their coordinates, (n, h, w, 3) uint8 -> (n, channels, h, w) float32."""
        pixels = images.permute(0, 3, 1, 2).float() / (255 * self.std) - self.mean / self.std
        return torch.cat([pixels, self.coordinates.expand(len(images), -1, -1, -1)], dim=1)

    def patchify(self, images: Tensor) -> Tensor:
        """Cut images into the flattened patches of the vision tower, in merge-block order.

        Args:
            images: (n, h, w, 3) uint8.

        Returns:
            (n * grid * grid, channels * patch * patch) float32, normalized pixels.
        """
        patch, merge = self.config.backbone["vision_config"]["patch_size"], self.config.merge_size
        return rearrange(
            self.pixels(images),
            "n c (gh mh ph) (gw mw pw) -> (n gh gw mh mw) (c ph pw)",
            mh=merge,
            mw=merge,
            ph=patch,
            pw=patch,
        )
