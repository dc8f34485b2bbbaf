"""A spatial softmax with words as queries: it learns in a moment where the thing is that a word names."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from asyncvla_ros.model.backbone import Backbone
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.model.spatial_softmax import place_features
from asyncvla_ros.types import CheckpointError

SIZE, PATCH, COLORS = 56, 8, 2


@pytest.fixture
def config() -> AsyncVLAConfig:
    return nano_config(16, vision="spatial_softmax", image_size=SIZE, num_cameras=1)


def _scenes(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw pictures with a square of each color, words of which the second names one, and its place."""
    images = torch.full((count, 1, SIZE, SIZE, 3), 90, dtype=torch.uint8)
    corners = torch.randint(0, SIZE - PATCH, (count, COLORS, 2), generator=generator)
    colors = torch.tensor([[220, 30, 30], [30, 220, 30]], dtype=torch.uint8)
    for image, places in zip(images[:, 0], corners.tolist(), strict=True):
        for color, (y, x) in zip(colors, places, strict=True):
            image[y : y + PATCH, x : x + PATCH] = color
    named = torch.randint(0, COLORS, (count,), generator=generator)
    words = torch.stack([torch.full_like(named, 6), 7 + named, torch.full_like(named, 9)], dim=1)
    places = corners[torch.arange(count), named] / (SIZE - PATCH) * 2 - 1
    return images, words, places


def _see(backbone: Backbone, images: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    state = torch.zeros(len(images), backbone.config.max_state_dim)
    embedded = backbone.embed_prefix(images, words, torch.ones_like(words, dtype=torch.bool), state)[0]
    return embedded[:, backbone.config.image_span].flatten(1)


def test_it_learns_where_the_named_square_is(config: AsyncVLAConfig) -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    backbone = Backbone(config)
    read = nn.Linear(_see(backbone, *_scenes(1, generator)[:2]).shape[1], 2)
    optimizer = torch.optim.AdamW([*backbone.parameters(), *read.parameters()], 2e-3)
    for _ in range(350):
        images, words, places = _scenes(24, generator)
        loss = (read(_see(backbone, images, words)) - places).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        images, words, places = _scenes(200, generator)
        errors = (read(_see(backbone, images, words)) - places).norm(dim=1)
        others = words.clone()
        others[:, 1] = 7 + (words[:, 1] - 7 + 1) % COLORS
        mistaken = (read(_see(backbone, images, others)) - places).norm(dim=1)
    # An image goes from -1 to 1; a place drawn at random is 1 away, in the median.
    assert errors.median() < 0.15
    assert mistaken.median() > 0.5


def test_the_tower_is_not_there(config: AsyncVLAConfig) -> None:
    names = set(Backbone(config).state_dict())
    assert not any(".visual." in name for name in names)
    assert any(name.startswith("spatial_softmax.") for name in names)
    assert not any(
        name.startswith("spatial_softmax.") for name in Backbone(replace(config, vision="tower")).state_dict()
    )


def test_places_are_told_by_rows() -> None:
    places = place_features(3, 5, torch.device("cpu"))
    assert places.shape == (15, 14)
    assert places[5 * 1 + 4, :2].tolist() == [1.0, 0.0]


def test_another_vision_is_refused(config: AsyncVLAConfig) -> None:
    with pytest.raises(
        CheckpointError, match=r"vision is 'eagle', choose one of \('tower', 'spatial_softmax'\)"
    ):
        replace(config, vision="eagle")
