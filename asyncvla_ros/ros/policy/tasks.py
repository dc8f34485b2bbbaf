"""Decides which instruction is followed, and how a task ends. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from asyncvla_msgs.action import RunTask
from asyncvla_ros.types import AsyncVLAError

Result = RunTask.Result
NOT_ACTIVE = "the node is not active; activate it first"


@dataclass
class TaskRun:
    """One run of an instruction. Written under the lock of its ``TaskSlot``; any thread may read it.

    Attributes:
        instruction: What is to be done.
        began_ns: Start [ns, node clock].
        limit_ns: Longest time to run [ns]; 0: no limit.
        chunks: Chunks published for it.
        confidence: Mean confidence of the newest chunk, NaN without a rater.
        episode_id: The simulator's episode that decides it, once it is seen running.
        termination: ``TERMINATION_*`` of RunTask's result; UNKNOWN while it runs.
        text: The reason in words.
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


@dataclass(eq=False)
class Followed:
    """An instruction while it is followed; the same one later is another ``Followed``.

    Written under the lock of its ``TaskSlot``; any thread may read it.

    Attributes:
        instruction: What is to be done, not blank.
        task: The task it belongs to; None: the standing instruction.
        end_reason: Why it is over; empty while it is followed.
    """

    instruction: str
    task: TaskRun | None
    end_reason: str = ""


class TaskSlot:
    """Holds at most one task; without one the standing instruction is followed, and a blank one means rest.

    It is closed at first: nothing is followed until ``open``. Chunks are published under its lock, and so is
    the message that ends the motion:

    ::

        publish(a)  publish(a)  end(a) stop()  publish(a)   publish(b)
        sent        sent               sent    dropped: a   sent
                                               is over

    What ``stop`` and ``look`` raise goes to the caller. Nothing is followed then, unless it was held.

    Args:
        stop: Publishes that the motion ends. Called when something ends for which a chunk was published,
            before anything else is followed; and once at a hold.
        look: Called when something new is followed.
        judge: Raises AsyncVLAError for an instruction that the policy cannot follow.
        standing: The standing instruction at first.
    """

    def __init__(
        self,
        stop: Callable[[], None],
        look: Callable[[], None],
        judge: Callable[[str], object] = lambda instruction: None,
        standing: str = "",
    ):
        self._stop, self._look, self._judge = stop, look, judge
        #: Guards what is below, and the task that runs.
        self._changed = threading.Condition()
        #: Exchanged under the lock, read without it: a ``Followed`` never becomes another one.
        self._standing = standing
        self._followed: Followed | None = None
        #: Used under the lock alone.
        self._is_open = self._is_moving = False
        self._refusal = NOT_ACTIVE
        self._running_episode: int | None = None

    @property
    def followed(self) -> Followed | None:
        """What an inference that begins now is for; None: rest. Takes no lock."""
        return self._followed

    @property
    def instruction(self) -> str:
        """What is followed, else the standing instruction, also while closed. Takes no lock."""
        followed = self._followed
        return self._standing if followed is None else followed.instruction

    @property
    def _task(self) -> TaskRun | None:
        return None if self._followed is None else self._followed.task

    def open(self) -> None:
        """Follow the standing instruction from now on, and let tasks begin."""
        with self._changed:
            self._is_open, self._is_moving = True, False
            self._switch(Result.TERMINATION_UNKNOWN, "")

    def close(self, termination: int, text: str, refusal: str) -> None:
        """End what is followed, and follow nothing until ``open``. Idempotent.

        Args:
            termination: ``TERMINATION_*`` of a running task.
            text: The reason in words.
            refusal: Error message for a task that is requested meanwhile.
        """
        with self._changed:
            self._is_open, self._refusal = False, refusal
            self._switch(termination, text)

    def set_standing(self, instruction: str) -> None:
        """Follow a standing instruction now; this ends a running task even if it is the same as before."""
        with self._changed:
            followed, self._standing = self._followed, instruction
            is_new = followed is None or followed.task is not None or followed.instruction != instruction
            if self._is_open and is_new:
                self._switch(Result.TERMINATION_PREEMPTED, f"replaced by the instruction {instruction!r}")

    def check(self, instruction: str) -> None:
        """Check that a task could begin now.

        Raises:
            AsyncVLAError: the slot is closed, or the policy cannot follow the instruction.
        """
        with self._changed:
            if not self._is_open:
                raise AsyncVLAError(self._refusal)
        if not instruction.strip():
            raise AsyncVLAError("the instruction is empty; say what the robot shall do")
        self._judge(instruction)

    def begin(self, instruction: str, now_ns: int, limit_ns: int) -> TaskRun:
        """Start a task in place of a running one.

        Args:
            instruction: What is to be done.
            now_ns: Start [ns, node clock].
            limit_ns: Longest time to run [ns]; 0: no limit.

        Raises:
            AsyncVLAError: see ``check``.
        """
        with self._changed:
            self.check(instruction)
            task = TaskRun(instruction, now_ns, limit_ns, episode_id=self._running_episode)
            self._switch(Result.TERMINATION_PREEMPTED, f"replaced by the task {instruction!r}", task)
            return task

    def end(self, termination: int, text: str, task: TaskRun) -> None:
        """End the running task if it is this one: a late cancel must not end its successor."""
        with self._changed:
            if task is self._task:
                self._switch(termination, text)

    def publish(self, followed: Followed, confidence: float, send: Callable[[], None]) -> bool:
        """Send a chunk; return False, and send nothing, if what it was inferred for is over.

        Args:
            followed: What the inference was for.
            confidence: Mean confidence of the chunk, NaN without a rater.
            send: Publishes the chunk; called under the lock.
        """
        with self._changed:
            if followed is not self._followed:
                return False
            self._is_moving = True
            send()
            if followed.task is not None:
                followed.task.chunks += 1
                followed.task.confidence = confidence
                self._changed.notify_all()
            return True

    def hold(self, followed: Followed) -> bool:
        """End the motion but keep following; return False if what was inferred for is over.

        Args:
            followed: What the inference was for whose chunk is not sent.
        """
        with self._changed:
            if followed is not self._followed:
                return False
            if self._is_moving:
                self._is_moving = False
                self._stop()
            return True

    def wait(self, task: TaskRun, timeout_s: float) -> None:
        """Wait until a chunk is published, the task ends, or ``timeout_s`` [s] of wall time has passed."""
        with self._changed:
            chunks = task.chunks
            self._changed.wait_for(lambda: task.has_ended or task.chunks != chunks, timeout_s)

    def check_limit(self, task: TaskRun, now_ns: int) -> None:
        """End the task if its time is over at ``now_ns`` [ns, node clock]."""
        if task.limit_ns and now_ns - task.began_ns >= task.limit_ns:
            self.end(Result.TERMINATION_TIME_LIMIT, f"time limit of {task.limit_ns / 1e9:g} s reached", task)

    def note_episode(self, episode_id: int, termination: int, text: str, *, is_running: bool) -> None:
        """Note a simulator's status: the end of an episode that ran during the task ends the task.

        Args:
            episode_id: The simulator's number of the episode.
            termination: ``TERMINATION_*`` of the task if the episode has ended.
            text: The reason in words.
            is_running: Whether the episode runs.
        """
        with self._changed:
            self._running_episode = episode_id if is_running else None
            task = self._task
            if task is None:
                return
            if is_running:
                task.episode_id = episode_id
            elif task.episode_id == episode_id:
                self._switch(termination, text)

    def _switch(self, termination: int, text: str, task: TaskRun | None = None) -> None:
        """End what is followed and its motion, then follow ``task``, else the standing instruction."""
        ended, self._followed = self._followed, None
        if ended is not None:
            ended.end_reason = text
            if ended.task is not None:
                ended.task.text, ended.task.termination = text, termination
            self._changed.notify_all()
        if self._is_moving:
            self._stop()
            self._is_moving = False
        instruction = self._standing if task is None else task.instruction
        if self._is_open and instruction.strip():
            self._followed = Followed(instruction, task)
            self._look()
