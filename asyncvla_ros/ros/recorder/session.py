"""The recorder from configure to cleanup: its methods are the callbacks of the node.

contract topics, chunks, commands ──> pre-roll, episode (a thread) ──> OUT/episode_000000/
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from action_msgs.msg import GoalStatusArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.serialization import deserialize_message

from asyncvla_msgs.msg import ActionChunk, EpisodeStatus
from asyncvla_msgs.srv import StartEpisode, StopEpisode
from asyncvla_ros.bags.episode import DISCARDED, FAILURE, SUCCESS, UNKNOWN
from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.diagnostics import Report
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.recorder.asked_policy import AskedPolicy
from asyncvla_ros.ros.recorder.channels import Wanted, header_stamp, message_class, wanted
from asyncvla_ros.ros.recorder.episode_recorder import EpisodeRecorder
from asyncvla_ros.ros.recorder.episode_writer import Channel
from asyncvla_ros.ros.recorder.folder import cut_short
from asyncvla_ros.ros.recorder.keyboard import Keyboard
from asyncvla_ros.ros.recorder.listening import Listening
from asyncvla_ros.ros.recorder.occasions import Occasions
from asyncvla_ros.ros.recorder.parameters import RecorderParameters
from asyncvla_ros.ros.recorder.pre_roll import ReceivedMessage
from asyncvla_ros.types import AsyncVLAError, RunError

OUTCOMES = {
    StopEpisode.Request.OUTCOME_UNKNOWN: UNKNOWN,
    StopEpisode.Request.OUTCOME_SUCCESS: SUCCESS,
    StopEpisode.Request.OUTCOME_FAILURE: FAILURE,
    StopEpisode.Request.OUTCOME_DISCARDED: DISCARDED,
}
KEYS = "s start   y stop, solved   n stop, not solved   d stop, discard   q quit"
KEY_OUTCOMES = {"y": SUCCESS, "n": FAILURE, "d": DISCARDED}
# Periods of checking the publishers of all topics, and whether an episode is over [s].
LOOK_S, TICK_S = 1.0, 0.1


class RecorderSession:
    """Receives what belongs to an episode of a robot, and what begins and ends one.

    Threads: every field belongs to the node's executor. Only ``_on_key`` runs in another thread, and hands
    the key over.

    Args:
        node: Owns topics, services and timers.
        params: Parameters of the node.
        summary: Summary of the last episode of the previous session; empty: none.

    Raises:
        AsyncVLAError: the contract is missing or wrong.
        OSError: the folder cannot be made.
    """

    def __init__(self, node: ManagedNode, params: Parameters[RecorderParameters], summary: str):
        values = params.values
        self._node, self._params = node, params
        file = robot_file(values.robot)
        robot, contract = load_robot(file), file.read_text(encoding="utf-8")
        self._out = Path(values.out).expanduser()
        self._out.mkdir(parents=True, exist_ok=True)
        for problem in cut_short(self._out):
            node.get_logger().warning(problem)
        policy = AskedPolicy(node, values.policy) if values.policy else None
        if policy is not None:
            node.resources.callback(policy.close)
        self._recorder = EpisodeRecorder(
            node, self._out, robot.name, contract, policy=policy, summary=summary
        )
        self._occasions = Occasions(self._begin_or_tell, self._recorder.end_soon)
        #: Owns the keyboard while the node is active.
        self._keys = ExitStack()
        if values.around == "tasks":
            node.subscribe(GoalStatusArray, values.task_topic, self._occasions.note_tasks, qos.STATUS)
        for kind, name, answer in (
            (StartEpisode, "~/start", self._on_start),
            (StopEpisode, "~/stop", self._on_stop),
        ):
            node.resources.callback(node.destroy_service, node.create_service(kind, name, answer))
        topics = wanted(robot, values.episode_status_topic, values.chunk_topic)
        self._listening = Listening(node, self._known(topics), self._on_message)
        node.resources.callback(self._listening.close)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for period_s, action in ((LOOK_S, self._listening.look), (TICK_S, self._recorder.look)):
            node.resources.callback(node.destroy_timer, node.create_timer(period_s, action, clock=steady))

    def _known(self, topics: list[Wanted]) -> list[Wanted]:
        """Return the topics whose message types are installed; log the others."""
        missing = sorted({one.kind for one in topics if message_class(one.kind) is None})
        if missing:
            self._node.get_logger().info(f"not recorded, for it is not installed: {', '.join(missing)}")
        return [one for one in topics if one.kind not in missing]

    def close(self) -> str:
        """Return the summary of the last episode, once the topics are released."""
        return self._recorder.summary

    def start(self) -> None:
        """Read keys from the terminal, if the parameter ``keyboard`` says so."""
        self._node.get_logger().info(f"ready: episodes go to {self._out}")
        if not self._params.values.keyboard:
            return
        if not Keyboard.is_there():
            self._node.get_logger().warning("there is no terminal to take keys from; the services work")
            return
        self._keys.enter_context(Keyboard(self._on_key))
        self._node.get_logger().info(KEYS)

    def stop(self) -> None:
        """Stop reading keys, and end the episode."""
        self._keys.close()
        self._recorder.finish()

    def report(self) -> Report:
        """Return what ``/diagnostics`` says."""
        return self._recorder.report()

    def _on_message(self, one: Wanted, channel: Channel, content: bytes, lost: int) -> None:
        now_ns, values = self._node.get_clock().now().nanoseconds, self._params.values
        stamp_ns = header_stamp(content) if channel.has_header else now_ns
        clock: Any = self._node.get_clock()
        if clock.ros_time_is_active:
            # A simulated clock may come after what it is the time of.
            now_ns = max(now_ns, stamp_ns)
        received = ReceivedMessage(channel, now_ns, stamp_ns, content, at_s=time.monotonic())
        if one.topic == values.episode_status_topic and values.around == "episodes":
            status = deserialize_message(content, EpisodeStatus)
            self._occasions.note_before(status, now_ns)
            self._recorder.put(received, is_latched=one.is_latched, lost=lost)
            self._occasions.note_after(status)
            return
        self._recorder.put(received, is_latched=one.is_latched, lost=lost)
        if one.topic == values.chunk_topic and self._recorder.lacks_instruction:
            self._recorder.describe(deserialize_message(content, ActionChunk).instruction)

    # --- what begins and ends an episode ------------------------------------------------------------------

    def _begin(self, instruction: str, now_ns: int | None = None, since_ns: int = 0) -> Path:
        """Begin an episode without messages stamped before ``since_ns`` [ns]; return its folder."""
        if not self._node.is_active:
            raise RunError("the node is not active; activate it first")
        instruction = instruction or self._params.values.instruction
        return self._recorder.begin(self._listening.channels, instruction, now_ns, since_ns)

    def _begin_or_tell(self, instruction: str, now_ns: int | None = None, since_ns: int = 0) -> None:
        """Begin an episode; log an error, as nobody waits for an answer."""
        try:
            self._begin(instruction, now_ns, since_ns)
        except AsyncVLAError as error:
            self._node.get_logger().error(f"not recorded: {error}")

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
        elif not self._recorder.is_recording:
            response.message = "no episode is being recorded"
        else:
            self._recorder.finish(OUTCOMES[request.outcome])
            response.accepted, response.message = True, self._recorder.summary
        return response

    def _on_key(self, key: str) -> None:
        """Pass a key from the keyboard's thread to the executor."""
        if self._node.executor is not None:
            self._node.executor.create_task(self._act_on_key, key)

    def _act_on_key(self, key: str) -> None:
        if key == "s":
            self._begin_or_tell("")
        elif key in KEY_OUTCOMES and self._recorder.is_recording:
            self._recorder.finish(KEY_OUTCOMES[key])
        elif key == "q":
            os.kill(os.getpid(), signal.SIGINT)
        elif key.strip():
            self._node.get_logger().info(KEYS)
