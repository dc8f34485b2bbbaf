from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.checkpoint import load_checkpoint, save_checkpoint
from asyncvla_ros.model.images import resize_image
from asyncvla_ros.policy import Policy
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import (
    ActionChunk,
    AsyncVLAError,
    CheckpointError,
    ContractError,
    Observation,
    Previous,
)
from support.checkpoints import tiny_checkpoint

SFM = Strategy("sfm")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return Policy.from_checkpoint(tiny_checkpoint(tmp_path_factory.mktemp("policy") / "tiny"), threads=1)


@pytest.fixture
def observation(policy: Policy) -> Observation:
    rng = np.random.default_rng(0)
    images = {
        c.key: rng.integers(0, 256, (c.height, c.width, 3), dtype=np.uint8) for c in policy.features.cameras
    }
    state = rng.normal(size=len(policy.features.state_names)).astype(np.float32)
    return Observation(images, state, "pick up the milk and place it in the basket")


def test_a_chunk_has_physical_actions_confidence_and_times(policy: Policy, observation: Observation):
    chunk = policy.infer(observation, seed=0)
    assert chunk.actions.shape == (policy.chunk_size, 7) and chunk.actions.dtype == np.float32
    assert chunk.confidence is not None and chunk.confidence.shape == (policy.chunk_size,)
    assert ((chunk.confidence > 0) & (chunk.confidence < 1)).all()
    assert chunk.times.total >= chunk.times.prefix > 0


def test_same_seed_same_chunk(policy: Policy, observation: Observation):
    first, second = policy.infer(observation, seed=3), policy.infer(observation, seed=3)
    np.testing.assert_array_equal(first.actions, second.actions)
    assert not np.array_equal(first.actions, policy.infer(observation, seed=4).actions)


def test_refinement_changes_exactly_what_the_rater_doubts(policy: Policy, observation: Observation):
    draft = policy.infer(observation, SFM, seed=0)
    assert not draft.refined.any()
    assert policy.infer(observation, Strategy(threshold=1.0), seed=0).refined.all()
    untouched = policy.infer(observation, Strategy(threshold=0.0), seed=0)
    np.testing.assert_array_equal(untouched.actions, draft.actions)
    np.testing.assert_array_equal(untouched.confidence, draft.confidence)
    some, confidence = doubting_half(policy, observation)
    np.testing.assert_array_equal(some.refined, confidence < np.median(confidence))
    np.testing.assert_array_equal(some.actions[~some.refined], draft.actions[~some.refined])
    assert (some.actions[some.refined] != draft.actions[some.refined]).any(axis=1).all()


def doubting_half(policy: Policy, observation: Observation, **changes: Any) -> tuple[ActionChunk, np.ndarray]:
    """Infer with the median confidence of the draft as threshold; return the chunk and that confidence."""
    confidence = policy.infer(observation, Strategy(threshold=0.0), seed=0).confidence
    assert confidence is not None
    strategy = Strategy(threshold=float(np.median(confidence)), **changes)
    return policy.infer(observation, strategy, seed=0), confidence


def test_the_same_seed_pairs_all_strategies(policy: Policy, observation: Observation):
    """What is kept are the bits of the synchronous draft; the random control has as many as the rater."""
    draft = policy.infer(observation, SFM, seed=0)
    by_rater, _ = doubting_half(policy, observation)
    by_chance, _ = doubting_half(policy, observation, select="random")
    by_variance = policy.infer(observation, Strategy(select="variance", threshold=0.5), seed=0)
    for chunk in (by_rater, by_chance, by_variance):
        np.testing.assert_array_equal(chunk.actions[~chunk.refined], draft.actions[~chunk.refined])
    assert by_chance.refined.sum() == by_rater.refined.sum() == 4
    assert by_chance.refined.tolist() != by_rater.refined.tolist()
    np.testing.assert_array_equal(by_chance.confidence, by_rater.confidence)
    assert by_variance.confidence is None and by_variance.times.rate == 0
    assert draft.variance is None
    np.testing.assert_array_equal(by_variance.variance > 0.5, by_variance.refined)


def test_no_strategy_touches_committed_actions(policy: Policy, observation: Observation):
    frozen = np.full((3, 7), 0.25, np.float32)
    previous = Previous(frozen, delay=3)
    for strategy in (
        Strategy(threshold=1.0, rounds=2),
        Strategy(select="random", threshold=1.0),
        Strategy(select="variance", threshold=0.0),
        Strategy(threshold=1.0, best_of=3),
    ):
        chunk = policy.infer(observation, replace(strategy, handover="commit"), previous, seed=0)
        np.testing.assert_array_equal(chunk.actions[:3], frozen)
        assert chunk.refined.tolist() == [False] * 3 + [True] * 5


def test_more_steps_give_another_draft_and_stage_times_add_up(policy: Policy, observation: Observation):
    draft = policy.infer(observation, SFM, seed=0)
    finer = policy.infer(observation, Strategy("sfm", denoise_steps=7), seed=0)
    assert not np.array_equal(finer.actions, draft.actions)
    assert draft.times.rate > 0 == draft.times.refine
    times = policy.infer(observation, Strategy(threshold=1.0, rounds=3, best_of=2), seed=0).times
    stages = (times.prefix, times.draft, times.rate, times.refine)
    assert min(stages) > 0 and sum(stages) <= times.total


def test_committed_actions_start_the_chunk_unchanged(policy: Policy, observation: Observation):
    frozen = np.linspace(-0.5, 0.5, 56, dtype=np.float32).reshape(8, 7)
    for delay, count in ((0, 0), (3, 3), (7, 7), (8, 7), (100, 7)):
        chunk = policy.infer(observation, Strategy(handover="commit"), Previous(frozen, delay), seed=0)
        np.testing.assert_array_equal(chunk.actions[:count], frozen[:count])
        assert chunk.n_frozen == count and not chunk.refined[:count].any()
        assert chunk.kept is not None and chunk.kept.tolist() == [True] * count + [False] * (8 - count)
        assert (chunk.actions[count:] != frozen[count:]).any(), "at least one action is generated"


@pytest.mark.parametrize("shape", [(2, 6), (7,)])
def test_a_plan_of_a_wrong_shape_is_refused(policy: Policy, observation: Observation, shape: tuple[int, ...]):
    with pytest.raises(ContractError, match=r"expected \(k, 7\) finite numbers"):
        policy.infer(observation, previous=Previous(np.zeros(shape), 1))


@pytest.mark.parametrize("engine", ["plain", "compiled"])
def test_guidance_moves_a_chunk_towards_the_old_plan(
    tmp_path: Path, observation: Observation, engine: str, monkeypatch: pytest.MonkeyPatch
):
    compiled = torch.compile
    # Inductor needs a compiler and minutes.
    monkeypatch.setattr(torch, "compile", lambda f, **kw: compiled(f, **{**kw, "backend": "eager"}))
    policy = Policy.from_checkpoint(tiny_checkpoint(tmp_path / "tiny"), engine=engine, threads=1)
    old = np.linspace(-0.5, 0.5, 35, dtype=np.float32).reshape(5, 7)

    def distance(**strategy: Any) -> float:
        chunk = policy.infer(observation, Strategy("sfm", **strategy), Previous(old, 1), seed=0)
        assert chunk.n_frozen == 0 and chunk.kept is not None and not chunk.kept.any()
        return float(np.square(chunk.actions[:5] - old).sum())

    free = distance(handover="switch")
    assert distance(handover="guided", guidance=0.0) == pytest.approx(free, rel=1e-3)
    assert distance(handover="guided") < 0.5 * free
    if engine == "plain":
        full = distance(handover="guided", jacobian="full")
        assert full < 0.9 * free and full != distance(handover="guided")
    else:
        with pytest.raises(ContractError, match="only engine 'plain' can"):
            policy.check(Strategy(handover="guided", jacobian="full"))


def test_kept_actions_are_the_bits_that_were_given(policy: Policy, observation: Observation):
    old = np.random.default_rng(1).normal(size=(6, 7)).astype(np.float32)
    for strategy in (
        Strategy(handover="keep_all"),
        Strategy(handover="keep", threshold=0.0),
        Strategy("sfm", handover="keep_random", threshold=0.0, best_of=3, choose="mean"),
    ):
        chunk = policy.infer(observation, strategy, Previous(old, 2), seed=0)
        assert chunk.n_frozen == 2 and chunk.kept is not None
        assert chunk.kept.tolist() == [True] * 6 + [False] * 2 and not chunk.refined[:6].any()
        np.testing.assert_array_equal(chunk.actions[:6], old)


def test_what_is_said_of_nothing_is_as_the_checkpoint_says(tmp_path: Path, observation: Observation):
    source = load_checkpoint(tiny_checkpoint(tmp_path / "tiny"))
    own = {"mode": "sfm", "best_of": 2, "choose": "mean", "handover": "commit"}
    source.model.configure(replace(source.model.config, strategy=own))
    save_checkpoint(tmp_path / "own", source)
    policy, old = Policy.from_checkpoint(tmp_path / "own", threads=1), np.zeros((4, 7), np.float32)
    assert policy.resolve(Strategy(best_of=3)) == Strategy(
        "sfm", "rater", None, 1, 2, 2, 3, "mean", "commit", "identity", 5.0
    )
    policy.warmup(1)
    policy.check(Strategy())
    left_open = policy.infer(observation, previous=Previous(old, 1), seed=0)
    said = policy.infer(observation, Strategy(**own), Previous(old, 1), seed=0)
    np.testing.assert_array_equal(left_open.actions, said.actions)
    assert left_open.n_frozen == 1 and left_open.confidence is not None and left_open.variance is not None
    other = policy.infer(observation, Strategy("afm", threshold=1.0), Previous(old, 1), seed=0)
    assert other.refined[1:].all(), "the command line wins"


def test_a_checkpoint_from_before_decides_as_the_paper_does(policy: Policy):
    assert policy.resolve(Strategy()) == Strategy(
        "afm", "rater", None, 1, 2, 2, 1, "rater", "switch", "identity", 5.0
    )


def test_an_ensemble_sends_the_mean_and_tells_the_draft(policy: Policy, observation: Observation):
    old = np.full((4, 7), 0.25, np.float32)
    plain = policy.infer(observation, SFM, seed=0)
    chunk = policy.infer(observation, Strategy("sfm", handover="ensemble"), Previous(old, 0, (old,)), seed=0)
    assert chunk.draft is not None and plain.draft is None
    np.testing.assert_array_equal(chunk.draft, plain.actions)
    np.testing.assert_allclose(chunk.actions[4:], plain.actions[4:], atol=1e-6)
    weight = np.exp(-0.01)
    mean = (old[:, :6] + weight * plain.actions[:4, :6]) / (1 + weight)
    np.testing.assert_allclose(chunk.actions[:4, :6], mean, atol=1e-5)


def test_a_blind_policy_does_not_look(tmp_path: Path, observation: Observation):
    seeing = load_checkpoint(tiny_checkpoint(tmp_path / "tiny"))
    blind = replace(seeing, model=AsyncVLA(replace(seeing.model.config, blank_images=True)))
    blind.model.load_state_dict(seeing.model.state_dict())
    dark = replace(observation, images={key: 0 * image for key, image in observation.images.items()})
    actions = [
        Policy(checkpoint).infer(seen, SFM, seed=0).actions
        for checkpoint, seen in ((blind, observation), (blind, dark), (seeing, dark), (seeing, observation))
    ]
    np.testing.assert_array_equal(actions[0], actions[1])
    np.testing.assert_array_equal(actions[0], actions[2])
    assert not np.array_equal(actions[0], actions[3])


def test_bad_observations_say_what_was_expected(policy: Policy, observation: Observation):
    with pytest.raises(ContractError, match="camera 'wrist' is missing"):
        policy.infer(replace(observation, images={"agentview": observation.images["agentview"]}))
    with pytest.raises(ContractError, match="state is not finite: "):
        policy.infer(replace(observation, state=np.full(11, np.nan, np.float32)))
    with pytest.raises(ContractError, match="0 tokens, expected 1 to"):
        policy.infer(replace(observation, instruction=""))


def test_resizing_averages_areas_and_refuses_other_images():
    image = np.zeros((4, 4, 3), np.uint8)
    image[::2] = 200
    assert (resize_image(image, 2) == 100).all()
    with pytest.raises(ContractError, match="expected \\(height, width, 3\\) uint8"):
        resize_image(np.zeros((4, 4), np.uint8), 2)


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str):
    with pytest.raises(AsyncVLAError, match=f"device is '{device}', which torch cannot use .*such as 'cpu'"):
        Policy.from_checkpoint(device=device)


def test_words_that_no_training_has_seen_are_named(policy):
    assert policy.unknown_words("Lift the violet the violet") == ("violet",)
    assert policy.unknown_words("lift") == ()
    with pytest.raises(ContractError, match=r"'dance!': the policy knows none of its words; it knows .*lift"):
        policy.unknown_words("dance!")
    for text, count in (("  ", 0), ("lift " * 50, 50)):
        with pytest.raises(ContractError, match=f"has {count} tokens, expected 1 to"):
            policy.unknown_words(text)


def test_an_engine_that_cannot_compile_falls_back_and_says_so(
    tmp_path: Path, observation: Observation, monkeypatch: pytest.MonkeyPatch
):
    folder = tiny_checkpoint(tmp_path / "tiny")
    plain = Policy.from_checkpoint(folder).infer(observation, SFM, seed=0).actions

    def no_compiler(*args: object, **kwargs: object) -> object:
        def fail(*args: object) -> None:
            raise RuntimeError("no compiler\nand much more")

        return fail

    monkeypatch.setattr(torch, "compile", no_compiler)
    policy = Policy.from_checkpoint(folder, engine="compiled")
    assert policy.engine == "compiled"
    policy.warmup(1)
    assert policy.engine == "plain"
    assert policy.engine_note == "engine 'compiled' does not run here (no compiler); using 'plain'"
    np.testing.assert_allclose(policy.infer(observation, SFM, seed=0).actions, plain, atol=1e-5)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("fast", r"choose one of \('auto', 'plain', 'onnx', 'compiled', 'graph'\)"),
        ("graph", "the device is 'cpu'"),
    ],
)
def test_an_engine_that_is_not_there_is_refused(tmp_path: Path, engine: str, message: str):
    with pytest.raises(AsyncVLAError, match=message):
        Policy.from_checkpoint(tiny_checkpoint(tmp_path / "tiny"), engine=engine)


def test_eight_bits_are_used_where_the_actions_stay_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("torchao")
    folder = tiny_checkpoint(tmp_path / "tiny")
    rough = Policy.from_checkpoint(folder, weights="int8")
    fine = Policy.from_checkpoint(folder)
    assert 0 < np.abs(rough.probe().numpy() - fine.probe().numpy()).max() < 0.1
    monkeypatch.setattr("asyncvla_ros.model.quantize.LARGEST_ERROR", 1e-6)
    with pytest.raises(CheckpointError, match=r"with int8 weights .* at most 1e-06 is allowed"):
        Policy.from_checkpoint(folder, weights="int8")
