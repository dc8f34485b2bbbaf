"""The policy dies in the middle of a motion: the controller holds, says why, and goes on after a restart."""

from __future__ import annotations

import pytest

from asyncvla_msgs.msg import ActionCommand, ControllerStatus
from asyncvla_ros.ros import qos
from support.checkpoints import tiny_checkpoint
from support.fake_robot import START_TIMEOUT, FakeRobot

pytestmark = pytest.mark.ros


def test_kill_9_hold_restart_resume(start_node, ros_client, tmp_path):
    params = {"checkpoint": tiny_checkpoint(tmp_path), "instruction": "lift", "threads": 1, "autostart": True}
    policy = start_node("policy_node", params=params)
    controller = start_node("controller_node", params={"autostart": True})
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    commands = ros_client.subscribe(ActionCommand, "/controller/command", 1000)
    robot = FakeRobot(ros_client)
    robot.wait_for_subscribers()
    robot.start()
    status.wait(where=lambda s: s.mode == ControllerStatus.MODE_TRACKING, timeout=START_TIMEOUT)

    policy.kill()
    status.clear()
    held = status.wait(where=lambda s: s.reason_code == ControllerStatus.REASON_CHUNK_STALE)
    assert held.mode == ControllerStatus.MODE_HOLDING
    assert "is the policy running?" in held.reason
    commands.clear()
    assert commands.wait().source == ActionCommand.SOURCE_HOLD
    controller.wait_for_output("HOLDING")

    status.clear()
    start_node("policy_node", params=params)
    resumed = status.wait(where=lambda s: s.mode == ControllerStatus.MODE_TRACKING, timeout=START_TIMEOUT)
    assert resumed.chunk_id >= 1 and resumed.accepted_chunks > held.accepted_chunks
