"""policy_node in a process of its own with a tiny real checkpoint; the test plays the robot."""

from __future__ import annotations

import threading

import pytest
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from asyncvla_msgs.action import RunTask
from asyncvla_msgs.msg import ActionChunk, EpisodeStatus
from asyncvla_msgs.srv import RunTaskBlocking, SetInstruction
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.exit_codes import REFUSED
from support.checkpoints import tiny_checkpoint
from support.robot_peer import START_TIMEOUT, RobotPeer
from support.ros_client import report_values, result_of

pytestmark = pytest.mark.ros
# Every chunk, where a controller wants the newest.
CHUNKS = QoSProfile(
    depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def _params(checkpoint, **changes):
    return {
        "checkpoint": checkpoint,
        "threads": 1,
        "autostart": True,
        "sensor_reliability": "reliable",
        "max_observation_age_s": 5.0,
        "max_skew_s": 0.005,
        **changes,
    }


class Tasks:
    """Calls ``~/run_task`` and waits for what comes of it."""

    def __init__(self, client):
        self._client = ActionClient(client.node, RunTask, "/policy/run_task")
        assert self._client.wait_for_server(30.0)
        self.feedback = []
        self.first_feedback = threading.Event()

    def _note(self, message):
        self.feedback.append(message.feedback)
        self.first_feedback.set()

    def start(self, instruction, limit_s=0):
        goal = RunTask.Goal(instruction=instruction, time_limit=Duration(sec=limit_s))
        return result_of(self._client.send_goal_async(goal, feedback_callback=self._note))


def test_chunks_follow_observation_and_instruction(start_node, ros_client, checkpoint):
    start_node("policy_node", params=_params(checkpoint, seed=3))
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", CHUNKS)
    diagnostics = ros_client.subscribe(DiagnosticArray, "/diagnostics", 10)
    robot = RobotPeer(ros_client)
    robot.wait_for_subscribers()
    first = robot.publish()
    diagnostics.wait(where=lambda d: d.status[0].message == "no instruction", timeout=60.0)
    assert not chunks.messages, "without an instruction there is nothing to do"

    answer = ros_client.call(
        SetInstruction, "/policy/set_instruction", SetInstruction.Request(instruction="pick up the milk")
    )
    assert answer.accepted
    chunk = chunks.wait()
    assert to_ns(chunk.header.stamp) == first, "the observation at hand, by its own stamp"
    assert (chunk.chunk_id, chunk.instruction, chunk.header.frame_id) == (
        1,
        "pick up the milk",
        "panda_link0",
    )
    assert chunk.action_space == "delta_ee_pose" and chunk.dof_names[-1] == "gripper"
    assert len(chunk.actions) == 8 * 7 and len(chunk.confidence) == len(chunk.refined) == 8
    assert to_ns(chunk.step) == 50_000_000 and to_ns(chunk.inference_latency) > 0

    robot.publish(first)
    diagnostics.wait(where=lambda d: int(report_values(d).get("wrist out of order", 0)) >= 1, timeout=60.0)
    second = robot.publish()
    later = chunks.wait(count=2)
    assert to_ns(later.header.stamp) == second and later.chunk_id == 2, "one stamp, one chunk"
    assert later.session_id == chunk.session_id

    answer = ros_client.call(
        SetInstruction, "/policy/set_instruction", SetInstruction.Request(instruction="place it")
    )
    assert answer.message == "pick up the milk"
    assert not chunks.wait(count=3).actions, "the motion of the old instruction ends"
    same = chunks.wait(count=4)
    assert (same.instruction, to_ns(same.header.stamp)) == ("place it", second), "looked at again"
    robot.publish()
    assert chunks.wait(count=5).instruction == "place it"

    sfm = Parameter("mode", value="sfm").to_parameter_msg()
    wrong = Parameter("mode", value="magic").to_parameter_msg()
    topology = Parameter("device", value="cuda").to_parameter_msg()
    request = SetParameters.Request(parameters=[sfm, wrong, topology])
    results = ros_client.call(SetParameters, "/policy/set_parameters", request).results
    assert [result.successful for result in results] == [True, False, False]
    assert "expected one of afm, sfm" in results[1].reason
    robot.publish()
    last = chunks.wait(count=6)
    assert last.actions and not last.confidence, "sfm does not ask the rater"

    robot.publish(robot.now_ns() - 60 * 10**9)
    stale = diagnostics.wait(
        where=lambda d: "s after its stamp, limit 5 s" in d.status[0].message, timeout=60.0
    )
    values = report_values(stale)
    assert int(values["chunks"]) == 5 and float(values["inference p50 [ms]"]) > 0

    assert ros_client.transition("policy", "deactivate")
    assert not chunks.wait(count=7).actions, "so does the motion of a policy that is deactivated"
    assert ros_client.transition("policy", "activate")
    robot.publish()
    again = chunks.wait(count=8)
    assert again.chunk_id == 1 and again.session_id != chunk.session_id


def test_with_a_seed_an_observation_is_always_decided_in_the_same_way(start_node, ros_client, checkpoint):
    start_node("policy_node", params=_params(checkpoint, instruction="lift", seed=3))
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", CHUNKS)
    robot = RobotPeer(ros_client)
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
    start_node("policy_node", params=_params(checkpoint, instruction="place it", threshold=1.0))
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", CHUNKS)
    robot = RobotPeer(ros_client)
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
    node = start_node("policy_node", params=_params(checkpoint, instruction="place it", commit=True))
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", CHUNKS)
    diagnostics = ros_client.subscribe(DiagnosticArray, "/diagnostics", 10)
    node.wait_for_output("parameter commit is deprecated, use handover: commit", START_TIMEOUT)
    robot = RobotPeer(ros_client)
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

    switch = Parameter("handover", value="switch").to_parameter_msg()
    request = SetParameters.Request(parameters=[switch])
    assert ros_client.call(SetParameters, "/policy/set_parameters", request).results[0].successful
    robot.publish(first + 2 * step)
    assert chunks.wait(count=3).committed == 0
    keep = Parameter("jacobian", value="whole").to_parameter_msg()
    request = SetParameters.Request(parameters=[keep])
    (result,) = ros_client.call(SetParameters, "/policy/set_parameters", request).results
    assert not result.successful and "expected one of identity, full, or empty" in result.reason


def test_skewed_streams_are_not_mixed(start_node, ros_client, checkpoint):
    start_node("policy_node", params=_params(checkpoint, instruction="lift"))
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", CHUNKS)
    robot = RobotPeer(ros_client)
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
        ({"control_hz": 30.0}, "control rate: the checkpoint expects 30 Hz, the robot has 20 Hz"),
    ],
)
def test_a_checkpoint_of_another_robot_fails_configure(start_node, ros_client, tmp_path, changes, expected):
    node = start_node("policy_node", params=_params(tiny_checkpoint(tmp_path, **changes), autostart=False))
    assert not ros_client.transition("policy", "configure", START_TIMEOUT)
    node.wait_for_output("cannot configure: robot libero_panda and checkpoint")
    node.wait_for_output(expected)
    assert ros_client.state("policy") == "unconfigured"


def test_a_broken_checkpoint_ends_an_autostart_for_good(start_node, checkpoint, tmp_path):
    node = start_node("policy_node", params=_params(tmp_path))
    node.wait_for_output("cannot configure:", START_TIMEOUT)
    node.wait_for_output("model.safetensors")
    assert node.process.wait(30.0) == REFUSED


def test_tasks_end_with_a_reason(start_node, ros_client, checkpoint):
    start_node("policy_node", params=_params(checkpoint, episode_status_topic="libero_sim/episode_status"))
    robot = RobotPeer(ros_client)
    robot.wait_for_subscribers()
    episodes = ros_client.publisher(EpisodeStatus, "libero_sim/episode_status", qos.STATUS)
    tasks = Tasks(ros_client)
    assert ros_client.state("policy") == "active"

    assert not tasks.start(" ").accepted, "an empty instruction is refused"
    robot.start()
    result = result_of(tasks.start("lift", limit_s=1).get_result_async()).result
    assert (result.termination, result.text) == (
        RunTask.Result.TERMINATION_TIME_LIMIT,
        "time limit of 1 s reached",
    )
    assert result.chunks > 0 and tasks.feedback[-1].chunks > 0
    assert 0.0 < tasks.feedback[-1].mean_confidence < 1.0

    # A new task replaces the old one; canceling the old one afterwards must not touch the new one.
    old, new = tasks.start("lift"), tasks.start("place")
    replaced = result_of(old.get_result_async())
    assert replaced.result.termination == RunTask.Result.TERMINATION_PREEMPTED
    assert replaced.status == GoalStatus.STATUS_ABORTED
    result_of(old.cancel_goal_async())
    result_of(new.cancel_goal_async())
    canceled = result_of(new.get_result_async())
    assert canceled.result.termination == RunTask.Result.TERMINATION_CANCELED
    assert canceled.status == GoalStatus.STATUS_CANCELED

    # A latched success of the last episode is not one of this task.
    episodes.publish(EpisodeStatus(episode_id=1, state=EpisodeStatus.STATE_SUCCESS))
    solved = tasks.start("lift")
    episodes.publish(EpisodeStatus(episode_id=1, state=EpisodeStatus.STATE_SUCCESS))
    episodes.publish(EpisodeStatus(episode_id=2, state=EpisodeStatus.STATE_RUNNING))
    tasks.first_feedback.clear()
    assert tasks.first_feedback.wait(10.0), "still running"
    episodes.publish(EpisodeStatus(episode_id=2, state=EpisodeStatus.STATE_SUCCESS))
    success = result_of(solved.get_result_async())
    assert (success.result.termination, success.result.text) == (RunTask.Result.TERMINATION_SUCCESS, "solved")
    assert success.status == GoalStatus.STATUS_SUCCEEDED

    request = RunTaskBlocking.Request(instruction="lift", time_limit=Duration(sec=1))
    answer = ros_client.call(RunTaskBlocking, "/policy/run_task_blocking", request)
    assert answer.termination == RunTaskBlocking.Response.TERMINATION_TIME_LIMIT

    last = tasks.start("lift")
    assert ros_client.transition("policy", "deactivate")
    ended = result_of(last.get_result_async()).result
    assert ended.termination == RunTask.Result.TERMINATION_DEACTIVATED
    answer = ros_client.call(RunTaskBlocking, "/policy/run_task_blocking", request)
    assert answer.termination == RunTaskBlocking.Response.TERMINATION_REJECTED and "not active" in answer.text
    assert not tasks.start("lift").accepted
