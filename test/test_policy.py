from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asyncvla_ros.model.images import resize_image
from asyncvla_ros.policy import Policy
from asyncvla_ros.types import AsyncVLAError, ContractError, Observation
from support.checkpoints import tiny_checkpoint


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


def test_refinement_regenerates_exactly_what_the_rater_doubts(policy: Policy, observation: Observation):
    draft = policy.infer(observation, mode="sfm", seed=0)
    assert draft.confidence is None and not draft.refined.any()
    threshold = policy.threshold
    try:
        policy.threshold = 1.0
        assert policy.infer(observation, seed=0).refined.all()
        policy.threshold = 0.0
        untouched = policy.infer(observation, seed=0)
        np.testing.assert_array_equal(untouched.actions, draft.actions)
        confidence = untouched.confidence
        assert confidence is not None
        policy.threshold = float(np.median(confidence))
        some = policy.infer(observation, seed=0)
        np.testing.assert_array_equal(some.refined, confidence < policy.threshold)
        np.testing.assert_array_equal(some.actions[~some.refined], draft.actions[~some.refined])
        assert not np.array_equal(some.actions[some.refined], draft.actions[some.refined])
    finally:
        policy.threshold = threshold


def test_committed_actions_start_the_chunk_unchanged(policy: Policy, observation: Observation):
    committed = np.linspace(-0.5, 0.5, 21, dtype=np.float32).reshape(3, 7)
    policy_chunk = policy.infer(observation, committed=committed, seed=0)
    np.testing.assert_array_equal(policy_chunk.actions[:3], committed)
    assert policy_chunk.committed == 3 and not policy_chunk.refined[:3].any()


@pytest.mark.parametrize("shape", [(8, 7), (2, 6), (7,)])
def test_committed_of_a_wrong_shape_is_refused(
    policy: Policy, observation: Observation, shape: tuple[int, ...]
):
    with pytest.raises(ContractError, match=r"expected \(k, 7\) with k < 8"):
        policy.infer(observation, committed=np.zeros(shape))


def test_bad_observations_say_what_was_expected(policy: Policy, observation: Observation):
    with pytest.raises(ContractError, match="camera 'wrist' is missing"):
        policy.infer(replace(observation, images={"agentview": observation.images["agentview"]}))
    with pytest.raises(ContractError, match="expected 11 finite numbers"):
        policy.infer(replace(observation, state=np.full(11, np.nan, np.float32)))
    with pytest.raises(ContractError, match="0 tokens, expected 1 to"):
        policy.infer(replace(observation, instruction=""))
    with pytest.raises(ContractError, match="choose one of"):
        policy.infer(observation, mode="fast")


def test_an_absent_gpu_is_one_clear_error(tmp_path: Path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(AsyncVLAError, match="choose 'cpu'"):
        Policy.from_checkpoint(tmp_path, device="cuda")


def test_resizing_averages_areas_and_refuses_other_images():
    image = np.zeros((4, 4, 3), np.uint8)
    image[::2] = 200
    assert (resize_image(image, 2) == 100).all()
    with pytest.raises(ContractError, match="expected \\(height, width, 3\\) uint8"):
        resize_image(np.zeros((4, 4), np.uint8), 2)
