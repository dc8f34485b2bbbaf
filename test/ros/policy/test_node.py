"""policy_node in a process of its own with a tiny real checkpoint; the test plays the robot."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from asyncvla_msgs.msg import ActionChunk
from asyncvla_msgs.srv import SetInstruction
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros.exit_codes import REFUSED
from support.checkpoints import tiny_checkpoint
from support.fake_robot import START_TIMEOUT, FakeRobot
from support.policy_node import policy_params
from support.ros_client import report_values

pytestmark = pytest.mark.ros
# Every chunk, where a controller wants the newest.
CHUNKS = QoSProfile(
    depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def _set_instruction(client, instruction):
    request = SetInstruction.Request(instruction=instruction)
    return client.call(SetInstruction, "/policy/set_instruction", request)


def _set_parameters(client, *named):
    """Set parameters one by one, in this order; return what came of each."""
    parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in named]
    request = SetParameters.Request(parameters=parameters)
    return client.call(SetParameters, "/policy/set_parameters", request).results


@pytest.fixture
def running(start_node, ros_client, checkpoint):
    """Chunks and diagnostics of a policy that was started with these parameters, and its robot."""

    def start(**changes):
        start_node("policy_node", params=policy_params(checkpoint, seed=3, **changes))
        chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", CHUNKS)
        diagnostics = ros_client.subscribe(DiagnosticArray, "/diagnostics", 10)
        robot = FakeRobot(ros_client)
        robot.wait_for_subscribers()
        return chunks, diagnostics, robot

    return start


def test_the_observation_at_hand_is_answered_once_there_is_an_instruction(running, ros_client):
    chunks, diagnostics, robot = running()
    first = robot.publish()
    diagnostics.wait(where=lambda d: d.status[0].message == "no instruction", timeout=60.0)
    assert not chunks.messages, "without an instruction there is nothing to do"
    assert _set_instruction(ros_client, "pick up the milk").accepted
    chunk = chunks.wait()
    assert to_ns(chunk.header.stamp) == first, "the observation at hand, by its own stamp"
    assert (chunk.chunk_id, chunk.instruction) == (1, "pick up the milk")


def test_a_chunk_says_what_it_is(running):
    chunks, _, robot = running(instruction="pick up the milk")
    robot.publish()
    chunk = chunks.wait(timeout=START_TIMEOUT)
    assert chunk.header.frame_id == "panda_link0"
    assert chunk.action_space == "delta_ee_pose" and chunk.dof_names[-1] == "gripper"
    assert len(chunk.actions) == 8 * 7 and len(chunk.confidence) == len(chunk.refined) == 8
    assert to_ns(chunk.step) == 50_000_000 and to_ns(chunk.inference_latency) > 0


def test_one_stamp_gives_one_chunk(running):
    chunks, diagnostics, robot = running(instruction="lift")
    first = robot.publish()
    chunk = chunks.wait(timeout=START_TIMEOUT)
    robot.publish(first)
    diagnostics.wait(where=lambda d: int(report_values(d).get("wrist out of order", 0)) >= 1, timeout=60.0)
    second = robot.publish()
    later = chunks.wait(count=2)
    assert to_ns(later.header.stamp) == second and later.chunk_id == 2
    assert later.session_id == chunk.session_id


def test_a_new_instruction_ends_the_motion_of_the_old_one(running, ros_client):
    chunks, _, robot = running(instruction="pick up the milk")
    stamp = robot.publish()
    chunks.wait(timeout=START_TIMEOUT)
    assert _set_instruction(ros_client, "place it").message == "pick up the milk"
    assert not chunks.wait(count=2).actions
    same = chunks.wait(count=3)
    assert (same.instruction, to_ns(same.header.stamp)) == ("place it", stamp), "looked at again"
    robot.publish()
    assert chunks.wait(count=4).instruction == "place it"


def test_parameters_of_a_running_policy_are_changed_or_refused_one_by_one(running, ros_client):
    chunks, _, robot = running(instruction="place it")
    robot.publish()
    assert chunks.wait(timeout=START_TIMEOUT).confidence
    asked = [("mode", "sfm"), ("mode", "magic"), ("jacobian", "whole"), ("device", "cuda")]
    results = _set_parameters(ros_client, *asked)
    assert [result.successful for result in results] == [True, False, False, False]
    assert "expected one of afm, sfm" in results[1].reason
    assert "expected one of identity, full, or empty" in results[2].reason
    robot.publish()
    last = chunks.wait(count=2)
    assert last.actions and last.confidence and not any(last.refined), "sfm refines nothing"


def test_an_observation_of_long_ago_is_not_answered(running):
    chunks, diagnostics, robot = running(instruction="lift")
    robot.publish()
    chunks.wait(timeout=START_TIMEOUT)
    robot.publish(robot.now_ns() - 60 * 10**9)
    stale = diagnostics.wait(
        where=lambda d: "s after its stamp, limit 5 s" in d.status[0].message, timeout=60.0
    )
    values = report_values(stale)
    assert int(values["chunks"]) == 1 and float(values["inference p50 [ms]"]) > 0


def test_deactivation_ends_the_motion_and_the_session(running, ros_client):
    chunks, _, robot = running(instruction="lift")
    robot.publish()
    chunk = chunks.wait(timeout=START_TIMEOUT)
    assert ros_client.transition("policy", "deactivate")
    assert not chunks.wait(count=2).actions
    assert ros_client.transition("policy", "activate")
    robot.publish()
    again = chunks.wait(count=3)
    assert again.chunk_id == 1 and again.session_id != chunk.session_id


def test_with_a_seed_an_observation_is_always_decided_in_the_same_way(start_node, ros_client, checkpoint):
    start_node("policy_node", params=policy_params(checkpoint, instruction="lift", seed=3))
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", CHUNKS)
    robot = FakeRobot(ros_client)
    robot.wait_for_subscribers()
    robot.publish()
    first = chunks.wait(timeout=START_TIMEOUT)
    stamp = robot.publish()
    second = chunks.wait(count=2)
    assert ros_client.transition("policy", "deactivate")
    assert ros_client.transition("policy", "activate")
    again = chunks.wait(count=4)
    assert (again.chunk_id, to_ns(again.header.stamp)) == (1, stamp)
    assert again.actions == second.actions != first.actions


def test_the_strategy_can_be_changed_while_it_runs(start_node, ros_client, checkpoint):
    start_node("policy_node", params=policy_params(checkpoint, instruction="place it", threshold=1.0))
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", CHUNKS)
    robot = FakeRobot(ros_client)
    robot.wait_for_subscribers()
    robot.publish()
    assert all(chunks.wait(timeout=START_TIMEOUT).refined), "no confidence reaches 1"

    def change(**values):
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        request = SetParametersAtomically.Request(parameters=parameters)
        return ros_client.call(SetParametersAtomically, "/policy/set_parameters_atomically", request).result

    refused = change(select="variance", threshold=-1.0)
    assert not refused.successful and "expects a variance of at least 0" in refused.reason
    refused = change(select="variance", threshold=100.0, denoise_steps=1)
    assert not refused.successful and "denoise_steps is 1, expected more" in refused.reason
    assert change(select="variance", threshold=100.0, refine_steps=1).successful
    robot.publish()
    last = chunks.wait(count=2)
    assert not any(last.refined) and not last.confidence, "nothing varies that much, and no rater was asked"


def test_a_chunk_takes_over_what_will_have_been_executed_when_it_arrives(start_node, ros_client, checkpoint):
    node = start_node("policy_node", params=policy_params(checkpoint, instruction="place it", commit=True))
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", CHUNKS)
    diagnostics = ros_client.subscribe(DiagnosticArray, "/diagnostics", 10)
    node.wait_for_output("parameter commit is deprecated, use handover: commit", START_TIMEOUT)
    robot = FakeRobot(ros_client)
    robot.wait_for_subscribers()
    step = 50_000_000
    first = robot.publish(robot.now_ns() - 2 * step)
    before = chunks.wait(timeout=START_TIMEOUT)
    assert before.committed == 0, "there was nothing to take over"
    robot.publish(first + step)
    after = chunks.wait(count=2)
    assert 3 <= after.committed <= 7, "the first answer was more than two steps late"
    count = min(after.committed, 7) * 7
    assert list(after.actions)[:count] == list(before.actions)[7 : 7 + count], "bit for bit"
    known = diagnostics.wait(where=lambda d: report_values(d).get("handover") == "commit", timeout=60.0)
    assert report_values(known)["mode"] == "afm"

    assert _set_parameters(ros_client, ("handover", "switch"))[0].successful
    robot.publish(first + 2 * step)
    assert chunks.wait(count=3).committed == 0


def test_skewed_streams_are_not_mixed(start_node, ros_client, checkpoint):
    start_node("policy_node", params=policy_params(checkpoint, instruction="lift"))
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", CHUNKS)
    robot = FakeRobot(ros_client)
    robot.wait_for_subscribers()
    begin = robot.now_ns()
    stamps = [begin + n * 20_000_000 for n in range(10)]
    for number, stamp in enumerate(stamps, start=1):
        robot.publish(stamp)
        assert to_ns(chunks.wait(count=number).header.stamp) == stamp
    assert len(chunks.messages) == len(stamps)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"action_names": ("j1", "j2")},
            "action names: the checkpoint expects 2: j1, j2; the robot has 7: dx, dy",
        ),
        ({"action_hz": 30.0}, "control rate: the checkpoint expects 30 Hz, the robot has 20 Hz"),
    ],
)
def test_a_checkpoint_of_another_robot_fails_configure(start_node, ros_client, tmp_path, changes, expected):
    node = start_node(
        "policy_node", params=policy_params(tiny_checkpoint(tmp_path, **changes), autostart=False)
    )
    assert not ros_client.transition("policy", "configure", START_TIMEOUT)
    node.wait_for_output("cannot configure: robot libero_panda and checkpoint")
    node.wait_for_output(expected)
    assert ros_client.state("policy") == "unconfigured"


def test_a_broken_checkpoint_ends_an_autostart_for_good(start_node, checkpoint, tmp_path):
    node = start_node("policy_node", params=policy_params(tmp_path))
    node.wait_for_output("cannot configure:", START_TIMEOUT)
    node.wait_for_output("model.safetensors")
    assert node.process.wait(30.0) == REFUSED
