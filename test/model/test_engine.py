"""The compiled engine beside the network itself: the same actions, in graphs without breaks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.config import AsyncVLAConfig, RaterConfig
from asyncvla_ros.model.engine import CompiledEngine, bucket, buckets, pad_words
from asyncvla_ros.model.sizes import nano_config, tiny_config

SIZES = {
    "tiny": tiny_config(16, rater=RaterConfig(num_layers=1), image_size=112),
    "nano": nano_config(16, rater=RaterConfig(num_layers=1, reads=("variance", "mean"))),
    "nano with a tower": nano_config(16, rater=RaterConfig(num_layers=1), vision="tower"),
}


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch.compiler.reset()


def observe(config: AsyncVLAConfig, words: int = 3) -> Inputs:
    generator = torch.Generator().manual_seed(1)
    shape = (1, config.num_cameras, config.image_size, config.image_size, 3)
    ids = torch.randint(6, 16, (1, words), generator=generator)
    return Inputs(
        torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
        ids,
        ids > 0,
        torch.randn(1, config.max_state_dim, generator=generator),
    )


def run_all(engine: AsyncVLA | CompiledEngine, inputs: Inputs, rows: int = 2) -> list[torch.Tensor]:
    """Run a draft of several rows, rate its first row, and refine every other action."""
    config = engine.config
    device = inputs.state.device
    shape = (rows, config.chunk_size, config.max_action_dim)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(2)).to(device)
    prefix, dims = engine.encode(inputs), torch.ones(config.max_action_dim, device=device)
    seen: list[torch.Tensor] = []
    draft = engine.sample(prefix, noise, torch.ones(shape[:2], device=device), noise, dims, 3, seen)
    reads = 0 if config.rater is None else len(config.rater.reads)
    signals = torch.ones(1, shape[1], reads, device=device) if reads else None
    confidence = engine.rate(prefix, draft[:1], signals)
    half = (torch.arange(shape[1], device=device) % 2).float()[None]
    refined = engine.sample(prefix, draft[:1], half, noise[:1], dims, 2)
    assert torch.equal(refined[half == 0], draft[:1][half == 0])
    return [draft, confidence, refined, *seen]


@pytest.mark.parametrize("size", SIZES)
@torch.inference_mode()
def test_every_pass_is_one_graph_and_changes_nothing(size: str):
    """Without a compiler behind it, so that a difference is one of what is computed."""
    torch.manual_seed(0)
    model = AsyncVLA(SIZES[size]).eval()
    engine = CompiledEngine(model, backend="eager")
    for words in (3, 9):
        inputs = observe(model.config, words)
        for ours, expected in zip(run_all(engine, inputs), run_all(model, inputs), strict=True):
            torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_a_second_instruction_of_a_bucket_compiles_nothing_anew():
    model = AsyncVLA(SIZES["tiny"]).eval()
    engine = CompiledEngine(model, backend="eager")
    for count in buckets(model.config, 1, 30):
        run_all(engine, observe(model.config, count))
    with torch.compiler.set_stance("fail_on_recompile"):
        for count in range(1, 31, 3):
            run_all(engine, observe(model.config, count))


@pytest.mark.slow
@torch.inference_mode()
def test_compiled_code_stays_within_rounding():
    torch.manual_seed(0)
    model = AsyncVLA(SIZES["tiny"]).eval()
    inputs = observe(model.config)
    for ours, expected in zip(run_all(CompiledEngine(model), inputs), run_all(model, inputs), strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.gpu
@torch.inference_mode()
def test_recorded_graphs_give_what_the_network_gives():
    torch.manual_seed(0)
    config = replace(SIZES["tiny"], dtype="bfloat16")
    model = AsyncVLA(config).eval().cuda()
    seen = observe(config)
    inputs = Inputs(*(x.cuda() for x in (seen.images, seen.token_ids, seen.token_mask, seen.state)))
    engine = CompiledEngine(model, records=True)
    for _ in range(2):
        for ours, expected in zip(run_all(engine, inputs), run_all(model, inputs), strict=True):
            torch.testing.assert_close(ours, expected, atol=3e-2, rtol=3e-2)


def test_buckets_are_few_and_hold_every_instruction():
    config = SIZES["tiny"]
    lengths = set()
    for words in range(1, 200):
        padded = pad_words(observe(config, words), config)
        lengths.add(2 * (2 + 16) + padded.token_ids.shape[1] + 1)
        assert not padded.token_mask[:, words:].any()
    assert lengths == {bucket(37 + words) for words in range(1, 200)}
    assert len(lengths) < 11
    assert {bucket(37 + words) for words in buckets(config, 1, 199)} == lengths
