"""controller_node towards the controllers of a robot; the test plays all its neighbours."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.control.types import Command
from asyncvla_ros.ros.controller import outputs
from asyncvla_ros.ros.conversions import to_ns
from support.contracts import STEP_NS
from support.robot_peer import ChunkPeer, RobotPeer
from support.trajectory_controller import TrajectoryController

pytestmark = pytest.mark.ros

JOINTS = ("panda_joint1", "panda_joint2")
CONTRACT = {
    "name": "two_joints",
    "control_hz": 20.0,
    "base_frame": "panda_link0",
    "cameras": [{"key": "agentview", "topic": "agentview/image_raw", "transport": "raw"}],
    "state": [{"type": "JointState", "topic": "joint_states", "joints": list(JOINTS), "names": list(JOINTS)}],
    "action": {
        "space": "joint_position",
        "dofs": [
            {
                "name": name,
                "unit": "rad",
                "scale": 1.0,
                "limits": {"position": [-2.0, 2.0], "velocity": 2.0, "acceleration": 10.0, "jerk": 100.0},
            }
            for name in JOINTS
        ]
        + [{"name": "gripper", "unit": "normalized", "scale": 1.0, "limits": {"position": [-1.0, 1.0]}}],
    },
    "outputs": [
        {"adapter": "action_command", "topic": "~/command"},
        {"adapter": "joint_trajectory", "topic": "/arm/joint_trajectory", "dofs": list(JOINTS)},
        {"adapter": "forward_position", "topic": "/hand/commands", "dofs": ["gripper"], "travel": [0.04, 0]},
    ],
    "timeouts": {"chunk_s": 0.5, "observation_s": 0.5},
}


def test_arm_and_gripper_leave_by_outputs_of_their_own(start_node, ros_client, tmp_path: Path):
    contract = tmp_path / "two_joints.yaml"
    contract.write_text(yaml.safe_dump(CONTRACT))
    node = start_node("controller_node", params={"autostart": True, "robot": contract})
    robot = RobotPeer(ros_client, cameras=False, pose=False)
    robot.wait_for_subscribers()
    robot.start()
    commands = ros_client.subscribe(ActionCommand, "/controller/command", 100)
    arm = ros_client.subscribe(JointTrajectory, "/arm/joint_trajectory", 100)
    hand = ros_client.subscribe(Float64MultiArray, "/hand/commands", 100)
    policy = ChunkPeer(ros_client)
    now_ns = robot.now_ns()
    controller = TrajectoryController(JOINTS, np.zeros(2), now_ns)

    actions = np.stack([0.01 * np.arange(8), np.full(8, 9.0), np.full(8, 1.0)], axis=1).astype(np.float32)
    policy.send(actions=actions, dof_names=(*JOINTS, "gripper"), action_space="joint_position")
    commands.wait(where=lambda c: c.source == ActionCommand.SOURCE_CHUNK)
    moved_ns = to_ns(arm.wait(where=lambda m: m.points[0].positions[1] > 0.2).header.stamp)
    assert hand.wait(where=lambda m: m.data[0] == 0).data.tolist() == [0.0], "closed"

    # The chunk runs dry: the arm stops, then goes to what is measured (zero); the gripper keeps its grip.
    held = arm.wait(where=lambda m: to_ns(m.header.stamp) > moved_ns and abs(m.points[0].positions[1]) < 1e-3)
    assert list(held.points[-1].velocities) == [0.0, 0.0]
    assert hand.messages[-1].data.tolist() == [0.0]
    assert node.stop() == 0
    for message in arm.messages:
        stamp_ns = to_ns(message.header.stamp)
        assert stamp_ns >= now_ns
        assert controller.accept(message, stamp_ns) == ""
    assert to_ns(arm.messages[0].points[0].time_from_start) == STEP_NS
    assert arm.messages[-1].points[0].positions == pytest.approx([0.0, 0.0], abs=1e-3), "the last is a hold"
    path = np.array([message.points[0].positions for message in arm.messages])
    assert np.abs(np.diff(path, axis=0)).max() <= 2.0 * STEP_NS / 1e9 + 1e-9, "no faster than the contract"


@pytest.mark.skipif(importlib.util.find_spec("control_msgs") is not None, reason="control_msgs is installed")
def test_a_gripper_action_without_its_package_fails_configure(start_node, ros_client):
    node = start_node("controller_node", params={"robot": "xarm7"})
    assert not ros_client.transition("controller", "configure")
    node.wait_for_output("cannot configure: output gripper_command needs control_msgs/action/GripperCommand")


class _Listened:
    """A publisher with one listener."""

    def __init__(self, takes: bool):
        self.takes, self.asked = takes, 0

    def get_subscription_count(self) -> int:
        return 1

    def wait_for_all_acked(self, timeout) -> bool:
        self.asked += 1
        return self.takes


@pytest.mark.parametrize(("takes", "after_s"), [(True, 0.0), (False, outputs.PATIENCE_S)])
def test_a_listener_that_hangs_is_waited_for_but_not_for_ever(monkeypatch, takes, after_s):
    now_s = 100.0
    monkeypatch.setattr(outputs.time, "monotonic", lambda: now_s)
    publisher = _Listened(takes)
    monkeypatch.setattr(outputs, "_adapter", lambda *_: object.__new__(outputs.TopicOutput))
    monkeypatch.setattr(outputs.TopicOutput, "publisher", publisher, raising=False)
    monkeypatch.setattr(outputs.TopicOutput, "send", lambda *_: None)
    robot = SimpleNamespace(outputs=[None])
    out = outputs.Outputs(None, robot)
    hold = Command(np.zeros(2), None, 0)
    out.send(hold, 0)
    assert not out.have_arrived and publisher.asked == 0, "what was never sent cannot arrive"
    out.send(hold, 0)
    assert out.have_arrived is takes
    now_s += after_s + 0.01
    out.send(hold, 0)
    assert out.have_arrived
