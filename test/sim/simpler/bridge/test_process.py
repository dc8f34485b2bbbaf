"""The simulator itself, with files made in code: each test of one process, because it takes long to start."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asyncvla_ros.sim.simpler.bridge.conventions import bridge_state, simulator_command
from asyncvla_ros.sim.simpler.bridge.expert import BridgeExpert
from asyncvla_ros.sim.simpler.bridge.process import BridgeSim
from asyncvla_ros.sim.simpler.bridge.tasks import get_task
from asyncvla_ros.sim.simpler.bridge.world import BridgeState
from asyncvla_ros.types import AsyncVLAError, RunError
from support.bridge_assets import GRAY, made_assets

HOLD = np.array([0, 0, 0, 0, 0, 0, 1.0])


@pytest.fixture(scope="module")
def assets(tmp_path_factory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = made_assets(tmp_path_factory.mktemp("assets"))
        patch.setenv("MS_ASSET_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def stack(assets) -> Iterator[BridgeSim]:
    with BridgeSim(get_task("stack")) as sim:
        yield sim


def steps(sim: BridgeSim, *action: float, count: int = 1) -> BridgeState:
    for _ in range(count):
        frame = sim.step(simulator_command(np.array(action)))
    return frame


@pytest.mark.vulkan
@pytest.mark.slow
def test_the_arm_begins_where_the_real_one_did(stack):
    frame = stack.reset(0, seed=0)
    state = bridge_state(frame.pose_ee_in_base, frame.fingers_m)
    np.testing.assert_allclose(state, [0.292, -0.006, 0.135, -0.005, 0.057, -0.019, 0, 1], atol=1e-3)
    assert "mani_skill" not in sys.modules and "sapien" not in sys.modules


@pytest.mark.vulkan
@pytest.mark.slow
def test_actions_are_meters_and_radians_along_the_axes_of_the_base(stack):
    first = bridge_state(*_seen(stack.reset(0, seed=0)))
    steps(stack, 0.02, 0.03, -0.01, 0, 0, 0.2, 1)
    moved = bridge_state(*_seen(steps(stack, *HOLD, count=6)))
    np.testing.assert_allclose(moved[:3] - first[:3], [0.02, 0.03, -0.01], atol=4e-3)
    assert moved[5] - first[5] == pytest.approx(0.2, abs=0.02)
    assert moved[7] == pytest.approx(1)
    closed = bridge_state(*_seen(steps(stack, 0, 0, 0, 0, 0, 0, 0, count=5)))
    assert closed[7] == pytest.approx(0, abs=0.02)


@pytest.mark.vulkan
@pytest.mark.slow
def test_the_camera_shows_robot_and_objects_before_the_photo(stack):
    image = stack.reset(0, seed=0).image.astype(int)
    assert image.shape == (480, 640, 3)
    assert (image == GRAY).all(axis=2).mean() > 0.5
    red, green, blue = np.moveaxis(image, 2, 0)
    assert 200 < ((green > red + 60) & (green > blue + 60)).sum() < 10_000, "the green cube"
    assert 200 < ((green > blue + 60) & (red > blue + 60)).sum() < 10_000, "the yellow one"


@pytest.mark.vulkan
@pytest.mark.slow
def test_placements_repeat_whatever_was_before(stack):
    other, first = stack.reset(4, seed=0), stack.reset(3, seed=0)
    expert, frame = BridgeExpert(stack.task, first), first
    for _ in range(10):
        frame = stack.step(simulator_command(expert.act(frame)))
    # The closed fingers are where the cube has to be.
    assert steps(stack, 0, 0, 0, 0, 0, 0, 0, count=3).pose_ee_in_base[2, 3] < 0.03
    again = stack.reset(3, seed=0)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.pose_source_in_base, again.pose_source_in_base)
    assert np.linalg.norm((first.pose_target_in_base - other.pose_target_in_base)[:3, 3]) > 0.01
    with pytest.raises(AsyncVLAError, match="placements 0 to 23, got 24"):
        stack.reset(24, seed=0)


@pytest.mark.vulkan
@pytest.mark.slow
def test_the_scripted_motion_stacks_and_the_episode_goes_on(stack):
    frame = stack.reset(1, seed=0)
    assert not frame.success
    expert, solved = BridgeExpert(stack.task, frame), []
    for _ in range(stack.task.max_steps):
        frame = stack.step(simulator_command(expert.act(frame)))
        solved.append(frame.success)
    assert solved[-1] and not any(solved[:20])
    above = frame.pose_source_in_base[:3, 3] - frame.pose_target_in_base[:3, 3]
    np.testing.assert_allclose(above, [0, 0, 0.03], atol=8e-3)


@pytest.mark.vulkan
@pytest.mark.slow
def test_a_simulator_that_ends_is_one_clear_error(assets):
    with BridgeSim(get_task("eggplant")) as sim:
        frame = sim.reset(0, seed=0)
        assert frame.image.shape == (480, 640, 3) and not sim.step(HOLD).success
        with pytest.raises(RunError, match="'eggplant' failed: "):
            sim.step(np.zeros(3))
        assert sim.step(HOLD).image.shape == (480, 640, 3), "it lives on after a bad request"
        os.kill(sim.pid, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(RunError, match="'eggplant' ended with exit code -9; its last words: "):
                sim.step(HOLD)


@pytest.mark.vulkan
def test_without_vulkan_the_user_is_told_what_to_run(assets, monkeypatch, tmp_path):
    (tmp_path / "icd.json").write_text("{}")
    monkeypatch.setenv("VK_ICD_FILENAMES", str(tmp_path / "icd.json"))
    with pytest.raises(AsyncVLAError) as raised:
        BridgeSim(get_task("stack"))
    assert "python3 tools/vulkan.py" in str(raised.value) and "\n" not in str(raised.value)


def _seen(frame: BridgeState) -> tuple[np.ndarray, np.ndarray]:
    return frame.pose_ee_in_base, frame.fingers_m
