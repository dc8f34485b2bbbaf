from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from asyncvla_ros.model import attention
from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.layout import Layout
from asyncvla_ros.model.tokens import prefix_ids, prefix_positions

L, D = 8, 8


def noise(seed: int = 0, b: int = 2) -> torch.Tensor:
    return torch.randn(b, L, D, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_all_ones_mask_is_synchronous_flow_matching(model: AsyncVLA, inputs: Inputs):
    """Whatever is handed in as kept actions is ignored when every token is generated."""
    prefix, start, dims = model.encode(inputs), noise(), torch.ones(D)
    sfm = model.sample(prefix, torch.zeros(2, L, D), torch.ones(2, L), start, dims, 4)
    afm = model.sample(prefix, noise(9), torch.ones(2, L), start, dims, 4)
    assert torch.equal(sfm, afm)
    x = start
    for step in range(4):
        x = x - model.velocity(prefix, x, torch.full((2, L), 1 - step / 4)) / 4
    torch.testing.assert_close(sfm, x, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_kept_actions_are_bit_identical_and_context(model: AsyncVLA, inputs: Inputs):
    prefix, draft, dims = model.encode(inputs), noise(3), torch.ones(D)
    mask = torch.tensor([[0, 1, 0, 1, 1, 0, 1, 1]]).float().expand(2, -1)
    out = model.sample(prefix, draft, mask, noise(), dims, 3)
    assert torch.equal(out[mask == 0], draft[mask == 0])
    other = model.sample(prefix, draft + (1 - mask)[..., None], mask, noise(), dims, 3)
    assert not torch.equal(out[mask == 1], other[mask == 1])


@torch.no_grad()
def test_cached_equals_uncached(model: AsyncVLA, inputs: Inputs):
    x, times = noise(), torch.rand(2, L, generator=torch.Generator().manual_seed(2))
    cached = model.velocity(model.encode(inputs), x, times)
    embedded = model.backbone.embed_prefix(inputs.images, inputs.token_ids, inputs.token_mask, inputs.state)
    uncached = model.read_actions(model.backbone.forward_uncached(embedded, model.embed_actions(x, times))[1])
    torch.testing.assert_close(cached, uncached, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_prefix_equals_the_stock_forward_of_transformers(model: AsyncVLA, inputs: Inputs):
    embedded, positions, valid, _ = model.backbone.embed_prefix(
        inputs.images, inputs.token_ids, inputs.token_mask, inputs.state
    )
    stock = model.backbone.qwen.language_model(
        inputs_embeds=embedded,
        position_ids=positions,
        attention_mask=attention.additive(attention.prefix_mask(valid)),
        use_cache=False,
    ).last_hidden_state
    torch.testing.assert_close(model.encode(inputs).hidden, stock, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_both_attention_implementations_agree(model: AsyncVLA, config: AsyncVLAConfig, inputs: Inputs):
    other = AsyncVLA(replace(config, attention="sdpa")).eval()
    other.load_state_dict(model.state_dict())
    times = torch.full((2, L), 0.5)
    ours = model.velocity(model.encode(inputs), noise(), times)
    stock = other.velocity(other.encode(inputs), noise(), times)
    torch.testing.assert_close(ours, stock, atol=1e-5, rtol=1e-5)
    draft = noise(5)
    torch.testing.assert_close(
        model.rate(model.encode(inputs), draft), other.rate(other.encode(inputs), draft), atol=1e-5, rtol=1e-5
    )


@torch.no_grad()
def test_draws_side_by_side_equal_draws_one_by_one(model: AsyncVLA, inputs: Inputs):
    prefix, a, b = model.encode(inputs), noise(1), noise(2)
    times = torch.full((2, L), 0.5)
    together = model.velocity(prefix, torch.cat([a, b], 1), times.repeat(1, 2), draws=2)
    torch.testing.assert_close(together[:, :L], model.velocity(prefix, a, times), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[:, L:], model.velocity(prefix, b, times), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_padding_of_an_instruction_changes_nothing(model: AsyncVLA, inputs: Inputs):
    short = Inputs(inputs.images[1:], inputs.token_ids[1:, :2], inputs.token_mask[1:, :2], inputs.state[1:])
    times = torch.full((2, L), 0.5)
    padded = model.velocity(model.encode(inputs), noise(), times)[1:]
    plain = model.velocity(model.encode(short), noise()[1:], times[1:])
    torch.testing.assert_close(padded, plain, atol=1e-5, rtol=1e-5)


def test_positions_equal_those_of_transformers(model: AsyncVLA, config: AsyncVLAConfig, inputs: Inputs):
    state = torch.full((2, 1), 1)
    ids = torch.cat(
        [prefix_ids(inputs.token_ids, model.backbone.layout(inputs.token_ids.device)), state], dim=1
    )
    valid = torch.cat([torch.ones_like(ids[:, :-5]), inputs.token_mask.long(), state], dim=1)
    kinds = (ids == config.backbone["image_token_id"]).int()
    grid = torch.tensor([[1, config.image_grid, config.image_grid]] * 4)
    stock, _ = model.backbone.qwen.get_rope_index(
        ids, mm_token_type_ids=kinds, image_grid_thw=grid, attention_mask=valid
    )
    ours, following = prefix_positions(inputs.token_mask, config)
    real = valid.bool()
    assert torch.equal(ours[:, real], stock[:, real])
    assert following.tolist() == (stock.amax(dim=(0, 2)) + 1).tolist()


def test_patches_are_in_merge_block_order(config: AsyncVLAConfig):
    """The first four patches are the 2 x 2 block in the corner of the image."""
    side, patch = config.image_size, 14
    rows = torch.arange(side)[:, None].expand(side, side) // patch
    image = (rows * 16 + rows.T).to(torch.uint8)[None, ..., None].expand(1, side, side, 3)
    patches = Layout(config, image.device).patchify(image)
    corner = [round((float(p[0]) + 1) * 127.5) for p in patches[:4]]
    assert corner == [0, 1, 16, 17]


def test_loss_has_gradients_in_vision_and_none_on_padding(model: AsyncVLA, inputs: Inputs):
    dims = torch.tensor([1.0] * 7 + [0.0])
    draws = torch.randn(2, 3, L, D, generator=torch.Generator().manual_seed(0))
    tau, mask = torch.full((2, 3), 0.5), torch.ones(2, 3, L)
    mask[:, 1, :4] = 0
    actions = noise(4) * dims
    model.loss(inputs, actions, draws, tau, mask, dims)[0].backward()
    spatial = model.backbone.spatial_softmax
    first = spatial.convolutions[0] if spatial else model.backbone.qwen.visual.patch_embed.proj
    assert first.weight.grad.abs().sum() > 0
    weight = model.action_out[-1].weight.grad
    assert weight[:7].abs().sum() > 0 and weight[7].abs().sum() == 0


def test_rating_without_a_rater_names_the_remedy(config: AsyncVLAConfig, inputs: Inputs):
    model = AsyncVLA(replace(config, rater=None)).eval()
    with torch.no_grad(), pytest.raises(ValueError, match="train-rater"):
        model.rate(model.encode(inputs), noise())
