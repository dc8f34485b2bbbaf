"""Tasks of a policy_node in a process of its own: each ends, and says why."""

from __future__ import annotations

import threading

import pytest
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Duration

from asyncvla_msgs.action import RunTask
from asyncvla_msgs.msg import EpisodeStatus
from asyncvla_msgs.srv import RunTaskBlocking
from asyncvla_ros.ros import qos
from support.fake_robot import FakeRobot
from support.policy_node import policy_params
from support.ros_client import result_of

pytestmark = pytest.mark.ros
ONE_SECOND = RunTaskBlocking.Request(instruction="lift", time_limit=Duration(sec=1))


class Tasks:
    """Calls ``~/run_task`` and waits for what comes of it."""

    def __init__(self, client):
        self._client = client.tasks()
        self.feedback = []
        self.first_feedback = threading.Event()

    def _note(self, message):
        self.feedback.append(message.feedback)
        self.first_feedback.set()

    def start(self, instruction, limit_s=0):
        goal = RunTask.Goal(instruction=instruction, time_limit=Duration(sec=limit_s))
        return result_of(self._client.send_goal_async(goal, feedback_callback=self._note))


@pytest.fixture
def tasks(start_node, ros_client, checkpoint):
    """Those of an active policy whose robot publishes all the time."""
    params = policy_params(checkpoint, episode_status_topic="libero_sim/episode_status")
    start_node("policy_node", params=params)
    robot = FakeRobot(ros_client)
    robot.wait_for_subscribers()
    tasks = Tasks(ros_client)
    assert ros_client.state("policy") == "active"
    robot.start()
    return tasks


def test_a_task_without_words_is_refused(tasks):
    assert not tasks.start(" ").accepted


def test_a_task_ends_at_its_time_limit(tasks, ros_client):
    result = result_of(tasks.start("lift", limit_s=1).get_result_async()).result
    assert (result.termination, result.text) == (
        RunTask.Result.TERMINATION_TIME_LIMIT,
        "time limit of 1 s reached",
    )
    assert result.chunks > 0 and tasks.feedback[-1].chunks > 0
    assert 0.0 < tasks.feedback[-1].mean_confidence < 1.0
    answer = ros_client.call(RunTaskBlocking, "/policy/run_task_blocking", ONE_SECOND)
    assert answer.termination == RunTaskBlocking.Response.TERMINATION_TIME_LIMIT


def test_a_new_task_replaces_the_old_one_which_can_then_be_canceled_without_harm(tasks):
    old, new = tasks.start("lift"), tasks.start("place")
    replaced = result_of(old.get_result_async())
    assert replaced.result.termination == RunTask.Result.TERMINATION_PREEMPTED
    assert replaced.status == GoalStatus.STATUS_ABORTED
    result_of(old.cancel_goal_async())
    result_of(new.cancel_goal_async())
    canceled = result_of(new.get_result_async())
    assert canceled.result.termination == RunTask.Result.TERMINATION_CANCELED
    assert canceled.status == GoalStatus.STATUS_CANCELED


def test_the_success_of_an_episode_is_that_of_the_task_unless_it_is_of_before(tasks, ros_client):
    episodes = ros_client.publisher(EpisodeStatus, "libero_sim/episode_status", qos.STATUS)
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


def test_deactivation_ends_a_task_and_refuses_others(tasks, ros_client):
    last = tasks.start("lift")
    assert ros_client.transition("policy", "deactivate")
    ended = result_of(last.get_result_async()).result
    assert ended.termination == RunTask.Result.TERMINATION_DEACTIVATED
    answer = ros_client.call(RunTaskBlocking, "/policy/run_task_blocking", ONE_SECOND)
    assert answer.termination == RunTaskBlocking.Response.TERMINATION_REJECTED and "not active" in answer.text
    assert not tasks.start("lift").accepted
