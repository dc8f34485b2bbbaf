from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asyncvla_ros.bench.safety_contracts import joint_arm
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.types import Mode
from asyncvla_ros.robot.contract import (
    Dof,
    GuardedFrame,
    JointStateSource,
    Output,
    Plane,
    RobotContract,
    ToolLimits,
)
from asyncvla_ros.types import ContractError
from support.urdf import PLANAR

JOINTS = ("shoulder", "elbow", "lift")
PERIOD_NS = 20_000_000
START = np.array([0.3, 0.6, 0.0])


def _robot(
    speed: float | None = None, frames: tuple[GuardedFrame, ...] = (), adapter: str = ""
) -> RobotContract:
    arm = joint_arm()
    dofs = tuple(
        Dof(
            name,
            unit,
            1.0,
            is_delta=False,
            minimum=-2.5,
            maximum=2.5,
            velocity=2.0,
            acceleration=6.0,
            jerk=60.0,
        )
        for name, unit in zip(JOINTS, ("rad", "rad", "m"), strict=True)
    )
    outputs = (Output(adapter, "joints", JOINTS, JOINTS),) if adapter else ()
    return replace(
        arm,
        base_frame="base",
        dofs=dofs,
        command_hz=50.0,
        ramp_s=0.0,
        state=(JointStateSource("joint_states", JOINTS, JOINTS),),
        outputs=outputs,
        guard=ToolLimits("tip", speed, frames),
    )


def _tip(joints: np.ndarray) -> np.ndarray:
    """(m, 3) by school trigonometry: upper arm 0.5 m, fore arm 0.4 m, 0.1 m above the base."""
    shoulder, elbow, lift = joints.T
    x = 0.5 * np.cos(shoulder) + 0.4 * np.cos(shoulder + elbow)
    y = 0.5 * np.sin(shoulder) + 0.4 * np.sin(shoulder + elbow)
    return np.stack([x, y, 0.1 + lift], axis=1)


class Rig:
    """An arm that obeys at once."""

    def __init__(self, robot: RobotContract):
        self.robot, self.position = robot, START.copy()
        self.controller = Controller(robot, urdf=PLANAR)
        self.controller.start()
        self.now_ns, self.ids, self.commands = 10**12, 0, []

    def go(self, goal: np.ndarray, periods: int) -> np.ndarray:
        """(periods, 3) commands while every chunk asks for one goal."""
        first = len(self.commands)
        for number in range(periods):
            values = dict(zip(JOINTS, self.position.tolist(), strict=True))
            self.controller.observe("joint_states", self.now_ns, values)
            if number % 5 == 0:
                self.ids += 1
                actions = np.broadcast_to(goal.astype(np.float32), (8, 3))
                names, space = self.robot.dof_names, self.robot.action_space
                action_period_ns = self.robot.action_period_ns
                chunk = StampedChunk(1, self.ids, self.now_ns, action_period_ns, space, names, actions)
                assert self.controller.accept(chunk, self.now_ns) is None
            command = self.controller.update(self.now_ns, self.now_ns)
            if command.values is not None and not np.isnan(command.values).any():
                self.position = command.values
                self.commands.append(command.values)
            self.now_ns += PERIOD_NS
        return np.array(self.commands[first:])


WALL = GuardedFrame("tip", None, (Plane((0.0, -1.0, 0.0), -0.7),))
BOX = GuardedFrame("tip", ((-1.0, 1.0), (-1.0, 1.0), (0.0, 0.3)), ())


@pytest.mark.parametrize("adapter", ["", "joint_trajectory"])
def test_the_arm_stops_at_a_wall_and_comes_back(adapter):
    rig = Rig(_robot(frames=(WALL,), adapter=adapter))
    there = _tip(rig.go(np.array([1.6, 0.3, 0.0]), 400))
    assert there[:, 1].max() <= 0.7
    assert there[-1, 1] > 0.68, "as far as it may"
    assert rig.controller.mode is Mode.TRACKING
    back = _tip(rig.go(START, 400))
    assert back[:, 1].max() <= 0.7 and np.abs(back[-1] - _tip(START[None])[0]).max() < 1e-3


def test_without_the_wall_it_would_have_gone_through():
    assert _tip(Rig(_robot()).go(np.array([1.6, 0.3, 0.0]), 400))[:, 1].max() > 0.85


def test_a_box_bounds_every_side():
    rig = Rig(_robot(frames=(BOX,)))
    heights = _tip(rig.go(np.array([0.3, 0.6, 2.0]), 300))[:, 2]
    assert 0.28 < heights.max() <= 0.3
    heights = _tip(rig.go(np.array([0.3, 0.6, -2.0]), 300))[:, 2]
    assert 0.0 <= heights.min() < 0.02


def test_the_tool_keeps_its_speed_and_slows_down_when_that_is_reduced():
    rig = Rig(_robot(speed=0.5))
    speeds = _speeds(rig.go(np.array([2.4, 0.2, 0.0]), 100))
    assert 0.4 < speeds.max() <= 0.5
    rig.controller.limit_tool_speed(0.25)
    rig.go(np.array([-2.4, 0.2, 0.0]), 30)
    speeds = _speeds(rig.go(np.array([-2.4, 0.2, 0.0]), 200))
    assert 0.2 < speeds.max() <= 0.25
    rig.controller.limit_tool_speed(None)
    assert _speeds(rig.go(np.array([2.4, 0.2, 0.0]), 200)).max() > 0.4


def _speeds(commands: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff(_tip(commands), axis=0), axis=1) / (PERIOD_NS / 1e9)


def test_a_guard_needs_links_and_joints_it_can_know():
    with pytest.raises(ContractError, match="no link 'hand'"):
        Controller(_robot(frames=(GuardedFrame("hand", None, ()),)), urdf=PLANAR)
    without = replace(_robot(), guard=None)
    controller = Controller(without)
    with pytest.raises(ContractError, match=r"0\.25 m/s needs the contract's guard"):
        controller.limit_tool_speed(0.25)
    unknown = replace(
        _robot(), dofs=_robot().dofs[1:], state=(JointStateSource("s", JOINTS[1:], JOINTS[1:]),)
    )
    with pytest.raises(ContractError, match="joint shoulder on the way to it is neither a dof nor measured"):
        Controller(unknown, urdf=PLANAR)
