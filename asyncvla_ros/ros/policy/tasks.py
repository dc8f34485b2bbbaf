"""Which instruction is followed, and how a task ends. Thread-safe, no ROS types but the reasons' numbers."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from asyncvla_msgs.action import RunTask
from asyncvla_ros.types import AsyncVLAError

Result = RunTask.Result


@dataclass
class Task:
    """One run of an instruction.

    Attributes:
        instruction: What is to be done.
        began_ns: Start [ns, node clock].
        limit_ns: Longest time to run [ns], 0: no limit.
        chunks: Chunks published for it.
        confidence: Mean confidence of the newest chunk, NaN without a rater.
        episode_id: The simulator's episode that decides it, once it is seen running.
        termination: ``TERMINATION_*`` of RunTask's result; UNKNOWN while it runs.
        text: The same in words.
    """

    instruction: str
    began_ns: int
    limit_ns: int = 0
    chunks: int = 0
    confidence: float = float("nan")
    episode_id: int | None = None
    termination: int = Result.TERMINATION_UNKNOWN
    text: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether a reason to end is known."""
        return self.termination != Result.TERMINATION_UNKNOWN


class TaskSlot:
    """At most one task; without one the standing instruction is followed, and an empty one means rest.

    Args:
        standing: The instruction outside of tasks.
    """

    def __init__(self, standing: str):
        self._standing = standing
        self._task: Task | None = None
        self._running_episode: int | None = None
        self._changed = threading.Condition()

    @property
    def instruction(self) -> str:
        """The instruction to follow now; empty: rest."""
        with self._changed:
            return self._standing if self._task is None else self._task.instruction

    def set_standing(self, instruction: str) -> str:
        """Replaces the standing instruction, ends a running task; returns what was followed before."""
        with self._changed:
            before = self.instruction
            self._end(Result.TERMINATION_PREEMPTED, f"replaced by the instruction {instruction!r}")
            self._standing = instruction
            return before

    def begin(self, instruction: str, now_ns: int, limit_ns: int) -> Task:
        """Starts a task in place of a running one.

        Raises:
            AsyncVLAError: the instruction is empty.
        """
        if not instruction.strip():
            raise AsyncVLAError("the instruction is empty; say what the robot shall do")
        with self._changed:
            self._end(Result.TERMINATION_PREEMPTED, f"replaced by the task {instruction!r}")
            self._task = Task(instruction, now_ns, limit_ns, episode_id=self._running_episode)
            return self._task

    def end(self, termination: int, text: str, task: Task | None = None) -> None:
        """Ends the running task; with ``task`` only that one, for a late cancel must not hit the next."""
        with self._changed:
            if task is None or task is self._task:
                self._end(termination, text)

    def wait(self, task: Task, timeout_s: float) -> None:
        """Returns when a chunk was noted, the task ended, or ``timeout_s`` [s] of wall time passed."""
        with self._changed:
            chunks = task.chunks
            self._changed.wait_for(lambda: task.has_ended or task.chunks != chunks, timeout_s)

    def check_limit(self, task: Task, now_ns: int) -> None:
        """Ends the task if its time is over at ``now_ns`` [ns, node clock]."""
        if task.limit_ns and now_ns - task.began_ns >= task.limit_ns:
            self.end(Result.TERMINATION_TIME_LIMIT, f"time limit of {task.limit_ns / 1e9:g} s reached", task)

    def note_chunk(self, instruction: str, confidence: float) -> None:
        """A chunk was published; it counts for the running task if it follows its instruction."""
        with self._changed:
            if self._task is not None and self._task.instruction == instruction:
                self._task.chunks += 1
                self._task.confidence = confidence
                self._changed.notify_all()

    def note_episode(self, episode_id: int, is_running: bool, termination: int, text: str) -> None:
        """A simulator's verdict: an episode that was seen running during the task ends it with it."""
        with self._changed:
            self._running_episode = episode_id if is_running else None
            if self._task is None:
                return
            if is_running:
                self._task.episode_id = episode_id
            elif self._task.episode_id == episode_id:
                self._end(termination, text)

    def _end(self, termination: int, text: str) -> None:
        if self._task is not None:
            self._task.termination, self._task.text = termination, text
            self._task = None
            self._changed.notify_all()
