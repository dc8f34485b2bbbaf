"""The policy from configure to cleanup: its methods are the callbacks of the node.

cameras, robot state ──> newest consistent snapshot ──> Policy.infer ──> ~/action_chunk
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rclpy.parameter import Parameter

from asyncvla_msgs.msg import EpisodeStatus
from asyncvla_msgs.srv import SetInstruction
from asyncvla_ros.data.deciding import Deciding
from asyncvla_ros.data.robot_policy import RobotPolicy, Source, observed, store
from asyncvla_ros.observe.stream_sync import Snapshot, StreamSync
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.diagnostics import Report
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.policy.chunk_publisher import ChunkPublisher
from asyncvla_ros.ros.policy.doubt import DoubtWatch
from asyncvla_ros.ros.policy.inference_loop import InferenceLoop
from asyncvla_ros.ros.policy.metrics import PolicyMetrics, mean_confidence
from asyncvla_ros.ros.policy.parameters import HOLD, PolicyParameters
from asyncvla_ros.ros.policy.run_task import RunTaskServer
from asyncvla_ros.ros.policy.tasks import NOT_ACTIVE, Result, TaskSlot
from asyncvla_ros.ros.source_streams import stream_of
from asyncvla_ros.ros.stream_watch import Stream, StreamWatch, clock_problem
from asyncvla_ros.types import ActionChunk, AsyncVLAError

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy


class PolicySession:
    """Keeps the newest samples of the robot, runs the policy on them, and publishes its chunks.

    Threads: the callbacks of the node, including transitions, run in its executor's thread, one at a time.
    ``_infer``, what it calls, and ``_crashed`` run in the thread of ``InferenceLoop``; tasks begin and end in
    the threads of ``RunTaskServer``. No field is exchanged after ``__init__``.

    Args:
        node: Owns topics and services.
        params: Parameters of the node; their values are exchanged as a whole, so every thread may read them.
        robot: Contract of the robot that is observed and commanded.
        policy: The policy; not warm yet.
        metrics: Counts of the node; they outlive the session.

    Raises:
        AsyncVLAError: robot, policy and parameters do not fit.
    """

    def __init__(
        self,
        node: ManagedNode,
        params: Parameters[PolicyParameters],
        robot: RobotContract,
        policy: Policy,
        metrics: PolicyMetrics,
    ):
        values = params.values
        self._node, self._params, self._robot = node, params, robot
        #: Once warm, only the inference thread infers with it; any thread may read its settings.
        self._policy = policy
        self._robot_policy = RobotPolicy(policy, robot, values.checkpoint or "as shipped")
        self._check(values)  # raises now rather than at the first inference
        policy.warmup(strategy=values.strategy)
        if values.commit:
            node.get_logger().warning("parameter commit is deprecated, use handover: commit")
        if policy.engine_note:
            node.get_logger().warning(policy.engine_note)
        #: The inference thread writes them, the executor's reads: metrics one by one, a doubt as a whole.
        self._metrics, self._doubt = metrics, DoubtWatch(policy.episode_limits)
        sources = observed(robot, self._robot_policy.cameras)
        #: For any thread, each with a lock; the lock of the tasks is taken before the others.
        self._loop = InferenceLoop(
            self._make_sync(sources),
            self._now_ns,
            lambda: self._tasks.followed is not None,
            self._infer,
            crashed=self._crashed,
        )
        self._chunks = ChunkPublisher(node, robot)
        self._tasks = TaskSlot(
            self._chunks.publish_end, self._loop.look_again, policy.unknown_words, values.instruction
        )
        #: Used by the executor's thread alone.
        self._stream_watch = StreamWatch(node, self._subscribe_streams(sources))
        service = node.create_service(SetInstruction, "~/set_instruction", self._on_set_instruction)
        node.resources.callback(node.destroy_service, service)
        server = RunTaskServer(node, self._tasks)
        if values.episode_status_topic:
            node.subscribe(EpisodeStatus, values.episode_status_topic, server.note_episode, qos.STATUS)
        node.on_clock_set_back(self._on_clock_set_back)
        node.get_logger().info(f"ready: robot {robot.name}, cameras {', '.join(self._robot_policy.cameras)}")

    def _check(self, values: PolicyParameters) -> None:
        self._policy.check(values.strategy)
        self._unknown_words(values.instruction)
        if values.on_doubt == HOLD and self._policy.episode_limits is None:
            raise AsyncVLAError(
                "on_doubt is hold, but this checkpoint has no monitor (monitor.json) that could doubt; "
                "`asyncvla train-rater` makes one, or choose nothing"
            )

    def _make_sync(self, sources: dict[str, Source]) -> StreamSync[Any]:
        values, is_simulated = self._params.values, self._clock().ros_time_is_active
        return StreamSync(list(sources), values.max_age_ns, values.max_skew_ns, permits_ahead=is_simulated)

    def _subscribe_streams(self, sources: dict[str, Source]) -> dict[str, Stream]:
        reliability = self._params.values.sensor_reliability
        streams = {name: stream_of(source, reliability) for name, source in sources.items()}
        for name, stream in streams.items():
            note = partial(self._on_sample, name, sources[name])
            self._node.subscribe(stream.kind, stream.topic, note, stream.profile)
        return streams

    # --- in the thread of the node's executor -------------------------------------------------------------

    def start(self) -> None:
        """Start inference, in a new session of chunks."""
        self._chunks.restart()
        self._metrics.error = ""
        self._loop.start()
        self._tasks.open()

    def stop(self) -> None:
        """End the running task, its motion and the inference thread. Idempotent."""
        try:
            self._tasks.close(Result.TERMINATION_DEACTIVATED, "the policy node was deactivated", NOT_ACTIVE)
        finally:
            self._loop.stop()

    def change(self, new: PolicyParameters) -> None:
        """Check and apply new parameters, before they come into force.

        Raises:
            AsyncVLAError: the policy cannot do what they say.
        """
        self._check(new)
        with self._loop.locked() as sync:
            sync.max_age_ns, sync.max_skew_ns = new.max_age_ns, new.max_skew_ns
        self._loop.wake()

    def follow(self, instruction: str) -> None:
        """Follow an instruction outside of tasks; this ends a running task even if it stays the same."""
        words = self._unknown_words(instruction)
        never_seen = f"; the policy never saw {', '.join(words)}" if words else ""
        self._node.get_logger().info(f"instruction: {instruction!r}{never_seen}")
        self._tasks.set_standing(instruction)

    def report(self) -> Report:
        """Return what ``/diagnostics`` says."""
        values, instruction = self._params.values, self._tasks.instruction
        now_ns, clock, is_active = self._now_ns(), clock_problem(self._node), self._node.is_active
        doubt = self._doubt.text_of(self._tasks.followed)
        if doubt and values.on_doubt == HOLD:
            doubt = f"held: {doubt}"
        strategy = self._policy.resolve(values.strategy)
        with self._loop.locked() as sync:
            problems = [clock] if clock else sync.problems(now_ns, self._stream_watch.silence)
            report = self._metrics.report(
                sync,
                problems,
                now_ns,
                instruction,
                strategy=strategy,
                is_active=is_active,
                doubt=doubt,
            )
        words = ", ".join(self._unknown_words(instruction))
        return replace(report, values={**report.values, "unknown words": words})

    def _on_sample(self, stream: str, source: Source, message: Any) -> None:
        store(message, stream, source, self._robot.base_frame, slots=self._loop)

    def _on_set_instruction(
        self, request: SetInstruction.Request, response: SetInstruction.Response
    ) -> SetInstruction.Response:
        before = self._tasks.instruction
        (result,) = self._node.set_parameters([Parameter("instruction", value=request.instruction)])
        response.accepted, response.message = result.successful, result.reason or before
        if result.successful and (words := self._unknown_words(self._tasks.instruction)):
            response.message = f"the policy never saw {', '.join(words)}"
        return response

    def _on_clock_set_back(self) -> None:
        text = "the clock was set back; all samples at hand are dropped"
        # A simulation that restarts sets its clock back. rclpy allows one severity per line of code.
        if self._clock().ros_time_is_active:
            self._node.get_logger().info(text)
        else:
            self._node.get_logger().warning(text)
        with self._loop.locked() as sync:
            sync.reset()
        self._chunks.forget_times()

    # --- in the inference thread --------------------------------------------------------------------------

    def _infer(self, snapshot: Snapshot[Any]) -> None:
        followed = self._tasks.followed
        if followed is None:
            return
        instruction, began = followed.instruction, time.perf_counter()
        try:
            answer = self._answer(snapshot, instruction)
        except AsyncVLAError as error:
            self._metrics.note_failure(str(error))
            self._node.get_logger().error(f"no chunk: {error}", throttle_duration_sec=1.0)
            return
        latency_s = time.perf_counter() - began
        if self._doubt.note(followed, answer):
            self._node.get_logger().warning(self._doubt.text_of(followed), throttle_duration_sec=5.0)
            if self._params.values.on_doubt == HOLD:
                if self._tasks.hold(followed):
                    self._metrics.note_held(answer)
                return
        words = self._unknown_words(instruction)
        send = partial(self._chunks.publish, answer, snapshot.stamp_ns, instruction, words, latency_s)
        if self._tasks.publish(followed, mean_confidence(answer), send):
            self._metrics.note_chunk(answer, latency_s)
        else:
            self._metrics.note_dropped(followed.end_reason)

    def _answer(self, snapshot: Snapshot[Any], instruction: str) -> ActionChunk:
        values = self._params.values
        deciding = Deciding(values.strategy, None if values.seed < 0 else values.seed)
        previous = self._chunks.previous(snapshot.stamp_ns)
        return self._robot_policy.question(snapshot, instruction, previous, deciding).answer(self._policy)

    def _crashed(self, text: str) -> None:
        self._metrics.note_failure(f"the inference thread ended: {text.strip().splitlines()[-1]}")
        self._node.get_logger().fatal(
            f"the inference thread ended; deactivate and activate to try again:\n{text}"
        )
        error = self._metrics.error
        self._tasks.close(Result.TERMINATION_FAULT, error, f"{error}; deactivate and activate to try again")

    # --- in any thread ------------------------------------------------------------------------------------

    def _unknown_words(self, instruction: str) -> tuple[str, ...]:
        """Return the words that the policy never saw; none of a blank instruction, which means rest.

        Raises:
            AsyncVLAError: the policy cannot follow the instruction.
        """
        return self._policy.unknown_words(instruction) if instruction.strip() else ()

    def _clock(self) -> Any:
        """Return the clock, asked for anew at each reading: a stepped clock is a new object."""
        return self._node.get_clock()

    def _now_ns(self) -> int:
        return int(self._clock().now().nanoseconds)
