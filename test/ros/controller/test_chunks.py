"""Which chunks are executed, which are rejected, and the one that ends a task."""

from __future__ import annotations

import numpy as np
import pytest

from asyncvla_msgs.msg import ActionCommand, ControllerStatus
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros import qos
from support.contracts import MS, STEP_NS
from support.controller_rig import ControllerRig
from support.fake_robot import ChunkPeer

pytestmark = pytest.mark.ros


def spoiled_chunks(now_ns):
    """Pair what is wrong with a chunk with how its rejection begins."""
    bad = np.zeros((8, 7), np.float32)
    bad[2, 1] = np.nan
    return [
        ({"actions": bad}, "non-finite"),
        ({"dof_names": tuple("abcdefg")}, "wrong names"),
        ({"actions": np.zeros((8, 6), np.float32)}, "wrong shape"),
        ({"action_space": "joint_position"}, "wrong action space"),
        ({"action_period_ns": 2 * STEP_NS}, "wrong step"),
        ({"stamp_ns": now_ns - 10**10}, "stale"),
        ({"stamp_ns": now_ns + 10**11}, "from the future"),
    ]


def test_rejects_what_must_not_move_the_arm_and_clamps_the_rest(panda_controller, ros_client):
    commands = ros_client.subscribe(ActionCommand, "/controller/command", 100)
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    policy = ChunkPeer(ros_client)
    spoiled = spoiled_chunks(ros_client.node.get_clock().now().nanoseconds)
    for count, (changes, reason) in enumerate(spoiled, start=1):
        policy.send(**changes)
        rejected = status.wait(where=lambda s, n=count: s.rejected_chunks == n)
        assert rejected.last_rejection.startswith(reason)
        assert rejected.accepted_chunks == 0
    assert not commands.messages, "nothing was executed, and before a first chunk there is nothing to hold"

    policy.send(actions=np.full((8, 7), 9.0, np.float32))
    command = commands.wait(where=lambda c: c.action[3] > 0.2999)
    # Within a step, at the velocity limits of 1 m/s and 6 rad/s.
    np.testing.assert_allclose(command.action, [0.05] * 3 + [0.3] * 3 + [1.0], rtol=1e-4)
    clipped = status.wait(where=lambda s: sum(s.clipped) > 0)
    assert clipped.dof_names[0] == "dx" and all(clipped.clipped)


@pytest.fixture
def rig(start_controller, arm, ros_client):
    """In motion."""
    start_controller()
    rig = ControllerRig(ros_client)
    rig.begin()
    rig.move(2.0, 0.0)
    return rig


def test_a_chunk_that_is_stamped_ahead_is_rejected(rig, arm):
    rig.send(-2.0, 0.0, stamp_ns=arm.now_ns() + 5_000 * MS)
    rejected = rig.status.wait(where=lambda s: s.rejected_chunks == 1)
    assert rejected.last_rejection.startswith("from the future: stamped ")
    assert "limit one control step (0.05 s); do the clocks" in rejected.last_rejection
    assert rejected.mode == Mode.TRACKING, "the chunk of before goes on"


def test_a_chunk_without_actions_ends_the_motion_at_once(rig, arm, capfd):
    rig.status.clear()
    end = rig.send(0.0, 0.0, length=0)
    ended = rig.expect(Mode.HOLDING, Reason.TASK_ENDED, "the task is over; waiting for the next one")
    assert ended.chunk_id == end.chunk_id and ended.actions_left == 0
    arm.received.wait(
        where=lambda m: to_ns(m.header.stamp) > end.stamp_ns and not np.any(m.points[0].velocities)
    )
    later = [c for c in rig.commands.messages if to_ns(c.header.stamp) > to_ns(ended.header.stamp)]
    logged = [line for line in capfd.readouterr().err.splitlines() if "the task is over" in line]
    assert len(logged) == 1 and "[INFO]" in logged[0]
    assert len(later) > 2 and {c.source for c in later} == {ActionCommand.SOURCE_HOLD}
    rig.send(2.0, 0.0)
    rig.expect_anew(Mode.TRACKING)
    assert not arm.refusals
