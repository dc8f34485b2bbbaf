"""Tests with the real simulator; one environment is shared, since making one takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asyncvla_ros.data.dataset import dataset_roots
from asyncvla_ros.sim.collect import collect
from asyncvla_ros.sim.collection import CollectSettings
from asyncvla_ros.sim.evaluation.results import EvalSettings
from asyncvla_ros.sim.evaluation.rollout import evaluate
from asyncvla_ros.sim.expert.demonstrator import Expert
from asyncvla_ros.sim.libero.conventions import STATE_NAMES
from asyncvla_ros.sim.libero.env import IDLE_ACTION, LiberoEnv
from asyncvla_ros.sim.libero.tasks import get_task, list_tasks, max_steps
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError
from support.policies import LIBERO_FEATURES, StillPolicy

pytestmark = pytest.mark.libero


@pytest.fixture(scope="module")
def env() -> Iterator[LiberoEnv]:
    with LiberoEnv("libero_object", 1, render="decimated") as made:
        yield made


def _object_positions(env: LiberoEnv) -> np.ndarray:
    return np.array([env.scene.body_position(name) for name in env.scene.object_names()])


def test_tasks_and_their_errors() -> None:
    tasks = list_tasks("libero_object")
    assert len(tasks) == 10
    assert tasks[1].instruction == "pick up the cream cheese and place it in the basket"
    with pytest.raises(AsyncVLAError, match=r"libero_object.*libero_goal"):
        list_tasks("libero_objects")
    with pytest.raises(AsyncVLAError, match="0 to 9"):
        get_task("libero_object", 10)


def test_fast_rendering_looks_like_the_official_one(env: LiberoEnv) -> None:
    env.reset(seed=5)
    fast = env.render_images()
    with LiberoEnv("libero_object", 1) as official:
        official.reset(seed=5)
        images = official.render_images()
    for key, image in images.items():
        difference = np.abs(fast[key].astype(float) - image)
        assert 0 < difference.mean() < 4, key
    env.reset(seed=6)
    assert np.abs(env.render_images()["agentview"].astype(float) - images["agentview"]).mean() > 4


def test_observation_fits_the_contract(env: LiberoEnv) -> None:
    env.reset(seed=0)
    observation = env.observe(stamp_ns=5)
    assert LIBERO_FEATURES.state_names == STATE_NAMES
    assert observation.state.shape == (11,)
    assert observation.state.dtype == np.float32
    for camera in LIBERO_FEATURES.cameras:
        image = observation.images[camera.key]
        assert image.shape == (camera.height, camera.width, 3)
        assert image.dtype == np.uint8
        assert image.std() > 10


def test_images_are_upright(env: LiberoEnv) -> None:
    """In the agent's view the horizon and the robot's base are above, the floor below."""
    env.reset(seed=0)
    image = env.render_images()["agentview"].astype(int)
    # The plaster wall at the top is gray, the wooden floor at the bottom is brownish.
    warmth = image[..., 0] - image[..., 2]
    assert warmth[:20].mean() < warmth[-40:].mean() - 5


def test_resets_repeat_and_widened_ones_move_objects_further(env: LiberoEnv) -> None:
    env.reset(seed=1)
    first, joints = _object_positions(env), env.joint_positions
    env.reset(seed=2)
    other = _object_positions(env)
    env.reset(seed=1)
    np.testing.assert_allclose(_object_positions(env), first, atol=1e-9)
    np.testing.assert_allclose(env.joint_positions, joints, atol=1e-9)
    assert np.abs(other - first).max() > 1e-3
    env.reset(seed=1, placement="widened", displace_m=0.04)
    shifts = np.abs(_object_positions(env) - first)[:, :2]
    assert 0.015 < shifts.max() < 0.06


def test_official_states_are_not_the_random_ones_and_repeat(env: LiberoEnv) -> None:
    assert env.init_states().shape[0] == 50
    env.reset(seed=0)
    random = _object_positions(env)
    env.reset_to_init(0)
    official, state = _object_positions(env), env.state()
    assert np.abs(official - random).max() > 1e-3
    env.reset_to_init(1)
    env.reset_to_init(0)
    np.testing.assert_allclose(env.state(), state, atol=1e-6)
    with pytest.raises(AsyncVLAError, match="0 to 49"):
        env.reset_to_init(50)


def test_every_suite_starts_with_the_arm_in_the_same_pose_of_its_base_frame() -> None:
    states = []
    for suite in ("libero_object", "libero_goal"):
        with LiberoEnv(suite, 0, "off") as env:
            env.reset_to_init(0)
            states.append(env.state())
    # The table of one is 0.9 m high and 6 cm farther away; arms start with 0.02 rad of noise.
    np.testing.assert_allclose(*states, atol=0.03)
    np.testing.assert_allclose(states[0][:3], [0.46, 0.0, 0.26], atol=0.05)


def test_steps_move_the_arm_and_reject_nonsense(env: LiberoEnv) -> None:
    env.reset(seed=0)
    start, _ = env.ee_pose_in_base
    action = IDLE_ACTION.copy()
    action[2] = -0.5
    # The impedance controller lags: five steps move 2.8 cm, of 12.5 cm commanded.
    for _ in range(10):
        env.step(action)
    end, _ = env.ee_pose_in_base
    assert end[2] < start[2] - 0.03
    for wrong in (np.zeros(6), np.full(7, np.nan)):
        with pytest.raises(AsyncVLAError, match=r"shape \(7,\)"):
            env.step(wrong)


def test_the_expert_solves_a_task(env: LiberoEnv) -> None:
    env.reset(seed=3)
    expert = Expert(env.scene)
    for _ in range(max_steps("libero_object")):
        env.step(expert.act())
        if env.success:
            break
    assert env.success


@pytest.mark.parametrize(("suite", "task"), [("libero_goal", 0), ("libero_goal", 5), ("libero_goal", 7)])
def test_the_expert_opens_pushes_and_turns(suite: str, task: int) -> None:
    with LiberoEnv(suite, task, render="off") as goal_env:
        goal_env.reset(seed=102)
        expert = Expert(goal_env.scene)
        for _ in range(max_steps(suite)):
            goal_env.step(expert.act())
            if goal_env.success:
                break
        assert goal_env.success


def test_collected_demonstrations_load_back_and_a_rerun_continues(tmp_path: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    config = CollectSettings("libero_object", (9,), 1, out=tmp_path / "data", episodes_per_part=1, workers=1)
    collect(config)
    (root,) = dataset_roots(config.out)
    written = root.stat().st_mtime_ns
    dataset = LeRobotDataset(f"local/{root.name}", root=root, video_backend="pyav")
    assert dataset.num_episodes == 1
    assert 40 < dataset.num_frames <= max_steps("libero_object")
    frame = dataset[dataset.num_frames - 1]
    assert frame["observation.images.wrist"].shape == (3, 224, 224)
    assert frame["action"].shape == (7,)
    assert frame["action"].abs().max() <= 1
    assert frame["observation.privileged"].shape == (6,)
    assert frame["task"] == "pick up the orange juice and place it in the basket"

    reports = []
    collect(replace(config, episodes_per_task=2), lambda report, done, total: reports.append((done, total)))
    assert reports == [(2, 2)]
    assert len(dataset_roots(config.out)) == 2
    assert root.stat().st_mtime_ns == written


def test_evaluation_of_a_policy_that_does_nothing(tmp_path: Path) -> None:
    policies: list[StillPolicy] = []

    def load() -> StillPolicy:
        policies.append(StillPolicy())
        return policies[-1]

    sfm = Strategy("sfm")
    config = EvalSettings(
        "libero_object", (1,), (4,), sfm, video_dir=tmp_path, render="decimated", blank_images=True
    )
    result = evaluate(load, config)  # type: ignore[arg-type]
    (episode,) = result["episodes"]
    expected = {"task": 1, "init": 4, "success": False, "steps": 280, "inferences": 70, "dry_steps": 0}
    assert expected.items() <= episode.items() and episode["approached"] is None
    assert result["refined_fraction"] == 0.5
    assert result["inference_ms"]["p50"] == 10.0
    assert len(set(policies[0].seeds)) == 70
    assert policies[0].brightest == 0
    assert [path.name for path in tmp_path.iterdir()] == ["libero_object_task01_init04_failure.mp4"]


def test_evaluation_rejects_unknown_initial_states() -> None:
    config = EvalSettings("libero_object", (0,), (0, 50), workers=1)
    with pytest.raises(AsyncVLAError, match="0 to 49"):
        evaluate(StillPolicy, config)  # type: ignore[arg-type]
