"""The 3B network: its counts on the meta device, everything else on a small one of the same shape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import Qwen2VLImageProcessor

from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.config import AsyncVLAConfig, RaterConfig
from asyncvla_ros.model.pretrained import pretrained_network_config, pretrained_policy
from asyncvla_ros.model.sizes import full_config, tiny_config
from asyncvla_ros.model.text import encode_words
from asyncvla_ros.model.tokens import prefix_ids
from asyncvla_ros.model.vision import see
from asyncvla_ros.types import CheckpointError
from support.qwen import tiny_qwen

TASKS = ["lift the red cup", "lift the cup"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_qwen(tmp_path / "qwen")


@pytest.fixture
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.fixture
def config(folder: Path, tokenizer: Tokenizer) -> AsyncVLAConfig:
    return pretrained_network_config(folder, tokenizer, image_size=112, dtype="float32")


def observe(config: AsyncVLAConfig, tokenizer: Tokenizer) -> Inputs:
    generator = torch.Generator().manual_seed(1)
    words = encode_words(tokenizer, TASKS, config.max_words, config.prompt)
    shape = (2, config.num_cameras, config.image_size, config.image_size, 3)
    return Inputs(
        torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
        words.ids,
        words.valid,
        torch.randn(2, config.max_state_dim, generator=generator),
    )


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_full_size_has_the_papers_parameters():
    with torch.device("meta"):
        policy, rated = AsyncVLA(full_config()), AsyncVLA(full_config(rater=RaterConfig(num_layers=4)))
    assert count(policy) == 3_771_607_072
    assert count(rated) == pytest.approx(4.080e9, rel=1e-3)
    types = {
        name.split(".")[1] if name.startswith("backbone") else "head": p.dtype
        for name, p in policy.named_parameters()
    }
    assert types == {"qwen": torch.bfloat16, "state_in": torch.float32, "head": torch.float32}


@pytest.mark.parametrize("new_names", [False, True])
def test_a_policy_begins_with_the_weights_of_the_folder(
    folder: Path, config: AsyncVLAConfig, *, new_names: bool
):
    """Test both: transformers writes the old names of Qwen2.5-VL-3B-Instruct, its network has new ones."""
    file = folder / "model.safetensors"
    stored = load_file(file)
    visual = stored["visual.blocks.1.mlp.up_proj.weight"].clone()
    embedding = stored["model.embed_tokens.weight"].clone()
    if new_names:
        renamed = {f"model.{k}" if k.startswith("visual.") else k: v for k, v in stored.items()}
        renamed = {
            k.replace("model.", "model.language_model.") if "visual" not in k else k: v
            for k, v in renamed.items()
        }
        save_file(renamed, file, metadata={"format": "pt"})
    qwen = pretrained_policy(folder, config).backbone.qwen
    assert torch.equal(qwen.visual.blocks[1].mlp.up_proj.weight, visual)
    assert torch.equal(qwen.language_model.embed_tokens.weight, embedding)
    fresh = pretrained_policy(folder, config, random=True).backbone.qwen
    assert not torch.equal(fresh.language_model.embed_tokens.weight, embedding)


def test_missing_weights_are_named(folder: Path, config: AsyncVLAConfig):
    stored = load_file(folder / "model.safetensors")
    stored.pop("visual.merger.ln_q.weight")
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"visual\.merger\.ln_q\.weight"):
        pretrained_policy(folder, config)


def test_another_architecture_is_refused(folder: Path, tokenizer: Tokenizer):
    (folder / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(CheckpointError, match="'llama', expected 'qwen2_5_vl'"):
        pretrained_network_config(folder, tokenizer)


@torch.no_grad()
def test_the_prefix_is_what_transformers_makes_of_the_same_images_and_prompt(
    folder: Path, config: AsyncVLAConfig, tokenizer: Tokenizer
):
    """Through the image processor and the whole forward pass of transformers, up to the state token."""
    model = pretrained_policy(folder, config).eval()
    inputs = observe(config, tokenizer)
    processor = Qwen2VLImageProcessor(do_resize=False, patch_size=14, merge_size=2, temporal_patch_size=2)
    seen = processor(list(inputs.images[0].numpy()), return_tensors="pt")
    layout = model.backbone.layout(inputs.images.device)
    first = seen["pixel_values"].view(-1, 3, 2, 14 * 14)[:, :, 0].flatten(1)
    torch.testing.assert_close(layout.patchify(inputs.images[0]), first, atol=1e-5, rtol=1e-5)
    pad = "<|vision_start|>" + "<|image_pad|>" * config.tokens_per_image + "<|vision_end|>"
    text = config.prompt.replace("{images}", pad * config.num_cameras).replace("{instruction}", TASKS[0])
    ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False).ids])
    assert torch.equal(prefix_ids(inputs.token_ids[:1], layout), ids)
    stock = model.backbone.qwen(
        input_ids=ids,
        pixel_values=seen["pixel_values"],
        image_grid_thw=seen["image_grid_thw"],
        mm_token_type_ids=(ids == config.backbone["image_token_id"]).int(),
        use_cache=False,
    ).last_hidden_state
    alone = Inputs(*(part[:1] for part in (inputs.images, inputs.token_ids, inputs.token_mask, inputs.state)))
    torch.testing.assert_close(model.encode(alone).hidden[:, :-1], stock, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("image_size", [112, 84])
def test_windows_of_any_size_give_what_transformers_gives(image_size: int):
    """Equal windows run as one batch; 84 px is six by six patches, in unequal windows."""
    config = tiny_config(16, image_size=image_size)
    assert config.has_equal_windows == (image_size == 112)
    torch.manual_seed(0)
    model = AsyncVLA(config).eval()
    images = torch.randint(0, 256, (2, image_size, image_size, 3), dtype=torch.uint8)
    visual, side = model.backbone.qwen.visual, config.image_grid
    layout = model.backbone.layout(images.device)
    ours = see(visual, images, layout)
    visual.config._attn_implementation = "eager"
    frames = layout.patchify(images).view(-1, 3, 1, 14 * 14).expand(-1, -1, 2, -1).flatten(1)
    stock = visual(frames, grid_thw=torch.tensor([[1, side, side]] * 2)).pooler_output
    torch.testing.assert_close(ours, stock, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_in_bfloat16_heads_and_rotary_frequencies_stay_exact(tokenizer: Tokenizer, config: AsyncVLAConfig):
    config = replace(config, dtype="bfloat16", rater=RaterConfig(num_layers=1))
    torch.manual_seed(0)
    model = AsyncVLA(config).eval()
    exact = AsyncVLA(replace(config, dtype="float32")).eval()
    exact.load_state_dict(model.state_dict())
    rotary = model.backbone.qwen.language_model.rotary_emb.inv_freq
    assert rotary.dtype == torch.float32 and torch.equal(
        rotary, exact.backbone.qwen.language_model.rotary_emb.inv_freq
    )
    inputs = observe(config, tokenizer)
    x, times = torch.randn(2, 4, 32), torch.rand(2, 4)
    rough, fine = (m.velocity(m.encode(inputs), x, times) for m in (model, exact))
    assert rough.dtype == torch.float32
    assert (rough - fine).abs().max() < 0.03 * fine.abs().max()
    assert model.rate(model.encode(inputs), x).dtype == torch.float32


def losses(model: AsyncVLA, inputs: Inputs) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    actions, noise = torch.randn(2, 4, 32, generator=generator), torch.randn(2, 3, 4, 32, generator=generator)
    tau, mask = (
        torch.rand(2, 3, generator=generator),
        (torch.rand(2, 3, 4, generator=generator) < 0.7).float(),
    )
    return model.loss(inputs, actions, noise, tau, mask, torch.ones(32))[0]


@pytest.mark.parametrize("attention", ["sdpa", "matmul"])
def test_one_pass_has_the_gradients_of_the_cached_path_with_and_without_checkpointing(
    tokenizer: Tokenizer, config: AsyncVLAConfig, attention: str
):
    torch.manual_seed(0)
    model = AsyncVLA(replace(config, attention=attention)).train()
    inputs = observe(config, tokenizer)
    gradients = []
    for again in (False, True):
        if again:
            model.backbone.qwen.activation_checkpointing_enable()
        model.zero_grad()
        losses(model, inputs).backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) > 50
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-4, msg=name)
    x, times = torch.randn(2, 8, 32), torch.rand(2, 8)
    embedded = model.backbone.embed_prefix(inputs.images, inputs.token_ids, inputs.token_mask, inputs.state)
    model.eval()
    together = model.read_actions(
        model.backbone.forward_uncached(embedded, model.embed_actions(x, times), 2)[1]
    )
    torch.testing.assert_close(
        together, model.velocity(model.encode(inputs), x, times, 2), atol=1e-5, rtol=1e-5
    )
