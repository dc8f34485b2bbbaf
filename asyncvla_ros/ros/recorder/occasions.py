"""Begins and ends recordings with a policy's tasks or a simulator's episodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from action_msgs.msg import GoalStatus, GoalStatusArray

from asyncvla_msgs.msg import EpisodeStatus
from asyncvla_ros.bags.episode import FAILURE, SUCCESS
from asyncvla_ros.data.message_content import to_ns

ENDED = (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED, GoalStatus.STATUS_ABORTED)


class Occasions:
    """Calls back when an episode should begin and when it should end.

    Args:
        begin: Called with the instruction, the time [ns], and the oldest stamp that belongs to it [ns].
        end: Called with the outcome.
    """

    def __init__(self, begin: Callable[[str, int | None, int], Any], end: Callable[[str], None]):
        self._begin, self._end = begin, end
        self._goals: set[bytes] = set()
        self._running: int | None = None

    def note_tasks(self, message: GoalStatusArray) -> None:
        """Note the goals of the policy's action; one runs at a time."""
        for goal in message.status_list:
            key = bytes(goal.goal_info.goal_id.uuid)
            if goal.status == GoalStatus.STATUS_EXECUTING and key not in self._goals:
                self._goals.add(key)
                self._begin("", None, 0)
            elif goal.status in ENDED and key in self._goals:
                self._goals.discard(key)
                self._end(SUCCESS if goal.status == GoalStatus.STATUS_SUCCEEDED else FAILURE)

    def note_before(self, status: EpisodeStatus, now_ns: int) -> None:
        """Note a simulator's status before it is written at ``now_ns`` [ns]: it may begin an episode."""
        if status.state == EpisodeStatus.STATE_RUNNING and status.episode_id != self._running:
            self._running = status.episode_id
            self._begin(status.instruction, now_ns, to_ns(status.header.stamp))

    def note_after(self, status: EpisodeStatus) -> None:
        """Note a simulator's status after it was written: it may end an episode, and belongs to it."""
        if status.state != EpisodeStatus.STATE_RUNNING and status.episode_id == self._running:
            self._running = None
            self._end(SUCCESS if status.state == EpisodeStatus.STATE_SUCCESS else FAILURE)
