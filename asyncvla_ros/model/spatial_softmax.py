"""Vision from scratch that looks for what an instruction names: a spatial softmax with words as queries.

Convolutions describe each place of an image. Queries, made of the words, choose places by a softmax over all
of them; an image token tells what is there, and where, as smooth functions of x and y. So a small network
learns from some thousand pictures to find things. Spatial softmax: https://arxiv.org/abs/1504.00702; image
tokens that depend on words: https://arxiv.org/abs/2305.06500
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from asyncvla_ros.model.config import AsyncVLAConfig

#: Channels and stride of each convolution.
_CONVOLUTIONS = ((32, 2), (64, 2), (128, 2), (128, 1))
_CHANNELS = _CONVOLUTIONS[-1][0]
_GROUPS = 8
#: Dims in which queries and places are compared.
_KEY = 64
#: Factor of the usual attention logits: a softmax that is flat at first takes long to choose.
_SHARPNESS = 4.0
#: Periods of the functions of x and y are 2 divided by these, where an image goes from -1 to 1.
_FREQUENCIES = (0.5, 1.0, 2.0)
_PLACE = 2 + 4 * len(_FREQUENCIES)


class SpatialSoftmax(nn.Module):
    """Images and words in, image tokens out.

    Args:
        config: Gives image size, cameras, tokens of an image and their width.
    """

    def __init__(self, config: AsyncVLAConfig) -> None:
        super().__init__()
        width, cameras, self._tokens = config.hidden_size, config.num_cameras, config.tokens_per_image
        layers: list[nn.Module] = []
        inputs = 5 if config.coordinate_channels else 3
        for outputs, stride in _CONVOLUTIONS:
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(_GROUPS, outputs), nn.SiLU()]
            inputs = outputs
        self.convolutions = nn.Sequential(*layers)
        self.camera = nn.Parameter(torch.randn(cameras, 1, _CHANNELS) * 0.1)
        self.word_norm = nn.LayerNorm(width)
        self.word_mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        # Which words each token asks with.
        self.word_scores = nn.Linear(width, self._tokens, bias=False)
        self.query = nn.Linear(width, cameras * _KEY)
        self.key = nn.Linear(_CHANNELS, _KEY)
        self.value = nn.Linear(_CHANNELS, width)
        self.place_values = nn.ModuleList(nn.Linear(_PLACE, width) for _ in range(cameras))

    def forward(self, pixels: Tensor, words: Tensor, valid: Tensor) -> Tensor:
        """Look for what the words name.

        Args:
            pixels: (b, cameras, channels, h, w) normalized, with coordinates if the config has them.
            words: (b, t, width) embedded words.
            valid: (b, t) bool, False on padding.

        Returns:
            (b, cameras * tokens per image, width).
        """
        b, cameras = pixels.shape[:2]
        grid = self.convolutions(pixels.flatten(0, 1))
        seen = grid.flatten(2).transpose(1, 2).unflatten(0, (b, cameras)) + self.camera
        queries = self.query(self._asked(words, valid)).unflatten(-1, (cameras, _KEY))
        logits = torch.einsum("bqck,bcnk->bcqn", queries, self.key(seen)) * (_SHARPNESS / math.sqrt(_KEY))
        chosen = torch.softmax(logits.float(), dim=-1).to(seen.dtype)
        place = place_features(grid.shape[2], grid.shape[3], grid.device)
        values = self.value(seen) + torch.stack([layer(place) for layer in self.place_values])
        return torch.einsum("bcqn,bcnd->bcqd", chosen, values).flatten(1, 2)

    def _asked(self, words: Tensor, valid: Tensor) -> Tensor:
        """Return what each token asks for, (b, tokens, width)."""
        words = self.word_norm(words) + word_positions(words.shape[1], words.shape[2], words.device)
        words = words + self.word_mlp(words)
        scores = self.word_scores(words).float().masked_fill(~valid[..., None], -1e4)
        return torch.einsum("btq,btd->bqd", torch.softmax(scores, dim=1).to(words.dtype), words)


def place_features(rows: int, columns: int, device: torch.device) -> Tensor:
    """Return x, y in [-1, 1] and their sines and cosines at each place, (rows * columns, 14)."""
    x, y = torch.linspace(-1, 1, columns, device=device), torch.linspace(-1, 1, rows, device=device)
    xy = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)
    waves = [wave(math.pi * f * xy) for f in _FREQUENCIES for wave in (torch.sin, torch.cos)]
    return torch.cat([xy, *waves], dim=1)


def word_positions(count: int, width: int, device: torch.device) -> Tensor:
    """Return sines and cosines of each word's position in an instruction, (count, width)."""
    half = width // 2
    frequencies = 100.0 ** (-torch.arange(half, device=device) / half)
    angles = torch.arange(count, device=device)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
