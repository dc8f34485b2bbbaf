from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from asyncvla_ros.bench.safety_contracts import pose_arm
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.orientation import AHEAD_RAD, goal_columns
from asyncvla_ros.control.types import Mode

ROBOT = replace(pose_arm(), ramp_s=0.0)
LIMIT = max(dof.velocity or 0.0 for dof in ROBOT.dofs[3:9])


def _columns(rotation: Rotation) -> np.ndarray:
    return rotation.as_matrix()[:, :2].T.ravel()


def _run(turns: list[Rotation], periods: int) -> np.ndarray:
    """(k, 6) columns commanded while the policy asks for one orientation after the other."""
    controller, now_ns, sent = Controller(ROBOT), 10**12, []
    controller.start()
    pose = np.concatenate([[0.4, 0.0, 0.4], _columns(Rotation.identity())])
    for number in range(len(turns) * periods):
        values = dict(zip(ROBOT.state_names, pose.tolist(), strict=False))
        controller.observe("ee_pose", now_ns, values)
        actions = np.tile(np.concatenate([[0.4, 0.0, 0.4], _columns(turns[number // periods])]), (8, 1))
        names, space, action_period_ns = ROBOT.dof_names, ROBOT.action_space, ROBOT.action_period_ns
        chunk = StampedChunk(
            1, number + 1, now_ns, action_period_ns, space, names, actions.astype(np.float32)
        )
        assert controller.accept(chunk, now_ns) is None
        command = controller.update(now_ns, now_ns)
        if command.values is not None and not np.isnan(command.values).any():
            pose = command.values
            sent.append(pose[3:9])
        now_ns += ROBOT.command_period_ns
    assert controller.mode is Mode.TRACKING
    return np.array(sent)


def _rotations(columns: np.ndarray) -> Rotation:
    first, second = columns[:, :3], columns[:, 3:]
    return Rotation.from_matrix(np.stack([first, second, np.cross(first, second)], axis=2))


@pytest.mark.parametrize("angle", [0.5, 2.0, np.pi, 3 * np.pi])
def test_it_turns_as_fast_as_it_may_and_no_faster_whatever_the_angle(angle):
    axis = np.array([0.48, 0.6, 0.64])
    sent = _run([Rotation.from_rotvec(axis * angle)] * 4, 200)
    steps = (_rotations(sent)[1:] * _rotations(sent)[:-1].inv()).magnitude()
    rates = steps / (ROBOT.command_period_ns / 1e9)
    assert 0.2 * LIMIT < rates.max() <= LIMIT
    rows = sent.reshape(-1, 2, 3)
    assert rows @ rows.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(2), (len(sent), 1, 1)), abs=1e-9)
    assert (_rotations(sent)[-1] * Rotation.from_rotvec(axis * angle).inv()).magnitude() < 1e-2


def test_half_a_turn_back_and_forth_is_no_fault():
    half = [Rotation.identity(), Rotation.from_rotvec([np.pi, 0, 0]), Rotation.from_rotvec([0, np.pi, 0])]
    sent = _run(half * 3, 40)
    steps = (_rotations(sent)[1:] * _rotations(sent)[:-1].inv()).magnitude()
    assert steps.max() / (ROBOT.command_period_ns / 1e9) <= LIMIT


def test_what_is_no_orientation_is_not_aimed_at():
    now = _columns(Rotation.identity())
    assert goal_columns(now, [1.0, 0, 0, 2.0, 0, 0]) is None
    far = goal_columns(now, _columns(Rotation.from_rotvec([0, 0, 2.0])))
    assert far is not None
    assert far[:2] == pytest.approx([np.cos(AHEAD_RAD), np.sin(AHEAD_RAD)])
