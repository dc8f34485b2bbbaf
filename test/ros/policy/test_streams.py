"""What policy_node says of streams that give no observation, and that one bad message costs nothing."""

from __future__ import annotations

from functools import partial

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, JointState

from asyncvla_msgs.action import RunTask
from asyncvla_msgs.msg import ActionChunk
from asyncvla_msgs.srv import SetInstruction
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import to_time
from asyncvla_ros.ros.policy.node import PolicyNode
from asyncvla_ros.types import ContractError
from support.fake_robot import SENSORS, FakeRobot, image_message, joint_message, pose_message
from support.node_thread import NodeThread
from support.policies import StillPolicy
from support.ros_client import report_values, result_of

pytestmark = pytest.mark.ros
HOUR_NS = 3_600 * 10**9


class StillPolicyNode(PolicyNode):
    def load_policy(self):
        return StillPolicy()


@pytest.fixture
def start(ros_client):
    nodes = []

    def start(node=StillPolicyNode, **params):
        usual = {"autostart": False, "sensor_reliability": "reliable", "instruction": "lift"}
        nodes.append(NodeThread(node, usual | params))
        for name in ("configure", "activate"):
            assert ros_client.transition("policy", name)

    yield start
    for node in nodes:
        node.stop()


@pytest.fixture
def said(ros_client):
    """Diagnostics of the policy with these words."""
    inbox = ros_client.subscribe(DiagnosticArray, "/diagnostics", 10)

    def wait(*words: str, level: bytes = DiagnosticStatus.WARN) -> str:
        inbox.clear()

        def fits(report: DiagnosticArray) -> bool:
            status = report.status[0]
            return status.level == level and all(word in status.message for word in words)

        return inbox.wait(where=fits).status[0].message

    return wait


def publish(robot: FakeRobot, stamp_ns: int, *topics: str) -> None:
    """Publish a part of an observation."""
    for topic in topics:
        make = {"joint_states": joint_message, "ee_pose": pose_message}.get(topic, image_message)
        robot.publishers[topic].publish(make(stamp_ns))


def test_a_silent_stream_is_named_with_the_cause(start, said, ros_client):
    start()
    node = ros_client.node
    said("agentview: nothing received yet; nobody publishes it", "joint_states: nothing received yet; nobody")
    node.create_publisher(CompressedImage, "agentview/image_raw", SENSORS)
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_publisher(JointState, "joint_states", best_effort)
    said(
        "agentview: nothing received yet; it is published as sensor_msgs/msg/CompressedImage, expected "
        "sensor_msgs/msg/Image",
        "joint_states: nothing received yet; its publisher does not fit: Best effort publisher and reliable",
    )


def test_stamps_of_another_clock_are_named_and_healthy_streams_are_not(start, said, ros_client):
    start()
    robot = FakeRobot(ros_client)
    robot.wait_for_subscribers()
    robot.publish(robot.now_ns() + HOUR_NS)
    ahead = "stamped 3"
    said(f"agentview: {ahead}", f"joint_states: {ahead}", "do the clocks agree?")
    # From now on those of the cameras alone.
    ros_client.node.create_timer(0.05, lambda: publish(robot, robot.now_ns(), "joint_states", "ee_pose"))
    text = said("agentview: stamped")
    assert "joint_states" not in text and "ee_pose" not in text


def test_without_a_clock_nothing_else_is_blamed(start, said):
    start(use_sim_time=True)
    text = said("use_sim_time is true, and nobody publishes /clock")
    assert "nothing received" not in text


def test_a_second_publisher_with_some_joints_costs_no_inference(start, said, ros_client):
    start(max_observation_age_s=60.0, max_skew_s=60.0)
    robot = FakeRobot(ros_client)
    robot.wait_for_subscribers()
    part = ros_client.node.create_publisher(JointState, "joint_states", SENSORS)
    ros_client.wait_until(lambda: part.get_subscription_count() > 0, "a listener")
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", qos.CHUNK)
    part.publish(JointState(name=["panda_joint1"], position=[0.0]))
    said("joint_states: position of panda_finger_joint1, panda_finger_joint2 is missing; found panda_joint1")
    broken = joint_message(robot.now_ns())
    broken.position[7] = float("nan")
    part.publish(broken)
    said("joint_states: not finite: ", " = nan")
    for number in range(1, 4):
        stamp_ns = robot.publish()
        late = JointState(name=["panda_joint1"], position=[0.0])
        late.header.stamp = to_time(stamp_ns + 1)
        part.publish(late)
        chunks.wait(number)


def test_a_picture_that_does_not_decode_is_named_and_the_next_one_is_used(start, said, ros_client):
    start(max_observation_age_s=60.0, max_skew_s=60.0)
    robot = FakeRobot(ros_client)
    robot.wait_for_subscribers()
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", qos.CHUNK)
    odd = image_message(robot.now_ns())
    odd.encoding, odd.width, odd.step = "yuv422", 223, 446
    publish(robot, robot.now_ns(), "agentview/image_raw", "joint_states", "ee_pose")
    robot.publishers["wrist/image_raw"].publish(odd)
    said("camera wrist: yuv422 has one color for two pixels", level=DiagnosticStatus.ERROR)
    robot.publish()
    chunks.wait(1)
    said("working", level=DiagnosticStatus.OK)


class FewWordsNode(PolicyNode):
    def load_policy(self):
        return FewWords()


class FewWords(StillPolicy):
    def unknown_words(self, instruction):
        words = instruction.split()
        unknown = tuple(word for word in words if word not in ("lift", "cup"))
        if len(unknown) == len(words):
            raise ContractError(f"instruction {instruction!r}: the policy knows none of its words")
        return unknown


def test_words_that_the_policy_never_saw_are_named_where_an_instruction_is_set(start, said, ros_client):
    start(node=FewWordsNode, instruction="lift")
    ask = partial(ros_client.call, SetInstruction, "/policy/set_instruction")
    answer = ask(SetInstruction.Request(instruction="lift the red cup"))
    assert answer.accepted and answer.message == "the policy never saw the, red"
    reports = ros_client.subscribe(DiagnosticArray, "/diagnostics", 10)
    reports.wait(where=lambda report: report_values(report).get("unknown words") == "the, red")
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", qos.CHUNK)
    robot = FakeRobot(ros_client)
    robot.wait_for_subscribers()
    robot.publish()
    assert list(chunks.wait(where=lambda chunk: len(chunk.actions) > 0).unknown_words) == ["the", "red"]
    answer = ask(SetInstruction.Request(instruction="dance"))
    assert not answer.accepted and "the policy knows none of its words" in answer.message
    assert ask(SetInstruction.Request(instruction="")).message == "lift the red cup", "the one before stands"
    tasks = ros_client.tasks()
    assert not result_of(tasks.send_goal_async(RunTask.Goal(instruction="dance"))).accepted


def test_a_refused_instruction_is_forgotten(start, ros_client):
    start(node=FewWordsNode, instruction="lift")
    ask = partial(ros_client.call, SetInstruction, "/policy/set_instruction")
    assert not ask(SetInstruction.Request(instruction="dance")).accepted
    for name in ("deactivate", "cleanup", "configure"):
        assert ros_client.transition("policy", name)
    assert ask(SetInstruction.Request(instruction="cup")).message == "lift", "the one before stands"


def test_a_standing_instruction_without_a_known_word_fails_configure(ros_client, ros_domain):
    node = NodeThread(FewWordsNode, {"instruction": "dance"})
    try:
        assert not ros_client.transition("policy", "configure")
    finally:
        node.stop()
