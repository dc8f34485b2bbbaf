"""Lifecycle node that turns cameras, robot state and an instruction into action chunks.

cameras, robot state ──> newest consistent snapshot ──> Policy.infer ──> ~/action_chunk
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image, JointState

from asyncvla_msgs.msg import ActionChunk, EpisodeStatus
from asyncvla_msgs.srv import SetInstruction
from asyncvla_ros.control.chunk_session import ChunkSession
from asyncvla_ros.data.robot_policy import Deciding, RobotPolicy, Source, observed, store
from asyncvla_ros.observe.stream_sync import Snapshot, StreamSync
from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract import CameraSource, JointStateSource
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import chunk_to_message
from asyncvla_ros.ros.diagnostics import Diagnostics, Report
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.policy.doubt import DoubtWatch
from asyncvla_ros.ros.policy.figures import PolicyFigures, mean_confidence
from asyncvla_ros.ros.policy.inference_loop import InferenceLoop
from asyncvla_ros.ros.policy.parameters import HOLD, PolicyParameters
from asyncvla_ros.ros.policy.run_task import RunTaskServer
from asyncvla_ros.ros.policy.tasks import NOT_ACTIVE, Result, TaskSlot
from asyncvla_ros.ros.stream_watch import Stream, StreamWatch, clock_problem
from asyncvla_ros.types import ActionChunk as Answer
from asyncvla_ros.types import AsyncVLAError

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy


class PolicyNode(ManagedNode):
    """Topics and parameters of the policy; what it computes is in ``asyncvla_ros.policy``."""

    def __init__(self) -> None:
        super().__init__("policy")
        self._loop: InferenceLoop | None = None
        self._tasks = TaskSlot(self._publish_end, self._look_again)
        # rclpy asks the callback added last first: this one hears only of changes that Parameters permits.
        self.add_on_set_parameters_callback(self._on_instruction)
        self._params = Parameters(self, PolicyParameters, self._on_change)
        self._figures = PolicyFigures()
        self._diagnostics = Diagnostics(self, self._report)

    def load_policy(self) -> Policy:
        """The policy of the parameters."""
        # Only here: torch takes seconds, and a policy of another kind starts without it.
        from asyncvla_ros.policy import Policy

        values = self._params.values
        checkpoint = Path(values.checkpoint).expanduser() if values.checkpoint else None
        return Policy.from_checkpoint(
            checkpoint, values.device, values.threads or None, values.engine, weights=values.weights
        )

    def configure(self) -> None:
        """Loads contract and checkpoint, has them agree, warms up, and subscribes."""
        values = self._params.values
        _ = values.strategy  # raises now rather than at the first inference
        self._robot = load_robot(robot_file(values.robot))
        self._policy = self.load_policy()
        self._robot_policy = RobotPolicy(self._policy, self._robot, values.checkpoint or "as shipped")
        self._policy.check(values.strategy)
        self._tasks.judge = self._policy.unknown_words
        if values.instruction.strip():
            self._tasks.judge(values.instruction)
        self._policy.warmup(strategy=values.strategy)
        if values.commit:
            self.get_logger().warning("parameter commit is deprecated, use handover: commit")
        if self._policy.engine_note:
            self.get_logger().warning(self._policy.engine_note)
        sources = observed(self._robot, self._robot_policy.cameras)
        clock: Any = self.get_clock()
        sync: StreamSync[Any] = StreamSync(
            list(sources), values.max_age_ns, values.max_skew_ns, permits_ahead=clock.ros_time_is_active
        )
        self._loop = InferenceLoop(
            sync, self._now_ns, lambda: self._tasks.followed is not None, self._infer, crashed=self._crashed
        )
        self.resources.callback(self._forget_loop)
        self._session = ChunkSession(self._robot)
        self._doubt = DoubtWatch(self._policy.episode_limits)
        self._publisher = self.advertise(ActionChunk, "~/action_chunk", qos.CHUNK)
        self._subscribe_streams(sources)
        service = self.create_service(SetInstruction, "~/set_instruction", self._set_instruction)
        self.resources.callback(self.destroy_service, service)
        server = RunTaskServer(self, self._tasks)
        if values.episode_status_topic:
            self.subscribe(EpisodeStatus, values.episode_status_topic, server.note_episode, qos.STATUS)
        self.on_clock_set_back(self._clock_set_back)
        cameras = ", ".join(self._robot_policy.cameras)
        self.get_logger().info(f"ready: robot {self._robot.name}, cameras {cameras}")

    def activate(self) -> None:
        """Starts a new session of chunks."""
        assert self._loop is not None
        self._session = ChunkSession(self._robot)
        self._figures.error = ""
        self._loop.start()
        self._tasks.open()

    def deactivate(self) -> None:
        """Ends the running task, its motion and the inference thread."""
        text = "the policy node was deactivated"
        try:
            self._tasks.close(Result.TERMINATION_DEACTIVATED, text, NOT_ACTIVE)
        finally:
            if self._loop is not None:
                self._loop.stop()

    def _forget_loop(self) -> None:
        self._loop = None

    def _subscribe_streams(self, sources: dict[str, Source]) -> None:
        reliability = self._params.values.sensor_reliability
        streams: dict[str, Stream] = {}
        for stream, source in sources.items():
            if isinstance(source, CameraSource):
                profile = qos.sensor(reliability)
                kind: type = Image if source.transport == "raw" else CompressedImage
            else:
                profile = qos.state(reliability)
                kind = JointState if isinstance(source, JointStateSource) else PoseStamped
            self.subscribe(kind, source.topic, partial(self._store, stream, source), profile)
            streams[stream] = Stream(source.topic, kind, profile)
        self._watch = StreamWatch(self, streams)

    def _store(self, stream: str, source: Source, message: Any) -> None:
        if self._loop is not None:
            store(message, stream, source, self._robot.base_frame, slots=self._loop)

    def _infer(self, snapshot: Snapshot[Any]) -> None:
        """One inference, in its thread."""
        followed = self._tasks.followed
        if followed is None:
            return
        began = time.perf_counter()
        try:
            answer = self._answer(snapshot, followed.instruction)
        except AsyncVLAError as error:
            self._figures.note_failure(str(error))
            self.get_logger().error(f"no chunk: {error}", throttle_duration_sec=1.0)
            return
        latency_s = time.perf_counter() - began
        if self._doubt.note(followed, answer):
            text = self._doubt.text_of(followed)
            self.get_logger().warning(text, throttle_duration_sec=5.0)
            if self._params.values.on_doubt == HOLD:
                if self._tasks.hold(followed):
                    self._figures.note_held(answer)
                return
        send = partial(self._publish_chunk, answer, snapshot.stamp_ns, followed.instruction, latency_s)
        if self._tasks.publish(followed, mean_confidence(answer), send):
            self._figures.note_chunk(answer, latency_s)
        else:
            self._figures.note_dropped(followed.end_reason)

    def _answer(self, snapshot: Snapshot[Any], instruction: str) -> Answer:
        values = self._params.values
        seed = None if values.seed < 0 else values.seed
        deciding = Deciding(values.strategy, seed)
        question = self._robot_policy.question(snapshot, instruction, self._session, deciding)
        return question.answer(self._policy)

    def _publish_chunk(self, answer: Answer, stamp_ns: int, instruction: str, latency_s: float) -> None:
        chunk = self._session.chunk(answer, stamp_ns, self._now_ns(), instruction)
        chunk = replace(chunk, unknown_words=self._policy.unknown_words(instruction))
        self._publisher.publish(chunk_to_message(chunk, self._robot.base_frame, round(latency_s * 1e9)))

    def _publish_end(self) -> None:
        """Tells the controller to stop."""
        end = self._session.end(self._now_ns())
        self._publisher.publish(chunk_to_message(end, self._robot.base_frame, 0))

    def _look_again(self) -> None:
        """Has the observation at hand inferred on once more, for what is followed now."""
        if self._loop is not None:
            self._loop.look_again()

    def _crashed(self, text: str) -> None:
        self._figures.note_failure(f"the inference thread ended: {text.strip().splitlines()[-1]}")
        self.get_logger().fatal(f"the inference thread ended; deactivate and activate to try again:\n{text}")
        error = self._figures.error
        self._tasks.close(Result.TERMINATION_FAULT, error, f"{error}; deactivate and activate to try again")

    def _set_instruction(
        self, request: SetInstruction.Request, response: SetInstruction.Response
    ) -> SetInstruction.Response:
        before = self._tasks.instruction
        (result,) = self.set_parameters([Parameter("instruction", value=request.instruction)])
        response.accepted, response.message = result.successful, result.reason or before
        if result.successful and (words := self._unknown_words()):
            response.message = f"the policy never saw {', '.join(words)}"
        return response

    def _unknown_words(self) -> tuple[str, ...]:
        """Words of what is followed that the policy never saw."""
        instruction = self._tasks.instruction
        known = self._loop is None or not instruction.strip()
        return () if known else self._policy.unknown_words(instruction)

    def _on_change(self, old: PolicyParameters, new: PolicyParameters) -> None:
        strategy = new.strategy  # raises to refuse the change
        if self._loop is not None:
            self._policy.check(strategy)
            with self._loop.locked() as sync:
                sync.max_age_ns, sync.max_skew_ns = new.max_age_ns, new.max_skew_ns
            self._loop.wake()

    def _on_instruction(self, parameters: list[Parameter]) -> SetParametersResult:
        """Also of a value that stays the same, for it ends a task; and of the value at the start."""
        for parameter in parameters:
            if parameter.name == "instruction":
                try:
                    words = self._tasks.judge(parameter.value) if parameter.value.strip() else ()
                except AsyncVLAError as error:
                    return SetParametersResult(successful=False, reason=str(error))
                never_seen = f"; the policy never saw {', '.join(words)}" if words else ""
                self.get_logger().info(f"instruction: {parameter.value!r}{never_seen}")
                self._tasks.set_standing(parameter.value)
        return SetParametersResult(successful=True)

    def _clock_set_back(self) -> None:
        if self._loop is None:
            return
        clock: Any = self.get_clock()
        text = "the clock was set back; all samples at hand are dropped"
        # A simulation that begins anew does so. rclpy allows one severity per line of code.
        if clock.ros_time_is_active:
            self.get_logger().info(text)
        else:
            self.get_logger().warning(text)
        with self._loop.locked() as sync:
            sync.reset()
        self._session.forget_times()

    def _report(self) -> Report:
        if self._loop is None:
            return Report(DiagnosticStatus.OK, "unconfigured", {})
        values = self._params.values
        now_ns, clock = self._now_ns(), clock_problem(self)
        with self._loop.locked() as sync:
            problems = [clock] if clock else sync.problems(now_ns, self._watch.silence)
            strategy = self._policy.resolve(values.strategy)
            report = self._figures.report(
                sync,
                problems,
                now_ns,
                self._tasks.instruction,
                strategy=strategy,
                is_active=self.is_active,
                doubt=self._doubtful(),
            )
        return replace(report, values={**report.values, "unknown words": ", ".join(self._unknown_words())})

    def _doubtful(self) -> str:
        """Why what is followed is doubtful, and whether it is held; empty if it is not."""
        text = self._doubt.text_of(self._tasks.followed)
        return f"held: {text}" if text and self._params.values.on_doubt == HOLD else text

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def main() -> None:
    """Entry point of the ``policy_node`` executable."""
    run_node(PolicyNode)


if __name__ == "__main__":
    main()
