"""When a task ends its motion ends, and nothing of it comes later: a real node, a gated policy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

import support
from asyncvla_msgs.action import RunTask
from asyncvla_msgs.msg import ActionChunk
from asyncvla_msgs.srv import RunTaskBlocking, SetInstruction
from asyncvla_ros.data.message_content import to_ns
from support.fake_robot import FakeRobot
from support.ros_client import report_values, result_of

pytestmark = pytest.mark.ros
Result = RunTask.Result
NODE = Path(support.__file__).parent / "gated_policy_node.py"
PAIRS = 100
# Every chunk, where a controller wants the newest.
CHUNKS = QoSProfile(
    depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class Rig:
    """The node, its gate, a robot, and a client of its tasks."""

    def __init__(self, start_process, client, gate):
        self.client = client
        self._gate = gate
        self.open()
        arguments = ["autostart:=true", "sensor_reliability:=reliable", "max_observation_age_s:=60.0"]
        env = {"GATE": str(gate), "PYTHONPATH": str(NODE.parents[1])}
        options = [part for argument in arguments for part in ("-p", argument)]
        self.node = start_process(str(NODE), "--ros-args", *options, env=env)
        self.chunks = client.subscribe(ActionChunk, "/policy/action_chunk", CHUNKS)
        self.diagnostics = client.subscribe(DiagnosticArray, "/diagnostics", 10)
        self.robot = FakeRobot(client)
        self.robot.wait_for_subscribers()
        self._action = client.tasks()
        client.wait_until(lambda: client.state("policy") == "active", "active policy")

    def open(self, text=""):
        self._gate.write_text(text)

    def close(self):
        self._gate.unlink()

    def ask(self, instruction):
        return self._action.send_goal_async(RunTask.Goal(instruction=instruction))

    def begin(self, instruction):
        """Send a goal; return its handle once it is accepted."""
        handle = result_of(self.ask(instruction))
        assert handle.accepted
        return handle

    def set_instruction(self, text):
        request = SetInstruction.Request(instruction=text)
        assert self.client.call(SetInstruction, "/policy/set_instruction", request).accepted

    def set_parameter(self, text):
        parameter = Parameter("instruction", value=text).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        answer = self.client.call(SetParameters, "/policy/set_parameters", request)
        assert answer.results[0].successful

    def move(self, number=1):
        """Has the observation of now answered: ``number`` chunks with actions came so far."""
        self.robot.publish()
        return self.chunks.wait(number, where=is_motion)

    def wait_for_drops(self, count):
        """Diagnostics that count so many dropped chunks."""

        def has_dropped(report):
            return report_values(report).get("dropped") == str(count)

        return report_values(self.diagnostics.wait(where=has_dropped))


@pytest.fixture
def rig(start_process, ros_client, tmp_path):
    return Rig(start_process, ros_client, tmp_path / "open")


def result(handle):
    return result_of(handle.get_result_async()).result


def is_motion(message):
    return len(message.actions) > 0


def is_end(message):
    return len(message.actions) == 0


def shape(messages):
    """Ids, and whether the chunk ends the motion."""
    return [(message.chunk_id, is_end(message)) for message in messages]


@pytest.mark.parametrize("way", ["set_instruction", "set_parameter"])
def test_an_empty_instruction_ends_a_task_although_the_standing_one_was_empty(rig, way):
    task = rig.begin("lift")
    rig.move()
    getattr(rig, way)("")
    assert result(task).termination == Result.TERMINATION_PREEMPTED
    rig.node.wait_for_output("task 'lift' has ended: ")
    end = rig.chunks.wait(where=is_end)
    moved = rig.chunks.messages[0]
    assert (end.chunk_id, end.session_id, end.instruction) == (2, moved.session_id, "lift")
    assert to_ns(end.header.stamp) > to_ns(moved.header.stamp)
    assert end.dof_names == moved.dof_names and end.action_space == moved.action_space
    assert end.step == moved.step and not end.confidence and not end.refined

    rig.robot.publish()
    rig.set_instruction("")
    rig.set_instruction("place")
    rig.move(2)
    sent = shape(rig.chunks.messages)
    assert sent[:3] == [(1, False), (2, True), (3, False)], "one end, and nothing after it"
    # The observation before the instruction is decided, too.
    assert not any(ends for _, ends in sent[3:])


def test_no_chunk_of_a_canceled_task_comes_later(rig):
    task = rig.begin("lift")
    rig.move()
    rig.close()
    rig.robot.publish()
    rig.node.wait_for_output("inferring 2 lift")
    result_of(task.cancel_goal_async())
    assert result(task).termination == Result.TERMINATION_CANCELED
    rig.chunks.wait(where=is_end)
    again = rig.begin("lift")
    rig.open()
    assert rig.wait_for_drops(1)["last dropped"] == "canceled by the client"
    rig.move(2)
    assert shape(rig.chunks.messages[:3]) == [(1, False), (2, True), (3, False)]
    rig.set_instruction("")
    assert result(again).chunks >= 1, "the same instruction, but a task of its own"


def test_a_preempted_task_does_not_move_on_while_its_successor_is_thought_of(rig):
    first = rig.begin("lift")
    rig.move()
    rig.close()
    second = rig.begin("place")
    assert result(first).termination == Result.TERMINATION_PREEMPTED
    assert rig.chunks.wait(where=is_end).instruction == "lift"
    rig.open()
    assert rig.move(2).instruction == "place"
    result_of(second.cancel_goal_async())
    assert rig.chunks.wait(2, where=is_end).instruction == "place"


def test_the_standing_instruction_set_again_during_a_task_is_followed_now(rig):
    rig.set_instruction("tidy up")
    rig.move()
    task = rig.begin("lift")
    rig.move(2)
    rig.close()
    rig.set_instruction("tidy up")
    assert result(task).termination == Result.TERMINATION_PREEMPTED
    rig.chunks.wait(where=lambda chunk: is_end(chunk) and chunk.instruction == "lift")
    rig.open()
    rig.chunks.wait(2, where=lambda chunk: is_motion(chunk) and chunk.instruction == "tidy up")


def test_a_time_limit_ends_the_motion(rig):
    goal = RunTask.Goal(instruction="lift", time_limit=Duration(sec=1))
    handle = result_of(rig._action.send_goal_async(goal))
    rig.move()
    assert result(handle).termination == Result.TERMINATION_TIME_LIMIT
    assert rig.chunks.wait(where=is_end).chunk_id == 2


@pytest.mark.parametrize("standing", ["", "tidy up"])
def test_deactivation_ends_the_motion_and_drops_what_is_being_thought_of(rig, standing):
    rig.set_instruction(standing)
    task = None if standing else rig.begin("lift")
    rig.move()
    rig.close()
    rig.robot.publish()
    rig.node.wait_for_output("inferring 2")
    with ThreadPoolExecutor() as pool:
        deactivated = pool.submit(rig.client.transition, "policy", "deactivate")
        end = rig.chunks.wait(where=is_end)
        rig.open()
        assert deactivated.result()
    assert task is None or result(task).termination == Result.TERMINATION_DEACTIVATED
    assert "deactivated" in rig.wait_for_drops(1)["last dropped"]
    assert rig.client.transition("policy", "activate")
    rig.set_instruction("place")
    rig.move(2)
    assert shape(rig.chunks.messages[:3]) == [(1, False), (2, True), (1, False)]
    assert rig.chunks.messages[2].session_id != end.session_id


def test_a_crash_ends_the_motion_and_no_task_begins_until_the_next_activation(rig):
    task = rig.begin("lift")
    rig.move()
    rig.open("crash")
    rig.robot.publish()
    fault = result(task)
    assert fault.termination == Result.TERMINATION_FAULT and "nothing to divide by" in fault.text
    assert rig.chunks.wait(where=is_end).chunk_id == 2
    assert not result_of(rig.ask("lift")).accepted
    rig.node.wait_for_output("deactivate and activate to try again")
    rig.open()
    assert rig.client.transition("policy", "deactivate") and rig.client.transition("policy", "activate")
    rig.begin("lift")
    rig.move(2)
    # The observation at hand counts as new after an activation, so there may be another chunk.
    assert shape(rig.chunks.messages[:3]) == [(1, False), (2, True), (1, False)]


def test_of_two_goals_in_quick_succession_the_newer_wins(rig):
    for number in range(PAIRS):
        asked = [rig.ask(f"{number} older"), rig.ask(f"{number} newer")]
        older, newer = (result_of(future) for future in asked)
        ended = result(older)
        assert ended.termination == Result.TERMINATION_PREEMPTED, f"pair {number}"
        assert "newer" in ended.text
        result_of(newer.cancel_goal_async())
        canceled = result_of(newer.get_result_async())
        assert canceled.result.termination == Result.TERMINATION_CANCELED, f"pair {number}"
        assert canceled.status == GoalStatus.STATUS_CANCELED, f"pair {number}"


def test_of_two_service_calls_in_quick_succession_the_newer_wins(rig):
    service = rig.client.node.create_client(RunTaskBlocking, "/policy/run_task_blocking")
    assert service.wait_for_service(30.0)
    for number in range(PAIRS):
        requests = [RunTaskBlocking.Request(instruction=f"{number} {age}") for age in ("older", "newer")]
        older, newer = (service.call_async(request) for request in requests)
        ended = result_of(older)
        assert ended.termination == Result.TERMINATION_PREEMPTED, f"pair {number}"
        assert "newer" in ended.text
        rig.set_instruction("")
        assert result_of(newer).termination == Result.TERMINATION_PREEMPTED


def test_an_accepted_goal_ends_also_if_the_node_is_deactivated_meanwhile(rig):
    for _ in range(20):
        asked = [rig.ask("lift"), rig.ask("place")]
        assert rig.client.transition("policy", "deactivate")
        for handle in map(result_of, asked):
            if handle.accepted:
                assert result(handle).termination in (
                    Result.TERMINATION_PREEMPTED,
                    Result.TERMINATION_DEACTIVATED,
                )
        assert rig.client.transition("policy", "activate")
