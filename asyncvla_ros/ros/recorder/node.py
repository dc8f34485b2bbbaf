"""Lifecycle node that records episodes: each a folder with what was seen, decided and done.

contract topics, chunks, commands ──> pre-roll, episode (a thread) ──> OUT/episode_000000/
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from action_msgs.msg import GoalStatusArray
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.serialization import deserialize_message

from asyncvla_msgs.msg import ActionChunk, EpisodeStatus
from asyncvla_msgs.srv import StartEpisode, StopEpisode
from asyncvla_ros.bags.episode import (
    DISCARDED,
    FAILURE,
    SUCCESS,
    UNKNOWN,
    EpisodeNote,
)
from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.diagnostics import Diagnostics, Report
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.recorder.asked_policy import AskedPolicy
from asyncvla_ros.ros.recorder.channels import Wanted, header_stamp, message_class, wanted
from asyncvla_ros.ros.recorder.episode_writer import Channel, EpisodeWriter
from asyncvla_ros.ros.recorder.folder import cut_short, next_number
from asyncvla_ros.ros.recorder.keyboard import Keyboard
from asyncvla_ros.ros.recorder.listening import Listening
from asyncvla_ros.ros.recorder.occasions import Occasions
from asyncvla_ros.ros.recorder.parameters import RecorderParameters
from asyncvla_ros.ros.recorder.pre_roll import PreRoll, Received
from asyncvla_ros.types import AsyncVLAError, RunError

OUTCOMES = {
    StopEpisode.Request.OUTCOME_UNKNOWN: UNKNOWN,
    StopEpisode.Request.OUTCOME_SUCCESS: SUCCESS,
    StopEpisode.Request.OUTCOME_FAILURE: FAILURE,
    StopEpisode.Request.OUTCOME_DISCARDED: DISCARDED,
}
KEYS = "s start   y stop, solved   n stop, not solved   d stop, discard   q quit"
KEY_OUTCOMES = {"y": SUCCESS, "n": FAILURE, "d": DISCARDED}
# What is still on its way when an episode ends belongs to it [s].
TAIL_S = 0.5
# How often it is looked for who publishes now, and whether an episode is over [s].
LOOK_S, TICK_S = 1.0, 0.1


class RecorderNode(ManagedNode):
    """Topics, services and keys of the recorder; what it writes: ``EpisodeWriter``."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self._params = Parameters(self, RecorderParameters)
        self._episode: EpisodeWriter | None = None
        self._listening: Listening | None = None
        self._summary = ""
        self._diagnostics = Diagnostics(self, self._report)

    def configure(self) -> None:
        """Reads the contract, looks at what was recorded before, subscribes."""
        values = self._params.values
        file = robot_file(values.robot)
        self._robot, self._contract = load_robot(file), file.read_text(encoding="utf-8")
        self._out = Path(values.out).expanduser()
        self._out.mkdir(parents=True, exist_ok=True)
        for problem in cut_short(self._out):
            self.get_logger().warning(problem)
        self._pre_roll = PreRoll()
        self._ends_at_s: float | None = None
        self._outcome = UNKNOWN
        self._occasions = Occasions(self._begin_or_tell, self._end_soon)
        self._versions = provenance()["versions"]
        self._policy = AskedPolicy(self, values.policy) if values.policy else None
        if self._policy is not None:
            self.resources.callback(self._policy.close)
        if values.around == "tasks":
            self.subscribe(GoalStatusArray, values.task_topic, self._occasions.note_tasks, qos.STATUS)
        for kind, name, answer in (
            (StartEpisode, "~/start", self._on_start),
            (StopEpisode, "~/stop", self._on_stop),
        ):
            self.resources.callback(self.destroy_service, self.create_service(kind, name, answer))
        topics = wanted(self._robot, values.episode_status_topic, values.chunk_topic)
        self._listening = Listening(self, self._known(topics), self._take)
        self.resources.callback(self._deafen, self._listening)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for period_s, action in ((LOOK_S, self._listening.look), (TICK_S, self._tick)):
            self.resources.callback(self.destroy_timer, self.create_timer(period_s, action, clock=steady))

    def _deafen(self, listening: Listening) -> None:
        self._listening = None
        listening.close()

    def activate(self) -> None:
        """Takes keys, if it is to."""
        self.get_logger().info(f"ready: episodes go to {self._out}")
        self._keys = ExitStack()
        if not self._params.values.keyboard:
            return
        if not Keyboard.is_there():
            self.get_logger().warning("there is no terminal to take keys from; the services work")
            return
        self._keys.enter_context(Keyboard(self._on_key))
        self.get_logger().info(KEYS)

    def deactivate(self) -> None:
        """Ends the episode."""
        self.__dict__.pop("_keys", ExitStack()).close()
        self._finish_now()

    def _known(self, topics: list[Wanted]) -> list[Wanted]:
        """Those whose messages are installed."""
        missing = sorted({one.kind for one in topics if message_class(one.kind) is None})
        if missing:
            self.get_logger().info(f"not recorded, for it is not installed: {', '.join(missing)}")
        return [one for one in topics if one.kind not in missing]

    def _take(self, one: Wanted, found: Channel, content: bytes, lost: int) -> None:
        """A message as it came."""
        now_ns, values = self._now_ns(), self._params.values
        stamp_ns = header_stamp(content) if found.has_header else now_ns
        clock: Any = self.get_clock()
        if clock.ros_time_is_active:
            # A simulated clock may come after what it is the time of.
            now_ns = max(now_ns, stamp_ns)
        status = None
        if one.topic == values.episode_status_topic and values.around == "episodes":
            status = deserialize_message(content, EpisodeStatus)
            self._occasions.note_before(status, now_ns)
        if self._episode is not None:
            self._episode.put(found, now_ns, content)
            self._episode.note_lost(found.topic, lost)
        if self._episode is None or self._ends_at_s is not None or one.is_latched:
            self._pre_roll.add(
                Received(found, now_ns, stamp_ns, content, at_s=time.monotonic()), one.is_latched
            )
        if status is not None:
            self._occasions.note_after(status)
        elif one.topic == values.chunk_topic and self._episode and not self._episode.note.instruction:
            self._episode.describe(instruction=deserialize_message(content, ActionChunk).instruction)

    # --- what begins and ends an episode ------------------------------------------------------------------

    def _on_start(
        self, request: StartEpisode.Request, response: StartEpisode.Response
    ) -> StartEpisode.Response:
        try:
            response.message = str(self._begin(request.instruction))
            response.accepted = True
        except AsyncVLAError as error:
            response.message = str(error)
        return response

    def _on_stop(self, request: StopEpisode.Request, response: StopEpisode.Response) -> StopEpisode.Response:
        if request.outcome not in OUTCOMES:
            response.message = f"outcome is {request.outcome}, expected one of {sorted(OUTCOMES)}"
        elif self._episode is None:
            response.message = "no episode is being recorded"
        else:
            self._finish(OUTCOMES[request.outcome])
            response.accepted, response.message = True, self._summary
        return response

    def _on_key(self, key: str) -> None:
        """In the thread of the keyboard."""
        if self.executor is not None:
            self.executor.create_task(self._act_on_key, key)

    def _act_on_key(self, key: str) -> None:
        if key == "s":
            self._begin_or_tell("")
        elif key in KEY_OUTCOMES and self._episode is not None:
            self._finish(KEY_OUTCOMES[key])
        elif key == "q":
            os.kill(os.getpid(), signal.SIGINT)
        elif key.strip():
            self.get_logger().info(KEYS)

    # --- episodes -----------------------------------------------------------------------------------------

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _begin(self, instruction: str, now_ns: int | None = None, since_ns: int = 0) -> Path:
        """Begins an episode; what has a stamp before ``since_ns`` [ns] is no part of it."""
        if self._listening is None or not self.is_active:
            raise RunError("the node is not active; activate it first")
        self._finish_now()
        folder = self._out / f"episode_{next_number(self._out):06d}"
        note = EpisodeNote(
            instruction=instruction or self._params.values.instruction,
            robot=self._robot.name,
            began=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            versions=self._versions,
        )
        self._episode = EpisodeWriter(folder, self._listening.channels, note, self._contract)
        for found, log_ns, content in self._pre_roll.take(now_ns or self._now_ns(), since_ns):
            self._episode.put(found, log_ns, content)
        if self._policy is not None:
            self._policy.ask(partial(self._describe, self._episode))
        self.get_logger().info(f"recording {folder}")
        return folder

    def _begin_or_tell(self, instruction: str, now_ns: int | None = None, since_ns: int = 0) -> None:
        """As ``_begin``, where nobody waits for an answer."""
        try:
            self._begin(instruction, now_ns, since_ns)
        except AsyncVLAError as error:
            self.get_logger().error(f"not recorded: {error}")

    def _end_soon(self, outcome: str) -> None:
        if self._episode is not None and self._ends_at_s is None:
            self._outcome, self._ends_at_s = outcome, time.monotonic() + TAIL_S

    def _finish_now(self) -> None:
        """Ends the episode; unless it is about to end anyway, its outcome is not known."""
        self._finish(UNKNOWN if self._ends_at_s is None else self._outcome)

    def _tick(self) -> None:
        if self._ends_at_s is not None and time.monotonic() >= self._ends_at_s:
            self._finish_now()
        if self._episode is not None and self._episode.problem:
            self._finish(UNKNOWN)

    def _finish(self, outcome: str) -> None:
        """Ends the episode, if there is one."""
        episode, self._episode, self._ends_at_s = self._episode, None, None
        if episode is None:
            return
        note = episode.close(outcome)
        counts = note.messages.values()
        written, lost = (sum(count[key] for count in counts) for key in ("written", "lost"))
        self._summary = f"{episode.folder}: {outcome}, {written} messages, {lost} lost"
        if note.problem:
            self.get_logger().error(f"{self._summary}; cut short: {note.problem}")
        elif lost:
            topics = ", ".join(f"{t} {c['lost']}" for t, c in note.messages.items() if c["lost"])
            self.get_logger().warning(f"{self._summary} ({topics})")
        else:
            self.get_logger().info(self._summary)

    def _describe(self, episode: EpisodeWriter, **known: object) -> None:
        """What comes to be known of an episode while it is recorded."""
        if episode is self._episode:
            episode.describe(**known)

    def _report(self) -> Report:
        if self._listening is None:
            return Report(DiagnosticStatus.OK, "unconfigured", {})
        if self._episode is None:
            return Report(DiagnosticStatus.OK, "waiting", {"last": self._summary})
        counts = self._episode.counts()
        lost = sum(count["lost"] for count in counts.values())
        level = DiagnosticStatus.WARN if lost else DiagnosticStatus.OK
        values = {f"{topic} {key}": n for topic, count in counts.items() for key, n in count.items()}
        return Report(level, f"recording {self._episode.folder}, {lost} messages lost", values)


def main(parameters: Mapping[str, object] | None = None, namespace: str = "") -> None:
    """Entry point of the ``recorder_node`` executable.

    Args:
        parameters: Override those of the command line.
        namespace: Of the node; empty: that of the command line.
    """
    if parameters is not None:
        given = [
            word for name, value in parameters.items() for word in ("-p", f"{name}:={json.dumps(value)}")
        ]
        place = ["-r", f"__ns:=/{namespace.strip('/')}"] if namespace.strip("/") else []
        sys.argv = [sys.argv[0], "--ros-args", *place, *given]
    run_node(RecorderNode)


if __name__ == "__main__":
    main()
