from __future__ import annotations

import pytest
import torch

from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.config import VISIONS, AsyncVLAConfig
from asyncvla_ros.model.sizes import nano_config


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Networks this small lose more to waiting threads than they gain."""
    torch.set_num_threads(1)


@pytest.fixture(params=VISIONS)
def config(request: pytest.FixtureRequest) -> AsyncVLAConfig:
    return nano_config(32, vision=request.param)


@pytest.fixture
def model(config: AsyncVLAConfig) -> AsyncVLA:
    torch.manual_seed(0)
    return AsyncVLA(config).eval()


@pytest.fixture
def inputs(config: AsyncVLAConfig) -> Inputs:
    """Two observations; the second has a shorter instruction, so that padding is exercised."""
    generator = torch.Generator().manual_seed(1)
    side = config.image_size
    words = torch.tensor([[6, 7, 8, 9], [10, 11, 0, 0]])
    return Inputs(
        torch.randint(0, 256, (2, 2, side, side, 3), dtype=torch.uint8, generator=generator),
        words,
        words > 0,
        torch.randn(2, config.max_state_dim, generator=generator),
    )
