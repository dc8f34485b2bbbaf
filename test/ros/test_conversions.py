"""Messages to values and back, without any process."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import JointState

from asyncvla_msgs.msg import ControllerStatus
from asyncvla_ros.control.safety import RejectReason, check_chunk
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.observe.stream_sync import Snapshot
from asyncvla_ros.robot.contract import JointStateSource, PoseSource
from asyncvla_ros.ros import conversions
from asyncvla_ros.types import ContractError
from support.contracts import chunk, libero_features, libero_panda
from support.robot_peer import image_message, joint_message, pose_message

pytestmark = pytest.mark.ros


def test_times():
    for ns in (0, 1, 10**18 + 7, -1, -(10**9) - 3):
        assert conversions.to_ns(conversions.to_duration(ns)) == ns
    assert conversions.to_time(1_500_000_000) == Time(sec=1, nanosec=500_000_000)


def test_observation_in_the_order_of_the_contract():
    values = {
        "agentview": image_message(5, brightness=10),
        "wrist": image_message(5, brightness=20),
        "ee_pose": pose_message(5),
        "joint_states": joint_message(5),
    }
    snapshot = Snapshot(values=values, stamp_ns=5, skew_ns=0)
    seen = conversions.to_observation(snapshot, libero_panda(), libero_features(), "lift")
    assert (seen.stamp_ns, seen.instruction) == (5, "lift")
    assert [int(seen.images[key].mean()) for key in ("agentview", "wrist")] == [10, 20]
    assert seen.images["wrist"].shape == (224, 224, 3)
    expected = [0.1, 0.2, 0.3, 1, 0, 0, 0, 1, 0, 0.02, -0.02]
    np.testing.assert_allclose(seen.state, expected, atol=1e-7)
    named = conversions.named_state(values["joint_states"], libero_panda().state[1], "panda_link0")
    assert named == pytest.approx({"finger_left": 0.02, "finger_right": -0.02})


def test_joints_are_found_by_name():
    source = JointStateSource("joint_states", ("b", "a"), ("first", "second"))
    message = JointState(name=["a", "b", "c"], position=[1.0, 2.0, 3.0])
    assert conversions.joint_state(message, source).tolist() == [2.0, 1.0]
    with pytest.raises(ContractError, match="joint_states: position of b is missing; found a"):
        conversions.joint_state(JointState(name=["a"], position=[1.0]), source)
    with pytest.raises(ContractError, match="position of b, a is missing; found no positions"):
        conversions.joint_state(JointState(name=["a", "b"], velocity=[1.0, 1.0]), source)


def test_poses_must_be_in_the_base_frame_and_rotations():
    source = PoseSource("ee_pose", tuple("abcdefghi"))
    message = pose_message(0)
    with pytest.raises(ContractError, match="expected a pose in frame base_link, found frame 'panda_link0'"):
        conversions.pose_state(message, source, "base_link")
    message.pose.orientation.w = 0.0
    with pytest.raises(ContractError, match="ee_pose: expected a finite quaternion"):
        conversions.pose_state(message, source, "panda_link0")


def test_chunks_survive_the_wire():
    sent = chunk(
        3,
        10**18,
        confidence=np.linspace(0, 1, 8, dtype=np.float32),
        refined=np.arange(8) > 3,
        instruction="lift",
    )
    message = conversions.chunk_to_message(sent, "panda_link0", latency_ns=50_000_000)
    assert message.header.frame_id == "panda_link0" and message.inference_latency.nanosec == 50_000_000
    received = conversions.chunk_from_message(message)
    for name, value in vars(sent).items():
        np.testing.assert_array_equal(getattr(received, name), value, err_msg=name)


def test_a_chunk_without_rater_and_one_of_no_shape():
    message = conversions.chunk_to_message(chunk(), "panda_link0", 0)
    received = conversions.chunk_from_message(message)
    assert received.confidence is None and received.refined is None
    message.actions = message.actions[:-1]
    rejection = check_chunk(conversions.chunk_from_message(message), libero_panda(), 0)
    assert rejection is not None and rejection.reason is RejectReason.WRONG_SHAPE


def test_modes_and_reasons_are_those_of_the_message():
    for kind, prefix in ((Mode, "MODE_"), (Reason, "REASON_")):
        for member in kind:
            assert getattr(ControllerStatus, prefix + member.name) == member.value
