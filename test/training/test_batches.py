from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asyncvla_ros.common.data_record import DataRecord
from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.data.episodes import Episodes
from asyncvla_ros.data.frames import ConcatenatedImages
from asyncvla_ros.data.mixture import Mixture, Robot
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.checkpoint import Checkpoint
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.model.text import build_tokenizer, encode_words
from asyncvla_ros.training.batches import Augmentation, Batches, step_generator
from asyncvla_ros.training.run_state import RunState
from asyncvla_ros.training.settings import TrainSettings
from asyncvla_ros.training.state_files import read_tensors, write_tensors
from asyncvla_ros.training.warm_start import require_same_holdout, warm_start
from asyncvla_ros.types import AsyncVLAError, CameraFeature, ContractError, FeatureContract
from support.contracts import libero_features


@pytest.fixture
def episodes() -> Episodes:
    """Three episodes of 5 frames in two arrays; action and pixels say which frame they belong to."""
    n = 15
    frame = np.arange(n, dtype=np.float32)
    images = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None, None], (n, 2, 28, 28, 3))
    return Episodes(
        images=ConcatenatedImages([images[:4], images[4:]]),
        state=np.stack([frame, -frame], 1),
        actions=frame[:, None].repeat(3, 1),
        privileged=frame[:, None],
        episode=np.repeat([0, 1, 2], 5),
        last=np.repeat([4, 9, 14], 5),
        instruction=np.repeat([0, 1, 0], 5),
        instructions=("lift the cup", "push"),
    )


def _mixture(episodes: Episodes) -> Mixture:
    features = FeatureContract(
        (CameraFeature("a", 28, 28), CameraFeature("b", 28, 28)),
        ("x", "y"),
        ("dx", "dy", "grip"),
        "ee_pose",
        20,
    )
    robot = Robot("arm", features, NormStats.of(episodes.state), NormStats.of(episodes.actions))
    return Mixture.of_one_robot(episodes, robot)


def test_chunks_stay_in_their_episode(episodes: Episodes):
    chunks = episodes.chunks(np.array([0, 3, 9]), 4)[..., 0]
    np.testing.assert_array_equal(chunks, [[0, 1, 2, 3], [3, 4, 4, 4], [9, 9, 9, 9]])


def test_split_holds_out_whole_episodes(episodes: Episodes):
    train, held = episodes.split(1 / 3)
    assert set(episodes.episode[train]) == {0, 1} and set(episodes.episode[held]) == {2}
    assert len(episodes.split(0.0)[1]) == 0
    assert set(episodes.episode[episodes.split(0.33)[1]]) == {2}
    for share in (1.0, 0.6, 0.4, -0.1):
        with pytest.raises(AsyncVLAError, match=rf"holdout is {share}, expected 0, or one episode in 2, 3"):
            episodes.split(share)
    with pytest.raises(AsyncVLAError, match=r"none of 3 episodes; collect more, or pass --holdout 0"):
        episodes.split(0.1)


def test_episodes_that_measure_a_rater_are_of_every_instruction(episodes: Episodes):
    # Two tasks in turn, as shards are collected: every second episode would be of the same task.
    many = replace(episodes, episode=np.arange(15), instruction=np.arange(15) % 2)
    chosen = many.validation_mask(np.arange(3, 15), 1 / 3)
    assert chosen.sum() == 4 and set(many.instruction[3:][chosen]) == {0, 1}


def test_a_batch_is_normalized_padded_and_belongs_together(episodes: Episodes):
    config = nano_config(16)
    action_stats, tokenizer = NormStats.of(episodes.actions), build_tokenizer(episodes.instructions)
    mixture = replace(_mixture(episodes), privileged=NormStats.of(episodes.privileged))
    batches = Batches(mixture, config, tokenizer)
    batch = batches.at(np.array([7, 1]), step_generator(0, 0))
    assert batch.inputs.images[:, 0, 0, 0, 0].tolist() == [7, 1]
    assert batch.inputs.state.shape == (2, config.max_state_dim) and not batch.inputs.state[:, 2:].any()
    assert not batch.actions[..., 3:].any()
    back = action_stats.unnormalize(batch.actions[..., :3].numpy())
    np.testing.assert_allclose(back[0, :3, 0], [7, 8, 9], atol=1e-4)
    assert batch.inputs.token_mask.sum(1).tolist() == [1, 3]
    assert batch.privileged is not None
    # Frames 0 to 14 have mean 7 and deviation sqrt(56 / 3).
    np.testing.assert_allclose(batch.privileged[:, 0], [0.0, -6 / np.sqrt(56 / 3)], atol=1e-6)


def test_a_blind_policy_sees_black(episodes: Episodes):
    mixture, tokenizer = _mixture(episodes), build_tokenizer(episodes.instructions)
    config = nano_config(16, image_size=28)
    blind = Batches(mixture, replace(config, blank_images=True), tokenizer, shift=2, brightness=0.1)
    seeing = Batches(mixture, config, tokenizer)
    batch, same = (b.at(np.array([7, 1]), step_generator(0, 0)) for b in (blind, seeing))
    assert not batch.inputs.images.any() and same.inputs.images.any()
    assert torch.equal(batch.inputs.state, same.inputs.state)


def test_shift_moves_whole_images_and_repeats_edges():
    row, column = torch.arange(8)[:, None], torch.arange(8)
    image = (10 * row + column).to(torch.uint8)
    shifts = set()
    for seed in range(20):
        drawn = Augmentation.draw(1, 1, 2, 0.0, step_generator(0, seed))
        moved = drawn.of(image[None, None, ..., None].expand(1, 1, 8, 8, 3))
        down, right = (place - 3 for place in divmod(int(moved[0, 0, 3, 3, 0]), 10))
        expected = image[(row + down).clamp(0, 7), (column + right).clamp(0, 7)]
        assert torch.equal(moved[0, 0], expected[..., None].expand(8, 8, 3))
        shifts |= {("down", down), ("right", right)}
    assert shifts == {(way, by) for way in ("down", "right") for by in range(-2, 3)}
    assert torch.equal(Augmentation.draw(1, 1, 0, 0.0, step_generator(0, 0)).of(moved), moved)


def test_brightness_scales_each_image_and_channel():
    image = torch.full((1, 2, 4, 4, 3), 100, dtype=torch.uint8)
    bright = Augmentation.draw(1, 2, 0, 0.1, step_generator(0, 0)).of(image)
    assert torch.equal(bright, bright[:, :, :1, :1].expand_as(bright))
    assert 90 <= int(bright.min()) < int(bright.max()) <= 110 and len(bright.unique()) > 2


def test_a_steps_randomness_depends_on_seed_step_and_process_alone():
    def draw(*key: int) -> float:
        return float(torch.rand(1, generator=step_generator(*key)))

    assert draw(0, 3, 1) == draw(0, 3, 1)
    assert len({draw(0, 3, 1), draw(0, 3, 0), draw(0, 4, 1), draw(1, 3, 1)}) == 4


def test_learning_rate_warms_up_and_falls():
    settings = TrainSettings(data=(), out=Path(), steps=100, warmup=10, lr=1.0)
    rates = [settings.learning_rate(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(1.0, abs=1e-3)
    assert rates[-1] < 0.02 and rates[10:] == sorted(rates[10:], reverse=True)


def test_a_run_resumes_exactly_and_refuses_other_settings(tmp_path: Path):
    def make() -> tuple[torch.nn.Linear, torch.optim.AdamW]:
        module = torch.nn.Linear(2, 1)
        return module, torch.optim.AdamW(module.parameters(), 0.1)

    def step(module: torch.nn.Linear, optimizer: torch.optim.AdamW) -> None:
        optimizer.zero_grad()
        module(torch.ones(1, 2)).sum().backward()
        optimizer.step()

    module, optimizer = make()
    step(module, optimizer)
    state = RunState(tmp_path, {"lr": 1, "log": 1}, ["log"])
    state.save(1, lambda folder: write_tensors(folder, dict(module.named_parameters()), {}, optimizer))
    other, other_optimizer = make()

    def load(folder: Path) -> None:
        read_tensors(folder, dict(other.named_parameters()), {}, other_optimizer)

    assert RunState(tmp_path, {"lr": 1, "log": 2}, ["log"]).resume(load) == 1
    step(module, optimizer)
    step(other, other_optimizer)
    assert torch.equal(module.weight, other.weight)
    with pytest.raises(AsyncVLAError, match="lr: 1 there, 2 here"):
        RunState(tmp_path, {"lr": 2}).resume(load)


def test_a_run_of_an_older_version_continues_under_new_names(tmp_path: Path):
    RunState(tmp_path, {"fresh": True, "label": "position"}).save(3, Path.mkdir)
    assert RunState(tmp_path, {"unseen": True, "label": "per_step"}).resume(lambda _: None) == 3
    with pytest.raises(AsyncVLAError, match="unseen: True there, False here"):
        RunState(tmp_path, {"unseen": False, "label": "per_step"}).resume(lambda _: None)


def _fresh(words: list[str], **overrides: int) -> tuple[AsyncVLA, Checkpoint]:
    tokenizer = build_tokenizer(words)
    model = AsyncVLA(nano_config(tokenizer.get_vocab_size(), rater=None, **overrides))
    stats = NormStats.of(np.random.default_rng(0).normal(size=(9, 2)))
    return model, Checkpoint(model, tokenizer, libero_features(), stats, stats)


def test_a_warm_start_takes_weights_and_known_words():
    (old, source), (new, target) = _fresh(["push milk"]), _fresh(["open milk push"])
    before = new.backbone.qwen.language_model.embed_tokens.weight.clone()
    warm_start(new, target.tokenizer, source)
    assert torch.equal(new.action_in.weight, old.action_in.weight)
    rows, was = new.backbone.qwen.language_model.embed_tokens.weight, old.backbone.qwen.language_model
    for word in ("push", "milk", "<image>"):
        theirs = was.embed_tokens.weight[source.tokenizer.token_to_id(word)]
        assert torch.equal(rows[target.tokenizer.token_to_id(word)], theirs)
    added = target.tokenizer.token_to_id("open")
    assert torch.equal(rows[added], before[added])


def test_a_warm_start_from_another_architecture_is_refused():
    (_, source), (new, target) = _fresh(["push"]), _fresh(["push"], max_action_dim=9)
    with pytest.raises(AsyncVLAError, match=r"another architecture: 3 weights differ.*action_in"):
        warm_start(new, target.tokenizer, source)


# What a policy was trained on, with a share of 0.2 held out.
GIVEN = DataRecord(("a",), 12, (40, 80), 0.2, (("aa", 5), ("bb", 7)))


@pytest.fixture(scope="module")
def untold() -> Checkpoint:
    """Return a checkpoint that does not say what it was trained on."""
    return _fresh(["push"])[1]


def test_without_a_record_of_the_data_nothing_can_be_held_out(untold: Checkpoint):
    require_same_holdout(untold, replace(GIVEN, holdout=0.0))
    with pytest.raises(AsyncVLAError, match=r"does not say what it was trained on.*give --holdout 0"):
        require_same_holdout(untold, GIVEN)


def test_what_is_held_out_was_held_out_before(untold: Checkpoint):
    source = replace(untold, trained_on=GIVEN)
    require_same_holdout(source, GIVEN)
    require_same_holdout(source, replace(GIVEN, datasets=(*GIVEN.datasets, ("cc", 2))))
    # Five episodes before it or after it: the same of "bb" are held out. Seven before "aa" are not.
    require_same_holdout(source, replace(GIVEN, datasets=(("cc", 10), ("bb", 7))))
    with pytest.raises(AsyncVLAError, match=r"in 1 of 2 datasets other episodes would be held out"):
        require_same_holdout(source, replace(GIVEN, datasets=(("bb", 7), ("aa", 5))))
    with pytest.raises(
        AsyncVLAError, match=r"trained with --holdout 0\.2.*give --holdout 0\.2, or --holdout 0"
    ):
        require_same_holdout(source, replace(GIVEN, holdout=0.1))


def test_what_the_policy_before_that_one_saw_is_not_held_out(untold: Checkpoint):
    """What none of them saw is free."""
    later = DataRecord(("d",), 9, (99,), 0.0, (("dd", 9),), before=GIVEN)
    heir = replace(untold, trained_on=later)
    require_same_holdout(heir, GIVEN)
    require_same_holdout(heir, replace(GIVEN, holdout=0.5, datasets=(("ee", 4),)))
    with pytest.raises(AsyncVLAError, match=r"in 1 of 2 datasets other episodes would be held out"):
        require_same_holdout(heir, replace(GIVEN, datasets=(("bb", 7), ("aa", 5))))
    with pytest.raises(AsyncVLAError, match=r"trained with --holdout 0\.0.*give --holdout 0, and"):
        require_same_holdout(heir, replace(later, holdout=0.1))


def test_words_unknown_to_nano_are_unk_and_long_instructions_are_refused():
    tokenizer = build_tokenizer(["Pick up the milk"])
    assert encode_words(tokenizer, ["pick UP the soup"], 8).ids.tolist()[0][-1] == 1
    with pytest.raises(ContractError, match="9 tokens, expected 1 to 8"):
        encode_words(tokenizer, ["the " * 9], 8)


def test_what_was_executed_comes_beside_what_was_to_be(episodes: Episodes):
    """Two robots' worth of numbers: executed is 100 above the action, in the same normalized units."""
    mixture, tokenizer = _mixture(episodes), build_tokenizer(episodes.instructions)
    frames = np.array([3, 12])
    plain = Batches(mixture, nano_config(16), tokenizer).at(frames, step_generator(0, 0))
    assert torch.equal(plain.executed, plain.actions)
    told = replace(mixture, episodes=replace(episodes, executed=episodes.actions + 100))
    batch = Batches(told, nano_config(16), tokenizer).at(frames, step_generator(0, 0))
    assert torch.equal(batch.actions, plain.actions)
    difference = (batch.executed - batch.actions)[..., :3]
    assert torch.allclose(difference, torch.full_like(difference, 100 / np.sqrt(56 / 3)), atol=1e-4)
    assert not batch.executed[..., 3:].any()


def test_earlier_observations_are_of_the_same_episode(episodes: Episodes):
    batches = Batches(_mixture(episodes), nano_config(16), build_tokenizer(episodes.instructions))
    generators = [step_generator(0, number) for number in range(4)]
    # Frame 6 is the second of its episode: two steps before it is another one; -1 asks for none.
    earlier = batches.earlier(np.array([8, 6, 6, 3]), np.array([2, 2, 1, -1]), generators)
    assert earlier is not None and earlier.rows.tolist() == [0, 1, 2] and earlier.age.tolist() == [2, 0, 1]
    assert earlier.inputs.images[:, 0, 0, 0, 0].tolist() == [6, 6, 5]
    assert batches.earlier(np.array([0]), np.array([-1]), generators[:1]) is None
