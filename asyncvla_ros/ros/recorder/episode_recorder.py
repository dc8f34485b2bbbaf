"""Records episodes one after the other: when each begins, what belongs to it, and how it ended."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

from asyncvla_ros.bags.episode import UNKNOWN, EpisodeNote
from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.ros.diagnostics import Report
from asyncvla_ros.ros.recorder.asked_policy import AskedPolicy
from asyncvla_ros.ros.recorder.episode_writer import Channel, EpisodeWriter
from asyncvla_ros.ros.recorder.folder import next_number
from asyncvla_ros.ros.recorder.pre_roll import PreRoll, ReceivedMessage

# Messages that arrive within this time after the end still belong to the episode [s].
TAIL_S = 0.5


@dataclass
class _OpenEpisode:
    """An episode in progress.

    Attributes:
        writer: Writes its messages.
        ends_at_s: When it is closed [s, steady]; None: its end is not known yet.
        outcome: Outcome that is written at the close.
    """

    writer: EpisodeWriter
    ends_at_s: float | None = None
    outcome: str = UNKNOWN


class EpisodeRecorder:
    """Begins and ends episodes, and passes messages to the one in progress.

    Threads: the node's executor alone; each episode has its own thread that writes.

    Args:
        node: Its log is written to; its clock stamps the messages.
        out: Folder that receives a folder for each episode.
        robot: Name of the robot.
        contract: Text of the robot's contract.
        policy: Policy that is asked for its parameters; None: none is.
        summary: Summary of the previous episode; empty: none.

    Attributes:
        summary: Summary of the episode that ended last.
    """

    def __init__(
        self, node: Node, out: Path, robot: str, contract: str, policy: AskedPolicy | None, summary: str
    ):
        self._node, self._out = node, out
        self._robot, self._contract, self._policy = robot, contract, policy
        self._versions = provenance()["versions"]
        self._pre_roll = PreRoll()
        #: Set from ``begin`` to ``finish``.
        self._recording: _OpenEpisode | None = None
        self.summary = summary

    @property
    def is_recording(self) -> bool:
        """Whether an episode is in progress."""
        return self._recording is not None

    @property
    def lacks_instruction(self) -> bool:
        """Whether the instruction of the episode in progress is still unknown."""
        return self._recording is not None and not self._recording.writer.note.instruction

    def begin(
        self, channels: Sequence[Channel], instruction: str, now_ns: int | None = None, since_ns: int = 0
    ) -> Path:
        """Begin an episode and return its folder; end the one before.

        Args:
            channels: Topics that may have messages.
            instruction: Instruction of the episode; empty: not known yet.
            now_ns: When it begins [ns, node clock]; None: now.
            since_ns: Messages with an older stamp [ns] do not belong to it.

        Raises:
            AsyncVLAError: it cannot be written.
        """
        self.finish()
        folder = self._out / f"episode_{next_number(self._out):06d}"
        note = EpisodeNote(
            instruction=instruction,
            robot=self._robot,
            began=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            versions=self._versions,
        )
        writer = EpisodeWriter(folder, channels, note, self._contract)
        self._recording = _OpenEpisode(writer)
        now_ns = now_ns or self._node.get_clock().now().nanoseconds
        for channel, log_ns, content in self._pre_roll.take(now_ns, since_ns):
            writer.put(channel, log_ns, content)
        if self._policy is not None:
            self._policy.ask(partial(self._describe, writer))
        self._node.get_logger().info(f"recording {folder}")
        return folder

    def put(self, one: ReceivedMessage, *, is_latched: bool, lost: int) -> None:
        """Write a message to the episode in progress, or keep it for one that may begin soon.

        Args:
            one: The message.
            is_latched: Whether its topic is published once, for later subscribers, too.
            lost: Number of messages of its publisher that were lost before it.
        """
        recording = self._recording
        if recording is not None:
            recording.writer.put(one.channel, one.log_ns, one.content)
            recording.writer.note_lost(one.channel.topic, lost)
        if recording is None or recording.ends_at_s is not None or is_latched:
            self._pre_roll.add(one, is_latched=is_latched)

    def describe(self, instruction: str) -> None:
        """Set the instruction of the episode in progress."""
        if self._recording is not None:
            self._recording.writer.describe(instruction=instruction)

    def end_soon(self, outcome: str) -> None:
        """End the episode with this outcome after ``TAIL_S``, when late messages have arrived."""
        if self._recording is not None and self._recording.ends_at_s is None:
            self._recording.outcome = outcome
            self._recording.ends_at_s = time.monotonic() + TAIL_S

    def look(self) -> None:
        """End the episode if its time has come, or if writing failed."""
        if self._recording is None:
            return
        ends_at_s, problem = self._recording.ends_at_s, self._recording.writer.problem
        if ends_at_s is not None and time.monotonic() >= ends_at_s:
            self.finish()
        elif problem:
            self.finish(UNKNOWN)

    def finish(self, outcome: str | None = None) -> None:
        """End the episode, if there is one.

        Args:
            outcome: Outcome of the episode; None: the one given to ``end_soon``, else unknown.
        """
        recording, self._recording = self._recording, None
        if recording is None:
            return
        note = recording.writer.close(recording.outcome if outcome is None else outcome)
        counts = note.messages.values()
        written, lost = (sum(count[key] for count in counts) for key in ("written", "lost"))
        self.summary = f"{recording.writer.folder}: {note.outcome}, {written} messages, {lost} lost"
        if note.problem:
            self._node.get_logger().error(f"{self.summary}; cut short: {note.problem}")
        elif lost:
            topics = ", ".join(f"{t} {c['lost']}" for t, c in note.messages.items() if c["lost"])
            self._node.get_logger().warning(f"{self.summary} ({topics})")
        else:
            self._node.get_logger().info(self.summary)

    def report(self) -> Report:
        """Return what ``/diagnostics`` says."""
        if self._recording is None:
            return Report(DiagnosticStatus.OK, "waiting", {"last": self.summary})
        writer = self._recording.writer
        counts = writer.counts()
        lost = sum(count["lost"] for count in counts.values())
        level = DiagnosticStatus.WARN if lost else DiagnosticStatus.OK
        values = {f"{topic} {key}": n for topic, count in counts.items() for key, n in count.items()}
        return Report(level, f"recording {writer.folder}, {lost} messages lost", values)

    def _describe(self, writer: EpisodeWriter, **known: object) -> None:
        """Add to the note of an episode, if it is still the one in progress."""
        if self._recording is not None and self._recording.writer is writer:
            writer.describe(**known)
