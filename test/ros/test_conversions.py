"""Messages to values and back, without any process."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import JointState

from asyncvla_msgs.msg import ActionChunk, ControllerStatus
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.safety import RejectReason, check_chunk
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.data import message_content
from asyncvla_ros.observe.stream_sync import Snapshot
from asyncvla_ros.robot.contract import JointStateSource, PoseSource
from asyncvla_ros.ros import conversions
from asyncvla_ros.types import ContractError
from asyncvla_ros.view.chunk_display import ChunkDisplay
from support.contracts import chunk, libero_features, libero_panda
from support.fake_robot import image_message, joint_message, pose_message

pytestmark = pytest.mark.ros


def test_times():
    for ns in (0, 1, 10**18 + 7, -1, -(10**9) - 3):
        assert message_content.to_ns(conversions.to_duration(ns)) == ns
    assert conversions.to_time(1_500_000_000) == Time(sec=1, nanosec=500_000_000)


def test_observation_in_the_order_of_the_contract():
    values = {
        "agentview": image_message(5, brightness=10),
        "wrist": image_message(5, brightness=20),
        "ee_pose": pose_message(5),
        "joint_states": joint_message(5),
    }
    snapshot = Snapshot(values=values, stamp_ns=5, skew_ns=0)
    seen = message_content.to_observation(snapshot, libero_panda(), libero_features(), "lift")
    assert (seen.stamp_ns, seen.instruction) == (5, "lift")
    assert [int(seen.images[key].mean()) for key in ("agentview", "wrist")] == [10, 20]
    assert seen.images["wrist"].shape == (224, 224, 3)
    expected = [0.1, 0.2, 0.3, 1, 0, 0, 0, 1, 0, 0.02, -0.02]
    np.testing.assert_allclose(seen.state, expected, atol=1e-7)
    named = message_content.named_state(values["joint_states"], libero_panda().state[1], "panda_link0")
    assert named == pytest.approx({"finger_left": 0.02, "finger_right": -0.02})


def test_joints_are_found_by_name():
    source = JointStateSource("joint_states", ("b", "a"), ("first", "second"))
    message = JointState(name=["a", "b", "c"], position=[1.0, 2.0, 3.0])
    assert message_content.joint_state(message, source).tolist() == [2.0, 1.0]
    with pytest.raises(ContractError, match="joint_states: position of b is missing; found a"):
        message_content.joint_state(JointState(name=["a"], position=[1.0]), source)
    with pytest.raises(ContractError, match="position of b, a is missing; found no positions"):
        message_content.joint_state(JointState(name=["a", "b"], velocity=[1.0, 1.0]), source)


def test_poses_must_be_in_the_base_frame_and_rotations():
    source = PoseSource("ee_pose", tuple("abcdefghi"))
    message = pose_message(0)
    with pytest.raises(ContractError, match="expected a pose in frame base_link, found frame 'panda_link0'"):
        message_content.pose_state(message, source, "base_link")
    message.pose.orientation.w = 0.0
    with pytest.raises(ContractError, match="ee_pose: expected a finite quaternion"):
        message_content.pose_state(message, source, "panda_link0")


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


NUMBERS = st.one_of(
    st.floats(width=32), st.floats(-2, 2, width=32), st.sampled_from([float("nan"), float("inf"), 0.0])
)
SECONDS = st.one_of(st.integers(0, 3), st.sampled_from([-(2**31), 2**31 - 1]))


def stamp(drawn) -> Time:
    return Time(sec=drawn.draw(SECONDS), nanosec=drawn.draw(st.sampled_from([0, 50_000_000, 2**32 - 1])))


def chunk_message(drawn) -> ActionChunk:
    """Make a message of a chunk, with some of its fields replaced by anything."""
    message = conversions.chunk_to_message(chunk(1, 10**9), "panda_link0", 0)
    size = drawn.draw(st.integers(0, 20))
    if drawn.draw(st.booleans()):
        message.actions = drawn.draw(st.lists(NUMBERS, min_size=size, max_size=size))
    if drawn.draw(st.booleans()):
        message.confidence = drawn.draw(st.lists(NUMBERS, max_size=9))
    if drawn.draw(st.booleans()):
        message.refined = drawn.draw(st.lists(st.booleans(), max_size=9))
    if drawn.draw(st.booleans()):
        message.dof_names = drawn.draw(st.lists(st.sampled_from(["dx", "dy", "", "gripper"]), max_size=8))
    if drawn.draw(st.booleans()):
        message.step.sec, message.step.nanosec = (
            drawn.draw(SECONDS),
            drawn.draw(st.sampled_from([0, 50_000_000])),
        )
    if drawn.draw(st.booleans()):
        message.header.stamp = stamp(drawn)
    message.action_space = drawn.draw(st.sampled_from(["delta_ee_pose", "", "torque"]))
    return message


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.data())
def test_whatever_a_chunk_message_holds(drawn):
    robot = libero_panda()
    controller, display = Controller(robot), ChunkDisplay(robot)
    controller.start()
    received = conversions.chunk_from_message(chunk_message(drawn))
    for now_ns in (10**9, 10**9 + 120_000_000, 0):
        rejection = controller.accept(received, now_ns)
        assert rejection is None or str(rejection)
        controller.update(now_ns, now_ns)
        display.show(received)
        display.observe("ee_pose", 10**9, {name: 0.1 for name in robot.state_names})
        display.view(now_ns)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.data())
def test_whatever_a_message_of_the_state_holds(drawn):
    robot = libero_panda()
    for source in robot.state:
        if isinstance(source, JointStateSource):
            names = drawn.draw(st.lists(st.sampled_from([*source.joints, "", "other"]), max_size=4))
            message = JointState(name=names, position=drawn.draw(st.lists(NUMBERS, max_size=4)))
        else:
            message = pose_message(10**9)
            message.header.frame_id = drawn.draw(st.sampled_from([robot.base_frame, "", "world"]))
            turn = message.pose.orientation
            turn.x, turn.y, turn.z, turn.w = (drawn.draw(NUMBERS) for _ in range(4))
            message.pose.position.x = drawn.draw(NUMBERS)
        try:
            values = message_content.named_state(message, source, robot.base_frame)
            assert set(values) == set(source.names)
            message_content.finite_state(message, source, robot.base_frame)
        except ContractError as error:
            assert str(error).startswith(source.topic)
