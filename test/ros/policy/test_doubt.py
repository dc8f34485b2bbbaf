"""A doubtful episode is said in diagnostics, and held where that is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from asyncvla_msgs.action import RunTask
from asyncvla_msgs.msg import ActionChunk
from asyncvla_ros.observe.episode_monitor import EpisodeLimits
from asyncvla_ros.ros.policy.doubt import DoubtWatch
from asyncvla_ros.ros.policy.node import PolicyNode
from asyncvla_ros.ros.policy.tasks import Followed
from asyncvla_ros.types import Observation
from support.fake_robot import FakeRobot
from support.node_thread import NodeThread
from support.policies import StillPolicy
from support.ros_client import report_values, result_of

pytestmark = pytest.mark.ros
CHUNKS = QoSProfile(
    depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
LIMITS = EpisodeLimits({"surprise": (0.5, 0.2)}, limit=4.5, window=1)
OBSERVATION = Observation({"wrist": np.zeros((1, 1, 3), np.uint8)}, np.zeros(11), "lift")
TEXT = "the observation is unlike those that the policy was trained on: surprise 3.2, limit 1.4"


class Surprised(StillPolicy):
    """Is as surprised as the test says."""

    episode_limits = LIMITS
    surprise = 0.4

    def infer(self, *args, **more):
        return replace(super().infer(*args, **more), surprise=self.surprise)


class Rig:
    """The node around it, a robot, and what the node says."""

    def __init__(self, client, **params):
        self.client, self.policy = client, Surprised()
        policy = self.policy

        class Node(PolicyNode):
            def load_policy(self):
                return policy

        usual = {"autostart": False, "sensor_reliability": "reliable", "max_observation_age_s": 60.0}
        self.thread = NodeThread(Node, usual | params)
        for name in ("configure", "activate"):
            assert client.transition("policy", name)
        self.chunks = client.subscribe(ActionChunk, "/policy/action_chunk", CHUNKS)
        self._diagnostics = client.subscribe(DiagnosticArray, "/diagnostics", 10)
        self._robot = FakeRobot(client)
        self._robot.wait_for_subscribers()

    def see(self, surprise):
        """Infer on an observation with this surprise."""
        self.policy.surprise = surprise
        self._robot.publish()

    def said(self, message, level):
        """Values of a report of this message."""
        self._diagnostics.clear()
        report = self._diagnostics.wait(
            where=lambda d: (d.status[0].message, d.status[0].level) == (message, level)
        )
        return report_values(report)


@pytest.fixture
def start(ros_client):
    rigs = []

    def start(**params):
        rigs.append(Rig(ros_client, **params))
        return rigs[-1]

    yield start
    for rig in rigs:
        rig.thread.stop()


def test_a_foreign_observation_is_a_warning_and_changes_nothing_else(start):
    rig = start(instruction="lift")
    rig.see(0.4)
    rig.chunks.wait(1)
    assert rig.said("working", DiagnosticStatus.OK)["surprise"] == "0.400"
    rig.see(3.2)
    assert rig.chunks.wait(2).actions
    values = rig.said(TEXT, DiagnosticStatus.WARN)
    assert (values["surprise"], values["held"]) == ("3.200", "0")
    rig.see(0.4)
    assert rig.chunks.wait(3).actions
    rig.said("working", DiagnosticStatus.OK)


def test_what_is_doubtful_is_held_until_it_is_no_more_and_its_time_runs_on(start, ros_client):
    rig = start(on_doubt="hold")
    client = ros_client.tasks()
    goal = RunTask.Goal(instruction="lift", time_limit=Duration(sec=3600))
    handle = result_of(client.send_goal_async(goal))
    rig.see(0.4)
    first = rig.chunks.wait(1)
    rig.see(3.2)
    end = rig.chunks.wait(2)
    assert first.actions and not end.actions and end.instruction == "lift"
    assert rig.said(f"held: {TEXT}", DiagnosticStatus.WARN)["held"] == "1"
    rig.see(3.2)
    ros_client.wait_until(lambda: len(rig.policy.seeds) == 3, "third inference")
    assert rig.said(f"held: {TEXT}", DiagnosticStatus.WARN)["chunks"] == "1"
    rig.see(0.4)
    again = rig.chunks.wait(3)
    assert again.actions and (first.chunk_id, end.chunk_id, again.chunk_id) == (1, 2, 3)
    rig.said("working", DiagnosticStatus.OK)
    # The task went on all the while, and ends as any other.
    result_of(handle.cancel_goal_async())
    result = result_of(handle.get_result_async()).result
    assert (result.termination, result.chunks) == (RunTask.Result.TERMINATION_CANCELED, 2)


def test_a_hold_without_a_monitor_is_refused(start, ros_client):
    rig = start(instruction="lift")
    rig.policy.episode_limits = None
    asked = [Parameter("on_doubt", value="hold").to_parameter_msg()]
    request = SetParameters.Request(parameters=asked)
    (result,) = ros_client.call(SetParameters, "/policy/set_parameters", request).results
    assert not result.successful and "has no monitor" in result.reason


def test_doubt_is_of_what_is_followed_and_begins_anew_with_it():
    watch, policy = DoubtWatch(replace(LIMITS, window=4)), Surprised()
    first, second = Followed("lift", None), Followed("place", None)
    policy.surprise = 3.2
    answer = policy.infer(OBSERVATION)
    assert watch.note(first, answer) and watch.text_of(first) == TEXT
    assert watch.text_of(second) == watch.text_of(None) == ""
    policy.surprise = 0.4
    usual = policy.infer(OBSERVATION)
    assert watch.note(first, usual), "(3.2 + 0.4) / 2 is above 1.4"
    assert not watch.note(second, usual) and watch.text_of(first) == ""


def test_without_limits_nothing_is_doubtful():
    watch, followed = DoubtWatch(None), Followed("lift", None)
    assert not watch.note(followed, Surprised().infer(OBSERVATION)) and watch.text_of(followed) == ""
